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

from synthgain.curate.answers import final_answer, found_answer, gold_of, same_answer
from synthgain.curate.final_answer import FinalAnswer
from synthgain.curate.mathematics import equal, value
from synthgain.curate.quantities import number
from synthgain.types import Anchor, Call, Prompt, Row, assistant, user


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
        ("They keep 7 of them.\n\n**Answer:**\n\n7", "7"),  # a heading, and the answer on its own line
        ("### Final Answer\n\n$$\n7\n$$", "7"),
        ("**Answer**\n7 apples.\n", "7 apples"),
        ("Thus \\boxed{7}.\n\nOne may think that it is 8.", "7"),
        ("\\boxed{3} and \\boxed{5}", "3, 5"),
        ("Answer: 7\nThe answer is not 8.", "7"),
        ("So $a = \\boxed{-7}$. Put in, it fits: the answer is correct.", "-7"),  # said of the answer
        ("\\boxed{\\frac{7}{9}}. The answer is positive, because two of the factors are negative.", "\\frac{7}{9}"),
        ("The answer is correct.", "correct"),
        ("<think>Answer: 8</think>\nAnswer: 7", "7"),
        ("<think>Answer: 8\nor is it", None),
        ("<think>so</think><answer>7</answer>", "7"),
        ("答案是 7。", "7"),
        ("Antwort: 7 Äpfel", "7 Äpfel"),
        ("उत्तर: 7", "7"),
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
        ("Answer: 25 000", "25000"),
        ("Answer: 25\u2009000 people", "25000"),
        ("Answer: 25'000", "25,000"),
        ("Answer: 2,5", "2.5"),
        ("Answer: 1½", "1.5"),
        ("Answer: 10^4", "10000"),
        ("Answer: 2.5 \\times 10^{6}", "2500000"),
        ("Answer: 3 x 10^2", "300"),
        ("30 %", "0.3"),
        ("Answer: 30 percent", "0.3"),
        ("Answer: (B)", "B"),
        ("Answer: B) 40", "B"),
        ("Answer: option B", "(B)"),
        ("Answer: B. The river", "b"),
        ("Answer: B) 40", "40"),
        ("Answer: 40", "B) 40"),
        ("Answer: 2 or 9", "x = 9 or x = 2"),
        ("Answer: {9, 2}", "2, 9"),
        ("Answer: 2 and 9", [2, 9]),
        ("Answer: ±3", "\\pm 3"),
        ("Answer: ±3", "3 and -3"),
        ("Answer: (2, 9)", "(2,9)"),
        ("Answer: (1, 2), (3, 4)", "(3,4), (1,2)"),
        ("Answer: [1, \\infty)", "[1,\\infty)"),
        ("Answer: Orn", ["the river Orn", "Orn"]),
        ("Answer: 3 km", "3000 m"),
        ("Answer: 40 cents", "$0.40"),
        ("Answer: 12 cm²", "12"),
        ("Answer: 45°", "45"),
        ("Answer: 7 (because 3 + 4 = 7)", "7"),
        ("Answer: about 7 apples", "7"),
        ("Answer: 7, since 3 + 4 = 7", "7"),
        ("Answer:\n- 7", "7"),
        ("\\boxed{\\textbf{(B) }40}", "B"),
        ("Answer: $4k", "4000"),
        ("Answer: a 7-day week", "7"),
        ("Answer: 0.333333", "1/3"),
        ("Answer: 1/3", "0.333333"),
        ("Answer: 7 m", "7"),
    ],
)
def test_the_same(text: str, gold: object) -> None:
    assert same_answer(text, gold)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Answer: 2x", "2"),
        ("Answer: 7 - x", "7"),
        ("Answer: \\frac{1}{5125}", "\\frac{1}{5120}"),
        ("Answer: x - 7", "7"),
        ("Answer: x-7", "-7"),
        ("Answer: n/7", "7"),
        ("Answer: 7/n", "7"),
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
        ("Answer: ±7", "7"),
        ("Answer: 7 or 9", "7"),
        ("Answer: 7 (or 9)", "7"),
        ("Answer: 7, maybe 9", "7"),
        ("Answer: 7-9", "7"),
        ("Answer: not 7", "7"),
        ("The answer is not 7.", "7"),
        ("Answer: 7\nAnswer: 9", "7"),
        ("Answer: x = 3, y = 7", "7"),
        ("Answer: 7", "7, 9"),
        ("Answer: 7", [7, 9]),
        ("Answer: (9, 7)", "(7, 9)"),
        ("Answer: [7, 9]", "[7, 9)"),
        ("Answer: 7 km", "7 m"),
        ("Answer: B or C", "B"),
        ("Answer: B) 7 or C) 9", "B"),
        ("Answer: A dog", "A"),
        ("Answer: no", "on"),
        ("Answer: 25 000", "25"),
        ("<think>Answer: 7\nor so", "7"),
    ],
)
def test_not_the_same(text: str, gold: object) -> None:
    assert not same_answer(text, gold)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x^2+2x+1", "(x+1)^2"),
        ("\\sqrt{8}", "2\\sqrt{2}"),
        ("\\frac{3\\sqrt{2}}{2}", "\\frac{3}{\\sqrt 2}"),
        ("2\\pi r", "2*pi*r"),
        ("y = 2x + 1", "1 + 2x"),
        ("x + y = 3", "2x + 2y = 6"),
        ("x > 3", "3 < x"),
        ("\\sin^2 x + \\cos^2 x", "1"),
        ("e^{i\\pi}", "-1"),
        ("\\log_2 8", "3"),
        ("\\sqrt[3]{27}", "\\binom{3}{1}"),
        ("1\\frac{1}{2}", "1.5"),
        ("a_1 + a_2", "a_2 + a_1"),
    ],
)
def test_the_same_mathematics(one: str, other: str) -> None:
    assert equal(one, other) and equal(other, one)
    assert same_answer(f"\\boxed{{{one}}}", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\\sqrt{8}", "3\\sqrt{2}"),
        ("x^2", "x^3"),
        ("x > 3", "x < 3"),
        ("2^x", "x^2"),
        ("(" * 300, "7"),
        ("9^9^9^9", "9"),
    ],
)
def test_other_mathematics(one: str, other: str) -> None:
    assert not equal(one, other) and not same_answer(f"\\boxed{{{one}}}", other)


