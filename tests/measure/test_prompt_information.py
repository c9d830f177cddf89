"""Both ends of I(p; M(p)) on toy generators whose scores are exact."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from synthgain.measure import prompt_information
from synthgain.measure.data import Data, Step
from synthgain.measure.prompt_information import Ends, i_prompt, random_negatives
from synthgain.types import Message, Reading, SynthgainError

V, T = 16, 32
LAW = "softmax at T=1"


class Toy:
    """Each prompt is a Markov chain over V tokens (one letter each) that starts anywhere; `beta` says how much they differ."""

    def __init__(self, prompts: int, beta: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 1.5, (V, V)) + beta * rng.normal(0, 2, (prompts, V, V))
        self.log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        self.below = np.exp(self.log).cumsum(-1)
        plain = rng.normal(0, 1.5, (V, V))
        self.nothing = plain - np.log(np.exp(plain).sum(-1, keepdims=True))

    def draw(self, owners: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One answer each, (n, T) tokens."""
        said = np.empty((len(owners), T), int)
        said[:, 0] = rng.integers(0, V, len(owners))
        for t in range(1, T):
            said[:, t] = np.minimum(
                (self.below[owners, said[:, t - 1]] < rng.random(len(owners))[:, None]).sum(-1), V - 1
            )
        return said

    def scores(self, said: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
        """ln M(y_i | p_j) for all prompts or those `among`, a column each; the last column is the model without a prompt."""
        law = np.concatenate([self.log if among is None else self.log[among], self.nothing[None]])
        return law[:, said[:, :-1], said[:, 1:]].sum(-1).T - math.log(V)


@dataclass
class Eye:
    """The toy as a scorer: prompt "7" is its chain 7, letters are tokens."""

    toy: Toy
    off: float = 0.0  # nats a token that the scores stand off the law

    identity = "toy"

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        found = []
        for before, text in pairs:
            asked = before if isinstance(before, str) else before[0]["content"]
            law = self.toy.log[int(asked)] if asked else self.toy.nothing
            said = [ord(c) - 97 for c in text]
            if "!" in text:
                raise SynthgainError("a text does not fit the context")
            each = [-math.log(V), *law[said[:-1], said[1:]].tolist()]
            found.append([value + self.off for value in each])
        return found


def rows(toy: Toy, prompts: int, k: int = 1, seed: int = 0, told: bool = True) -> list[dict[str, Any]]:
    owners = np.repeat(np.arange(prompts), k)
    said = toy.draw(owners, np.random.default_rng(seed))
    own = toy.scores(said)[np.arange(len(owners)), owners]
    return [
        {
            "text": "".join(chr(97 + t) for t in y),
            "prompt": str(o),
            "anchor_ids": [f"a{o}"],
            "tokens_out": T,
            "logprob": float(lp) if told else None,
            "law": LAW,
        }
        for o, y, lp in zip(owners, said, own)
    ]


def measured(data: Data, scorer: Eye, **more: Any) -> dict[str, Reading]:
    return {r.name: r for r in i_prompt(data, scorer=scorer, **more)}


def all_others(n: int) -> np.ndarray:
    return random_negatives(n, n - 1)


def ends_of(scores: np.ndarray, others: np.ndarray) -> Ends:
    n = len(scores)
    return Ends(scores[:, :n], scores[:, n], others, n)


def test_answers_that_tell_nothing_of_the_prompt_give_zero_everywhere() -> None:
    toy = Toy(40, 0.0)
    toy.nothing = toy.log[0]
    scores = toy.scores(toy.draw(np.arange(40), np.random.default_rng(0)))
    ends = ends_of(scores, random_negatives(40, 12))
    low, high = ends.ends()
    assert abs(low) < 1e-9 and abs(high["leave-one-out"]) < 1e-9 and abs(high["empty prompt"]) < 1e-9
    found = measured(Data.of(rows(toy, 40)), Eye(toy))
    assert found["i_prompt_low"].value == pytest.approx(0, abs=1e-9)
    assert found["i_prompt_high"].value == pytest.approx(0, abs=1e-9)
    assert found["i_prompt"].low == 0 and found["i_prompt"].high == pytest.approx(0, abs=1e-9)


def test_prompts_that_answers_betray_give_the_ceiling() -> None:
    toy = Toy(32, 1.0)
    scores = toy.scores(toy.draw(np.arange(32), np.random.default_rng(0)))
    low, high = ends_of(scores, all_others(32)).ends()
    assert low == pytest.approx(math.log(32), abs=1e-3) and high["ln 32 prompts"] == math.log(32)
    assert min(high["leave-one-out"], high["empty prompt"]) > 20
    found = measured(Data.of(rows(toy, 32)), Eye(toy))
    assert (
        found["i_prompt_high"].value == pytest.approx(math.log(32))
        and "ln 32 prompts" in found["i_prompt_high"].estimator
    )
    assert found["i_prompt"].high >= math.log(32) and found["i_prompt"].kind == "lower bound"


@pytest.mark.parametrize("beta", [0.05, 0.1])
def test_the_ends_enclose_the_truth(beta: float) -> None:
    """The truth is the mean over 5,120 answers of ln M(y|p) - ln of the mean over all prompts."""
    toy, rng = Toy(256, beta), np.random.default_rng(1)
    owners = np.tile(np.arange(256), 20)
    scores = toy.scores(toy.draw(owners, rng))[:, :256]
    top = scores.max(1)
    each = scores[np.arange(len(owners)), owners] - top - np.log(np.exp(scores - top[:, None]).mean(1))
    truth, error = each.mean(), each.std() / math.sqrt(len(each))
    lows, highs = [], []
    for trial in range(40):
        chosen = rng.choice(256, 64, replace=False)
        some = toy.scores(toy.draw(chosen, rng), chosen)
        low, high = ends_of(some, random_negatives(64, 31, trial)).ends()
        lows.append(low)
        highs.append((high["leave-one-out"], high["empty prompt"]))
    spread = np.std(lows, ddof=1) / math.sqrt(40)
    assert np.mean(lows) <= truth + 4 * math.hypot(spread, error)
    for column in np.array(highs).T:
        assert column.mean() >= truth - 4 * math.hypot(column.std(ddof=1) / math.sqrt(40), error)
    assert np.mean(lows) > 0.8 * truth and np.mean(highs, axis=0)[0] < 1.5 * truth  # and they are of use


def test_against_a_plain_double_loop() -> None:
    scores = np.random.default_rng(3).normal(0, 3, (12, 13))
    others = random_negatives(12, 5, seed=9)
    low, high = ends_of(scores, others).ends()
    ins, outs = [], []
    for i in range(12):
        against = [math.exp(scores[i, j]) for j in others[i]]
        ins.append(scores[i, i] - math.log((math.exp(scores[i, i]) + sum(against)) / 6))
        outs.append(scores[i, i] - math.log(sum(against) / 5))
    assert low == pytest.approx(np.mean(ins)) and high["leave-one-out"] == pytest.approx(np.mean(outs))
    assert high["empty prompt"] == pytest.approx((scores.diagonal() - scores[:, 12]).mean())


def test_the_order_of_prompts_does_not_matter_and_the_ceiling_holds() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        n = int(rng.integers(2, 20))
        scores = rng.normal(0, rng.choice([1, 10, 300]), (n, n + 1))
        order = rng.permutation(n)
        mixed = scores[np.ix_(order, [*order, n])]
        one, other = ends_of(scores, all_others(n)).ends(), ends_of(mixed, all_others(n)).ends()
        assert one[0] == pytest.approx(other[0]) and one[0] <= math.log(n) + 1e-12
        assert one[1]["leave-one-out"] == pytest.approx(other[1]["leave-one-out"])


def test_negatives_are_others_and_differ() -> None:
    others = random_negatives(20, 7, seed=1)
    assert others.shape == (20, 7)
    for i, row in enumerate(others):
        assert i not in row and len(set(row)) == 7
    assert random_negatives(3, 31).shape == (3, 2)


def test_intervals_cover_what_the_ends_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_information, "RESAMPLES", 200)
    toy, rng = Toy(2000, 0.1, seed=5), np.random.default_rng(6)

    def one(trial: int) -> Ends:
        chosen = rng.choice(2000, 40, replace=False)
        return ends_of(toy.scores(toy.draw(chosen, rng), chosen), random_negatives(40, 15, trial))

    found = [one(trial).ends() for trial in range(60)]
    centre = np.array([[low, high["leave-one-out"]] for low, high in found]).mean(0)
    hits = np.zeros(2)
    for trial in range(60):
        (a, b), (c, d) = one(trial).interval(trial)  # type: ignore[misc]
        hits += [a <= centre[0] <= b, c <= centre[1] <= d]
    assert (hits / 60 > 0.85).all()


