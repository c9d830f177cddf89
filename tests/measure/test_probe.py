"""What the student makes of the rows, on a student whose every loss is known: a counter of letters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from synthgain.measure.aim import Aim
from synthgain.measure.data import Data
from synthgain.measure.probe import Learner, context_gain, probe_gain
from synthgain.measure.student_eye import Pair
from synthgain.measure.trials import Trials, trials
from synthgain.types import SynthgainError

TEXT, ANSWER = Aim("text", ""), Aim("answer", "")
PRIOR = 5.0  # of each letter


@dataclass
class Counter:
    """p(a) = (PRIOR + a's seen) / (2 PRIOR + letters seen); what stands before the text counts as seen. It learns by counting its rows."""

    seen: list[float] = field(default_factory=lambda: [0.0, 0.0])
    longest: int = 10_000
    lots: list[tuple[str, ...]] = field(default_factory=list)

    identity: str = "counter"
    rows: int = 8
    said: str = "8 rows counted"

    def logprobs(self, pairs: Sequence[Pair]) -> list[list[float]]:
        found = []
        for before, text in pairs:
            said = before if isinstance(before, str) else " ".join(turn["content"] for turn in before)
            if len(said) + len(text) > self.longest:
                raise SynthgainError("too long")
            a = PRIOR + self.seen[0] + said.count("a")
            b = PRIOR + self.seen[1] + said.count("b")
            found.append([math.log((a if letter == "a" else b) / (a + b)) for letter in text if letter in "ab"])
        return found

    @contextmanager
    def __call__(self, rows: Sequence[Pair], seed: int) -> Iterator[None]:
        self.lots.append(tuple(text for _, text in rows))
        more = [sum(text.count(letter) for _, text in rows) for letter in "ab"]
        self.seen = [s + m for s, m in zip(self.seen, more)]
        yield
        self.seen = [s - m for s, m in zip(self.seen, more)]


def learner(**settings: int) -> Learner:
    counter = Counter(**settings)
    return Learner(counter, counter)


def test_the_gain_of_a_student_that_counts_is_its_closed_form() -> None:
    """8 rows of "a" take p(a) from 1/2 to 13/18, whichever they are; of each held-out text 9 of 10 letters are a's."""
    rows, target = [f"a {i}" for i in range(40)], [f"aaaaaaaaab {i}" for i in range(20)]
    (found,) = probe_gain(Data.of(rows, ["x"], target=target), TEXT, learner())
    assert found.value == pytest.approx(0.9 * math.log(13 / 9) + 0.1 * math.log(5 / 9), abs=1e-12)
    assert found.low == pytest.approx(found.value) == found.high and found.n == 20 and found.unit == "nats/token"


def test_rows_in_the_context_against_anchors_there() -> None:
    """4 rows are 4 a's, 4 anchors 4 b's; held out are a's alone."""
    rows, anchors, target = ([f"{letter} {i}" for i in range(30)] for letter in "aba")
    held = [f"a a {t}" for t in target]
    gain, real, fit = context_gain(Data.of(rows, anchors, target=held), TEXT, Counter())
    assert [r.name for r in (gain, real, fit)] == ["context_gain", "context_gain_anchors", "context_fit"]
    assert gain.value == pytest.approx(math.log(9 / 14) - math.log(1 / 2))
    assert real.value == pytest.approx(math.log(5 / 14) - math.log(1 / 2))
    assert fit.value == pytest.approx(math.log(9 / 5))


def test_the_intervals_cover() -> None:
    """Rows and held-out letters are drawn anew: the truth is a sum over binomial counts, and both draws are in the interval."""
    rng, share, held, hits, repeats = np.random.default_rng(0), 0.7, 0.8, 0, 300
    chances = [math.comb(8, k) * share**k * (1 - share) ** (8 - k) for k in range(9)]
    after = sum(
        c * (held * math.log((5 + k) / 18) + (1 - held) * math.log((13 - k) / 18)) for k, c in enumerate(chances)
    )
    truth, values = after + math.log(2), []
    for seed in range(repeats):
        rows = [f"{'a' if rng.random() < share else 'b'} {i}" for i in range(400)]
        target = ["".join("a" if x else "b" for x in rng.random(10) < held) + f" {i}" for i in range(40)]
        (found,) = probe_gain(Data.of(rows, ["x"], target=target, seed=seed), TEXT, learner(), samples=4)
        values.append(found.value)
        hits += found.low <= truth <= found.high  # type: ignore[operator]
    assert abs(np.mean(values) - truth) < 4 * np.std(values) / math.sqrt(repeats)
    assert 0.9 <= hits / repeats <= 0.99


def test_only_answers_are_judged_and_the_prompts_are_given() -> None:
    """The prompts' letters would say the contrary."""
    rows = [{"text": "", "prompt": f"b {i}", "answer": f"a {i}"} for i in range(20)]
    real = [{"text": "", "asked": f"bbb {i}", "answered": f"aa {i}"} for i in range(20)]
    (found,) = probe_gain(Data.of(rows, ["x"], target=real), ANSWER, learner())
    assert found.value == pytest.approx(math.log(13 / 21) - math.log(5 / 13))  # three b's of the prompt are seen
    fit = context_gain(
        Data.of(rows, real, target=[{**r, "answered": f"a{r['answered']}"} for r in real]), ANSWER, Counter()
    )
    assert all(r.value is not None for r in fit)


def test_nothing_is_learnt_that_was_made_from_what_is_held_out() -> None:
    """Each row repeats its anchor's letter, and anchors are held out in folds."""
    anchors = [f"{'a' if i % 2 else 'b'}{'ab' * 5} {i}" for i in range(30)]
    rows = [{"text": f"row {i} of {i % 30}", "anchor_ids": [str(i % 30)]} for i in range(60)]
    found = trials(Data.of(rows, anchors), TEXT)
    assert isinstance(found, Trials) and found.folds == 2
    for fold in range(2):
        held = {found.held_out[i][1].split()[-1] for i in found.of_fold(fold)}
        learnt = {text.split()[-1] for _, text in found.drawn("rows", fold, 200, 0)}
        beside = {text.split()[-1] for _, text in found.drawn("anchors", fold, 200, 0)}
        assert held and learnt and beside and not held & learnt and not held & beside


@pytest.mark.parametrize(
    ("data", "aim", "said"),
    [
        (Data.of([], ["x"]), TEXT, "there are no rows"),
        (Data.of(["a"], []), TEXT, "no two held-out texts"),
        (Data.of(["a", "b"], ["x", "y"]), ANSWER, "rows have no answers"),
        (Data.of([{"text": "q a", "prompt": "q", "answer": "a"}], ["x", "y"]), ANSWER, "give --target, or anchors, with whole answers"),
        (Data.of(["a b", "b a"], ["x"], target=["a b", "b a"]), TEXT, "have seen what they would be judged on"),
    ],
)  # fmt: skip
def test_what_gives_no_figure_says_what_to_give(data: Data, aim: Aim, said: str) -> None:
    for found in (*probe_gain(data, aim, learner()), *context_gain(data, aim, Counter())):
        assert found.value is None and said in found.note


def test_what_does_not_fit_the_student_is_left_out_and_counted() -> None:
    target = [f"ab {i}" for i in range(10)] + ["ab" * 200 + " x"]
    (found,) = probe_gain(Data.of([f"a {i}" for i in range(20)], ["x"], target=target), TEXT, learner(longest=100))
    assert found.n == 10 and "1 held-out texts left out (too long)" in found.note


def test_samples_of_rows_differ_and_the_cost_is_said_before() -> None:
    who, heard = learner(), []
    rows, target = [f"a {i}" for i in range(40)], [f"ab {i}" for i in range(10)]
    probe_gain(Data.of(rows, ["x"], target=target), TEXT, who, samples=3, say=heard.append)
    lots = who.nudge.lots  # type: ignore[attr-defined]
    assert len(lots) == 3 and not set(lots[0]) & set(lots[1]) and "24 rows learnt" in heard[0]
