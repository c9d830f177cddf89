"""Surprise and its transferable part, with scorers that are exact laws."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from synthgain.measure.data import Data
from synthgain.measure.student_eye import align, surprise
from synthgain.types import Message, Reading, SynthgainError, user

LAW = "softmax at T=1"


@dataclass
class Coin:
    """A model of texts of "0" and "1": each character is a token, drawn alike. `chance` is that of a "1"."""

    chance: float | Callable[[str], float]
    width: int = 1  # characters of a token
    end: float | None = None  # chance that the answer ends, given once behind each text
    room: int = 10**9
    seen: list[object] | None = None

    @property
    def identity(self) -> str:
        return f"coin {self.chance}"

    @property
    def ends(self) -> bool:
        return self.end is not None

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        found = []
        for before, text in pairs:
            if len(text) > self.room:
                raise SynthgainError("a text does not fit the context")
            if self.seen is not None:
                self.seen.append(before)
            p = self.chance if isinstance(self.chance, float) else self.chance(before[0]["content"])  # type: ignore[index, arg-type, call-overload]
            each = [math.log(p if c == "1" else 1 - p) for c in text]
            each = [sum(each[i : i + self.width]) for i in range(0, len(each), self.width)]
            found.append(each + ([] if self.end is None else [math.log(self.end)]))
        return found


def made(
    p: float, prompts: int = 60, k: int = 4, seed: int = 0, end: float | None = None, length: int = 0, **more: Any
) -> list[dict[str, Any]]:
    """Rows of the coin with chance p, with their log-probabilities; lengths differ unless one is given."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(prompts):
        for _ in range(k):
            size = length or int(rng.integers(5, 40))
            text = "".join(rng.choice(["0", "1"], size, p=[1 - p, p]))
            rows.append(
                {
                    "text": text,
                    "prompt": f"q{i}",
                    "anchor_ids": [f"a{i}"],
                    "law": LAW,
                    "logprob": math.fsum(
                        [math.log(p if c == "1" else 1 - p) for c in text] + ([math.log(end)] if end else [])
                    ),
                    "tokens_out": size + (end is not None),
                }
                | more
            )
    return rows


def measured(rows: Sequence[Any], scorer: Coin, **more: Any) -> dict[str, Reading]:
    return {r.name: r for r in surprise(Data.of(rows), scorer=scorer, **more)}


def test_a_student_that_is_the_writer_has_nothing_to_learn() -> None:
    found = measured(made(0.3), Coin(0.3))
    for name in ("transfer_kl", "transfer_kl_byte", "transfer_kl_sample"):
        assert found[name].value == pytest.approx(0, abs=1e-12)


def test_a_filter_does_not_change_that() -> None:
    rows = [row for row in made(0.3) if row["text"].count("1") > 5]
    assert measured(rows, Coin(0.3))["transfer_kl"].value == pytest.approx(0, abs=1e-12)


def test_two_coins_differ_by_their_divergence() -> None:
    found = measured(made(0.3, prompts=300, k=5), Coin(0.6), most=1500)
    truth = 0.3 * math.log(0.5) + 0.7 * math.log(1.75)
    assert truth == pytest.approx(0.18379, abs=1e-5)
    reading = found["transfer_kl"]
    assert reading.n == 300 and reading.unit == "nats/token" and reading.low < truth < reading.high
    assert abs(reading.value - truth) < 4 * (reading.high - reading.low) / (2 * 1.968)
    assert found["transfer_kl_byte"].value == pytest.approx(reading.value)
    surprise_truth = -0.3 * math.log(0.6) - 0.7 * math.log(0.4)
    assert found["surprise"].low < surprise_truth < found["surprise"].high
    assert found["surprise"].value - found["transfer_kl"].value == pytest.approx(
        sum(-r["logprob"] for r in made(0.3, 300, 5)) / sum(r["tokens_out"] for r in made(0.3, 300, 5)), abs=1e-9
    )


def test_the_interval_covers() -> None:
    truth, hits = 0.3 * math.log(0.5) + 0.7 * math.log(1.75), 0
    for seed in range(150):
        reading = measured(made(0.3, prompts=25, k=2, seed=seed), Coin(0.6))["transfer_kl"]
        hits += reading.low <= truth <= reading.high
    assert 0.89 <= hits / 150 <= 0.99


