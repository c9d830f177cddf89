"""delta_I on a Markov toy generator whose entropy is known exactly, and on bad input."""

import math
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from synthgain.measure import randomness
from synthgain.measure.data import Data, Step, batched, texts
from synthgain.measure.randomness import UnitSums, delta_i, ratio_t
from synthgain.types import Reading

LAW = "softmax at T=1"
V, T = 16, 32


class Markov:
    """Each prompt is a Markov chain over V tokens; `beta` says how much the chains differ. The first token is uniform."""

    def __init__(self, prompts: int, beta: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 1.5, (V, V)) + beta * rng.normal(0, 2, (prompts, V, V))
        self.log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        self.below = np.exp(self.log).cumsum(-1)

    def entropy(self, length: int = T) -> np.ndarray:
        """H(Y|p) in nats a sample, exactly: entropies of rows weighed by the forward recursion of the state."""
        step = np.exp(self.log)
        rows = -(step * self.log).sum(-1)
        state, total = np.full(rows.shape, 1 / V), np.full(len(rows), math.log(V))
        for _ in range(length - 1):
            total += (state * rows).sum(-1)
            state = np.einsum("pv,pvw->pw", state, step)
        return total

    def draw(self, prompts: np.ndarray, rng: np.random.Generator, lengths: np.ndarray) -> np.ndarray:
        """ln M(y|p) of one fresh answer each; an answer has its `length` tokens."""
        now, total = rng.integers(0, V, len(prompts)), np.full(len(prompts), -math.log(V))
        for t in range(1, int(lengths.max())):
            after = np.minimum((self.below[prompts, now] < rng.random(len(prompts))[:, None]).sum(-1), V - 1)
            total += np.where(t < lengths, self.log[prompts, now, after], 0.0)
            now = after
        return total


def rows(
    owners: list[str],
    logprobs: list[float | None],
    tokens: list[int | None],
    laws: list[str] | None = None,
    size: int = 100,
) -> Data:
    n = len(owners)
    table = pa.table(
        {
            "anchor_ids": pa.array([[o] if o else [] for o in owners], pa.list_(pa.string())),
            "prompt": pa.array([""] * n, pa.string()),
            "logprob": pa.array(logprobs, pa.float64()),
            "tokens_out": pa.array(tokens, pa.int32()),
            "law": pa.array(laws or [LAW] * n, pa.string()),
        }
    )
    return Data(batched(table, size), n, texts([]), 0)


def measured(owners: np.ndarray, logprobs: np.ndarray, tokens: np.ndarray) -> tuple[Reading, Reading]:
    per_token, per_sample = delta_i(rows([f"a{o}" for o in owners], logprobs.tolist(), tokens.tolist()))
    return per_token, per_sample


def test_delta_i_of_a_markov_generator_is_its_entropy() -> None:
    toy, rng = Markov(256, 1.0), np.random.default_rng(1)
    owners = np.repeat(np.arange(256), 8)
    found = toy.draw(owners, rng, np.full(len(owners), T))
    per_token, per_sample = measured(owners, found, np.full(len(owners), T))
    exact = float(toy.entropy().mean())
    error = float(np.std(found.reshape(256, 8).mean(1) - toy.entropy(), ddof=1) / math.sqrt(256))
    assert abs(per_sample.value - exact) < 4 * error
    assert per_token.value == pytest.approx(per_sample.value / T, rel=1e-12)
    assert (per_token.unit, per_sample.unit, per_token.n) == ("nats/token", "nats/sample", 256)
    assert per_sample.low < exact < per_sample.high


def test_intervals_cover_the_truth_with_40_prompts_of_8_answers_and_the_naive_one_does_not() -> None:
    toy, rng, repeats = Markov(500, 0.6, seed=3), np.random.default_rng(4), 300
    exact, hits, naive = float(toy.entropy().mean()), np.zeros(2), 0
    owners = np.array(
        [np.repeat(rng.choice(500, 40), 8) for _ in range(repeats)]
    )  # with replacement: a population of 500
    drawn = toy.draw(owners.ravel(), rng, np.full(owners.size, T)).reshape(owners.shape)
    places = np.repeat(np.arange(40), 8)
    for found in drawn:
        per_token, per_sample = measured(places, found, np.full(320, T))
        hits += [per_token.low <= exact / T <= per_token.high, per_sample.low <= exact <= per_sample.high]
        naive += abs(found.mean() + exact) < 1.96 * found.std(ddof=1) / math.sqrt(320)
    assert (hits / repeats >= 0.90).all() and (hits / repeats <= 0.97).all()
    assert naive / repeats < (hits / repeats).min()


def test_the_ratio_covers_where_lengths_differ_by_prompt() -> None:
    rng, hits, repeats = np.random.default_rng(5), 0, 400
    for _ in range(repeats):
        tokens = rng.integers(5, 60, 40).astype(float)
        rate = 2 + 0.01 * tokens + rng.normal(0, 0.3, 40)
        _, low, high = ratio_t(tokens * rate, tokens)
        hits += low <= 2 + 0.01 * (np.arange(5, 60) ** 2).mean() / np.arange(5, 60).mean() <= high
    assert 0.90 <= hits / repeats <= 0.98