def test_a_law_that_makes_other_answers_impossible() -> None:
    scores = np.full((9, 10), -math.inf)
    np.fill_diagonal(scores, -3.0)
    ends = Ends(scores[:, :9], scores[:, 9], all_others(9), 9)
    low, high = ends.ends()
    assert low == pytest.approx(math.log(9)) and high["leave-one-out"] == math.inf
    (_, top), (_, roof) = ends.interval(0)  # type: ignore[misc]
    assert top <= math.log(9) + 1e-12 and roof == math.log(9)


def test_each_prompt_is_drawn_once_and_the_run_is_counted_whole() -> None:
    toy = Toy(200, 0.1)
    found = measured(Data.of(rows(toy, 200, k=5)), Eye(toy), prompts=30, negatives=9)
    assert found["i_prompt"].n == 30 and "30 of 200 prompts, 9 negatives" in found["i_prompt"].note
    assert found["i_prompt_low"].low <= found["i_prompt_low"].value <= found["i_prompt_low"].high
    assert found["i_prompt"].low <= found["i_prompt"].value <= found["i_prompt"].high
    assert "ln 10" in found["i_prompt_low"].note and "scored by toy" in found["i_prompt_low"].note


def test_prompts_are_chosen_alike_whatever_their_rows() -> None:
    """Rows of prompt 0 are half of all: it is still one of 40."""
    toy, hits = Toy(40, 0.0), 0
    told = rows(toy, 40, told=False)
    for seed in range(60):
        data = Data.of([*told, *[told[0]] * 40], seed=seed)
        seen: set[str] = set()

        class Noting(Eye):
            def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
                seen.update(before[0]["content"] for before, _ in pairs)  # type: ignore[index, call-overload, union-attr, misc]  # noqa: B023
                return super().logprobs(pairs)

        i_prompt(data, scorer=Noting(toy), prompts=4, negatives=3)
        hits += "0" in seen
    assert hits <= 15  # 6 expected