def test_with_another_tokenizer_the_difference_is_per_byte_and_per_sample() -> None:
    rows = made(0.3)
    one, other = (
        measured(rows, Coin(0.6)),
        measured([r | {"tokens_out": r["tokens_out"] * 2 // 3 + 1} for r in rows], Coin(0.6)),
    )
    assert other["transfer_kl"].value is None and "transfer_kl_byte" in other["transfer_kl"].note
    for name in ("transfer_kl_byte", "transfer_kl_sample", "surprise", "surprise_byte"):
        assert other[name].value == pytest.approx(one[name].value)
    wide = measured(rows, Coin(0.6, width=2))
    assert wide["surprise"].value > 1.5 * one["surprise"].value  # per token of its own
    assert wide["surprise_byte"].value == pytest.approx(one["surprise_byte"].value)


def test_log_probabilities_of_another_text_are_refused() -> None:
    found = measured(made(0.3, logprob=-900.0, tokens_out=400), Coin(0.6))
    for name in ("transfer_kl", "transfer_kl_byte", "transfer_kl_sample"):
        assert found[name].value is None and "another text" in found[name].note
    assert found["surprise"].value is not None


def test_the_end_of_the_answer() -> None:
    rows = made(0.3, end=0.1)
    with_end = measured(rows, Coin(0.6, end=0.5))
    without = measured(rows, Coin(0.6))
    assert with_end["transfer_kl_sample"].kind == "estimate"
    assert without["transfer_kl_sample"].kind == "lower bound" and "end of the answer" in without["transfer_kl"].note
    gap = with_end["transfer_kl_sample"].value - without["transfer_kl_sample"].value
    assert gap == pytest.approx(-math.log(0.5))
    assert measured(rows, Coin(0.3, end=0.1))["transfer_kl"].value == pytest.approx(0, abs=1e-12)


def test_a_cut_answer_has_no_end() -> None:
    found = align([[-1.0, -2.0, -9.0], [-1.0, -0.5]], np.array([2.0, 2.0]), ends=True)
    assert found.same and found.nats.tolist() == [3.0, 1.5]


def test_prompts_are_asked_as_chats_or_as_text() -> None:
    seen: list[object] = []
    measured(made(0.3, prompts=1, k=1), Coin(0.6, seen=seen))
    measured(made(0.3, prompts=1, k=1), Coin(0.6, seen=seen), as_chat=False)
    measured([{"text": "0101"}], Coin(0.6, seen=seen))
    assert seen == [[user("q0")], "q0", ""]


def test_the_sample_is_bounded_and_said() -> None:
    found = measured(made(0.3, prompts=100, k=4), Coin(0.6), most=50)
    assert "on 50 of 400 kept rows" in found["surprise"].note and found["surprise"].n <= 50


def test_without_log_probabilities_the_surprise_stays() -> None:
    found = measured(made(0.3, logprob=None, law="server gave no token log-probabilities"), Coin(0.6))
    assert found["surprise"].value is not None and found["transfer_kl"].value is None
    assert "server gave no token log-probabilities" in found["transfer_kl"].note
    assert measured(made(0.3, logprob=math.nan), Coin(0.6))["transfer_kl_sample"].value is None


def test_rows_that_fit_no_context_are_left_out_and_counted() -> None:
    rows = [
        *made(0.3, prompts=20, k=1),
        {"text": "1" * 10_000_000, "prompt": "q", "logprob": -5.0, "tokens_out": 9, "law": LAW},
    ]
    rows.append({"text": "0" * 500, "prompt": "r", "logprob": -5.0, "tokens_out": 500, "law": LAW})
    rows.append({"text": "0", "prompt": "x" * 10_000_000, "logprob": -5.0, "tokens_out": 1, "law": LAW})
    found = measured(rows, Coin(0.3, room=400))
    assert found["transfer_kl"].value == pytest.approx(0, abs=1e-12) and found["surprise"].n == 20
    assert "3 of 23 sampled rows left out" in found["surprise"].note and "does not fit" in found["surprise"].note


@pytest.mark.parametrize(
    ("rows", "scorer", "said"),
    [
        ([], Coin(0.5), "no kept rows"),
        (["", ""], Coin(0.5), "empty"),
        (["0101"], Coin(0.5, room=2), "does not fit"),
        (["01", "10"], Coin(math.nan), "no finite"),
    ],
)
def test_what_cannot_be_scored_gives_null_with_the_reason(rows: list[str], scorer: Coin, said: str) -> None:
    found = measured(rows, scorer)
    assert len(found) == 5
    for reading in found.values():
        assert reading.value is None and said in reading.note


def test_one_prompt_and_equal_rows_have_no_interval() -> None:
    one = measured(made(0.3, prompts=1, k=5), Coin(0.6))["transfer_kl"]
    assert one.value is not None and one.low is None and one.n == 1
    row = {"text": "0110", "logprob": -3.0, "tokens_out": 4, "law": LAW}
    same = measured([row | {"prompt": str(i)} for i in range(9)], Coin(0.6))["transfer_kl"]
    assert same.value is not None and same.low is None and "no interval" in same.note


def test_other_scripts_are_measured_in_bytes() -> None:
    found = measured(["多言語", "emoji 😀"], Coin(0.5))
    assert found["surprise_byte"].value == pytest.approx(10 * math.log(2) / (9 + 10))