@given(st.text(alphabet="x123+-*/^!()[]{}|\\_=<> sqrtfacpi", max_size=40))
def test_any_expression_comes_to_something_or_to_nothing(text: str) -> None:
    assert equal(text, "7") in (True, False)
    value(text)


def test_a_whole_text_that_is_nothing_but_an_answer_states_it() -> None:
    for text in ("7", "$7.50", "7 apples", "(B)", "−4", "30 %"):
        assert found_answer(text) is not None
    for text in ("It is 7", "She has 7 apples left.", "7 apples are left of them", "Orn", "", "<think>7"):
        assert found_answer(text) is None
    assert gold_of(7) == gold_of("She has 3 + 4 = 7.\n#### 7") == ["7"] and gold_of([2, "9"]) == ["2", "9"]


def judged(text: str, gold: object = "7", thought: str = "", finish: str = "stop") -> str:
    call = Call("c", Prompt((user("?"),)), assistant(text, thought), "m", finish)
    row = Row(messages=(user("?"), assistant(text, thought)), calls=(call,))
    return FinalAnswer()(row, [Anchor("?", fields={"answer": gold})]).reason


def test_why_a_row_falls() -> None:
    assert judged("Answer: 7") == judged("Seven.\nAnswer: 7", thought="Answer: 9") == judged("7 apples") == ""
    assert judged("Answer: 9", thought="Answer: 7") == judged("Answer: 7 or 9") == "wrong final answer"
    assert judged("<think>Answer: 7\nbut") == judged("", thought="Answer: 7", finish="length") == "thinking never ended"
    assert judged("", thought="Answer: 7") == judged("<think>Answer: 7</think>") == "only reasoning"
    assert judged("") == "no answer" and judged("It is 7, I think.") == "no final answer"


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