def test_scores_under_another_law_leave_only_the_entropy_of_the_prompts_above() -> None:
    toy = Toy(30, 0.1)
    data = Data.of(rows(toy, 30))
    right, off = measured(data, Eye(toy)), measured(data, Eye(toy, off=-0.3))
    assert "leave-one-out" in right["i_prompt_high"].estimator or "empty" in right["i_prompt_high"].estimator
    assert off["i_prompt_high"].value == pytest.approx(math.log(30)) and "another law" in off["i_prompt_high"].note
    assert off["i_prompt_low"].value == pytest.approx(right["i_prompt_low"].value)
    student = measured(data, Eye(toy), writer=False)
    assert (
        student["i_prompt_high"].value == pytest.approx(math.log(30))
        and "not the writer" in student["i_prompt_high"].note
    )
    assert "no log-probabilities" in measured(Data.of(rows(toy, 30, told=False)), Eye(toy))["i_prompt"].note


def test_a_strict_filter_leaves_only_the_entropy_of_the_prompts_above() -> None:
    toy = Toy(30, 0.1)
    told = rows(toy, 30)
    strict = measured(Data.of(told, ledger=[Step("final_answer", 100, 30)]), Eye(toy))
    mild = measured(Data.of(told, ledger=[Step("final_answer", 31, 30), Step("accept", 30, 10)]), Eye(toy))
    assert strict["i_prompt_high"].value == pytest.approx(math.log(30)) and "kept 30.0%" in strict["i_prompt_high"].note
    assert mild["i_prompt_high"].value < 1.5 and strict["i_prompt_low"].value == mild["i_prompt_low"].value


def test_an_answer_that_cannot_be_scored_is_left_out_and_counted() -> None:
    toy = Toy(20, 0.1)
    told = rows(toy, 20)
    told[3]["answer"] = told[3]["text"] + "!"
    found = measured(Data.of(told), Eye(toy))
    assert found["i_prompt"].n == 19 and "1 answers left out: a text does not fit" in found["i_prompt"].note


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([], "no kept rows"),
        ([{"text": "ab"}, {"text": "ba"}], "rows have no prompt"),
        ([{"text": "ab", "prompt": "1"}, {"text": "ba", "prompt": "1"}], "one prompt"),
        ([{"text": "ab!", "prompt": "1"}, {"text": "ba!", "prompt": "0"}], "does not fit"),
        ([{"text": "ab", "prompt": "1"}, {"text": "ba!", "prompt": "0"}], "fewer than two"),
    ],
)
def test_what_gives_no_figure_says_why(told: list[dict[str, Any]], said: str) -> None:
    for reading in measured(Data.of(told), Eye(Toy(3, 0.5))).values():
        assert reading.value is None and said in reading.note


def test_few_prompts_have_ends_without_intervals() -> None:
    toy = Toy(3, 0.3)
    found = measured(Data.of(rows(toy, 3)), Eye(toy))
    assert found["i_prompt_low"].low is None and "too few prompts" in found["i_prompt_low"].note
    assert found["i_prompt"].low == found["i_prompt"].value