def test_rows_of_a_prompt_may_lie_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(randomness, "BUFFER", 50)
    rng = np.random.default_rng(0)
    owners = [f"a{o}" for o in rng.integers(0, 90, 1000)]
    nats, tokens = rng.gamma(3, 4, 1000), rng.integers(1, 40, 1000)
    per_token, per_sample = delta_i(rows(owners, (-nats).tolist(), tokens.tolist(), size=17))
    mine: dict[str, list[float]] = defaultdict(list)
    for owner, value in zip(owners, nats):
        mine[owner].append(value)
    means = [np.mean(v) for v in mine.values()]
    assert per_token.value == pytest.approx(nats.sum() / tokens.sum()) and per_token.n == len(mine)
    assert per_sample.value == pytest.approx(np.mean(means))
    half = 1.9869787 * np.std(means, ddof=1) / math.sqrt(len(means))  # t(89), 95 %
    assert (per_sample.high - per_sample.low) / 2 == pytest.approx(half, rel=1e-6)


def test_sums_inside_units() -> None:
    sums = UnitSums(2)
    sums.add(["b", "a", "b"], np.array([1.0, 2, 4]), np.ones(3))
    sums.add(["a"], np.array([8.0]), np.ones(1))
    assert sorted(map(tuple, sums.columns().T)) == [(5.0, 2.0), (10.0, 2.0)]


@pytest.mark.parametrize(
    ("logprobs", "tokens", "laws", "said"),
    [
        (
            [None, -3.0, None],
            [3, 3, 3],
            ["top_p=0.9", LAW, "top_p=0.9"],
            "2 of 3 rows (66.7%) have no log-probability: top_p=0.9",
        ),
        ([None, None, None], [3, 3, 3], ["", "", ""], "no token log-probabilities"),
        ([-1.0, math.nan, -2.0], [3, 3, 3], None, "1 of 3 rows have a log-probability that is not a finite number"),
        ([-1.0, -math.inf, math.inf], [3, 3, 3], None, "2 of 3"),
        ([-1.0, 0.5, -2.0], [3, 3, 3], None, "above 0"),
        ([-1.0, -1.5, -2.0], [3, 3, 3], [LAW, "softmax at T=0.7", LAW], "2 laws"),
        ([-1.0, -1.5, -2.0], [3, 3, 3], ["", "", ""], "do not name the law"),
    ],
)
def test_bad_log_probabilities_give_null_with_the_reason(
    logprobs: list[float | None], tokens: list[int], laws: list[str] | None, said: str
) -> None:
    for reading in delta_i(rows(["a", "b", "c"], logprobs, tokens, laws)):  # type: ignore[arg-type]
        assert reading.value is None and reading.low is None and said in reading.note


def test_no_rows_give_null() -> None:
    assert [r.value for r in delta_i(Data.of([]))] == [None, None]
    assert "no kept rows" in delta_i(Data.of([]))[0].note


def test_missing_token_counts_stop_the_figure_per_token_only() -> None:
    per_token, per_sample = delta_i(rows(["a", "b"], [-4.0, -6.0], [2, 0]))
    assert per_token.value is None and "1 of 2 rows have no token count" in per_token.note
    assert per_sample.value == pytest.approx(5.0)
    assert delta_i(rows(["a", "b"], [-4.0, -6.0], [2, None]))[0].value is None


def test_one_prompt_and_equal_rows_have_a_value_without_an_interval() -> None:
    for owners in (["a", "a"], ["a", "b"]):
        per_token, per_sample = delta_i(rows(owners, [-3.0, -3.0], [2, 2]))
        assert (per_token.value, per_token.low, per_token.high) == (1.5, None, None)
        assert (per_sample.value, per_sample.low) == (3.0, None) and "interval" in per_sample.note


def test_a_greedy_law_has_no_randomness() -> None:
    per_token, _ = delta_i(rows(["a", "b"], [0.0, 0.0], [2, 4], ["greedy", "greedy"]))
    assert (per_token.value, per_token.low, per_token.high) == (0.0, 0.0, 0.0)


def test_rows_without_anchors_or_prompts_stand_each_for_itself() -> None:
    assert delta_i(rows(["", "", ""], [-1.0, -2.0, -3.0], [1, 1, 1], size=2))[0].n == 3


def test_a_long_row_and_other_scripts_change_nothing() -> None:
    told = [
        {"text": "x" * 10_000_000, "prompt": "y" * 10_000_000, "logprob": -2.0, "tokens_out": 1, "law": LAW},
        {
            "text": "多言語 \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
            "prompt": "質問",
            "logprob": -4.0,
            "tokens_out": 1,
            "law": LAW,
        },
    ]
    assert delta_i(Data.of(told))[0].value == pytest.approx(3.0)


def test_the_note_says_that_curation_chose() -> None:
    data = Data.of(
        [{"text": "a", "logprob": -1.0, "tokens_out": 1, "law": LAW, "anchor_ids": ["x"]}],
        ledger=[Step("final_answer", 10, 1)],
    )
    assert "not over all of M(p)" in delta_i(data)[0].note
