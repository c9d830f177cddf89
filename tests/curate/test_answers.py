"""Final answers against hand-built cases, their algebra, and GSM8K's labelled solutions."""

from __future__ import annotations

import gzip
import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain.curate.answers import final_answer, number, same_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 4 = 7\nAnswer: 7", "7"),
        ("Answer: 6. Wait.\nAnswer: 7", "7"),
        ("so she has <<3+4=7>>7.\n#### 7", "7"),
        ("Thus \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("**Answer:** $1,200.", "$1,200"),
        ("The answer is 12 apples.", "12 apples"),
        ("It runs.\nA: 540", "540"),
        ("She has 7 apples left.", None),
        ("Answer:", None),
        ("Answer: " + "7" * 300, None),
        ("", None),
    ],
)
def test_the_last_stated_answer(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Answer: 3.0", "3"),
        ("Answer: $1,200", 1200),
        ("Answer: 18 apples", "18"),
        ("Answer: -$5", "-5"),
        ("Answer: 50%", "0.5"),
        ("Answer: 50%", "50"),
        ("Answer: 1 1/2", "1.5"),
        ("Answer: 3/4", "0.75"),
        ("Answer: 3 + 4 = 7", "7"),
        ("Answer: x = 7", "7"),
        ("\\boxed{\\frac{3}{4}}", "3/4"),
        ("Answer: 2 million", "2000000"),
        ("Answer: 1e3", "1000"),
        ("Answer: .5", "1/2"),
        ("Answer: **42**", 42),
        ("Answer: 10:30", "10:30"),
        ("Answer: Paris", "paris."),
        ("Answer: 7", "She has 3+4=7.\n#### 7"),
        ("Answer: −4", "-4"),
        ("Answer: 7 (seven)", "7"),
    ],
)
def test_the_same(text: str, gold: object) -> None:
    assert same_answer(text, gold)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Answer: 2x", "2"),
        ("Answer: 7 apples and 3 pears", "7"),
        ("Answer: 8", "7"),
        ("Answer: 0.5", "50"),
        ("Answer: 12345678901234567890", "12345678901234567891"),
        ("Answer: 1/0", "1"),
        ("Answer: 5k", "5"),
        ("Answer: " + "9" * 5000, "9" * 5000 + "1"),
        ("no answer at all", "7"),
        ("Answer: 9^9^9^9^9", "7"),
        ("", "7"),
    ],
)
def test_not_the_same(text: str, gold: object) -> None:
    assert not same_answer(text, gold)  # type: ignore[arg-type]


def test_mathematics_beyond_numbers() -> None:
    pytest.importorskip("math_verify", reason='needs pip install "synthgain[maths]"')
    assert same_answer("\\boxed{x^2+2x+1}", "(x+1)^2")
    assert same_answer("\\boxed{\\sqrt{8}}", "2\\sqrt{2}")
    assert not same_answer("\\boxed{\\sqrt{8}}", "3\\sqrt{2}")


@given(st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6))
def test_a_fraction_reads_as_itself(value: Fraction) -> None:
    assert number(f"{value.numerator}/{value.denominator}") == (value, False)


@given(st.integers(-(10**15), 10**15), st.sampled_from(["", " apples", " dollars per day", "."]))
def test_commas_and_units_change_nothing(value: int, unit: str) -> None:
    assert same_answer(f"Answer: {value:,}{unit}", str(value))
    assert not same_answer(f"Answer: {value:,}{unit}", str(value + 1))


@given(st.text(max_size=300), st.text(min_size=1, max_size=40))
def test_any_text_gets_an_answer_to_the_question(text: str, gold: str) -> None:
    assert same_answer(text, gold) in (True, False)


def data(name: str) -> Path:
    root = Path(os.environ.get("SYNTHGAIN_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    if not (root / name).is_file():
        pytest.skip(f"the data set {name} is not here (set SYNTHGAIN_DATA)")
    return root / name


def test_agrees_with_the_labels_of_gsm8k_solutions() -> None:
    with gzip.open(data("reasoning/gsm8k_model_solutions_first_half.jsonl.gz"), "rt", encoding="utf8") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = [
        (same_answer(s["solution"], row["ground_truth"]), s["is_correct"]) for row in rows for s in row["solutions"]
    ]
    assert len(pairs) == 2640
    assert sum(ours != label for ours, label in pairs) == 0
