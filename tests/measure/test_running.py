"""Running estimates: what they say of streams whose answer is known."""

import os
import random
import subprocess
import sys
import tracemalloc

import pytest

from synthgain.measure import Data
from synthgain.measure.running import DENSE, LEAST, PAIRS, WINDOW, Running, Thresholds
from synthgain.measure.variety import dup_rate
from synthgain.types import Call, Prompt, Row, SynthgainError, assistant, drop, user


def row(text: str, prompt: str, logprob: float | None = None, tokens: int = 0, fell: bool = False) -> Row:
    call = Call(
        "c" + prompt + text, Prompt((user(prompt),)), assistant(text), "scripted/x", logprob=logprob, tokens_out=tokens
    )
    return Row(text=text, calls=(call,), anchors=(prompt,), verdicts=(drop("bad", check="x"),) if fell else ())


def words(draw: random.Random, n: int, size: int = 5_000) -> str:
    return " ".join(f"w{draw.randrange(size)}" for _ in range(n))


def test_different_rows_are_no_collapse() -> None:
    draw, running = random.Random(0), Running()
    for i in range(600):
        running.add(row(words(draw, 30), f"p{i}", logprob=-60.0, tokens=30, fell=i % 4 == 0))
    assert running.figures["near_dup"] == 0
    assert running.figures["delta_I"] == pytest.approx(2.0)
    assert running.figures["kept"] == pytest.approx(0.75)
    assert running.figures["distinct_2"] > 0.9 and running.collapse == ""


def test_the_same_answer_to_every_prompt_is_a_collapse() -> None:
    draw, running = random.Random(0), Running()
    same = words(draw, 30)
    for i in range(LEAST - 1):
        running.add(row(same, f"p{i}"))
    assert running.collapse == ""  # too few to say
    running.add(row(same, "last"))
    assert "near" in running.collapse and running.figures["near_dup"] > 0.99


def test_rows_of_one_document_that_repeat_are_said_to() -> None:
    """The panel said 0.0 % of 500 rows from one document, and `measure` 0.998."""
    running = Running()
    for _ in range(500):
        running.add(row("the mill of Orrin grinds rye at night", "the only document"))
    assert running.figures["near_dup"] == pytest.approx(0.998) and running.collapse == ""


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_the_panel_and_the_meter_have_one_idea_of_a_repeat(share: float) -> None:
    draw, running, texts = random.Random(5), Running(), [words(random.Random(9), 40)]
    while len(texts) < 400:
        one = words(draw, 40)
        if draw.random() < share:
            one = " ".join(w if draw.random() > 0.03 else "other" for w in draw.choice(texts).split())
        texts.append(one)
    for i, one in enumerate(texts):
        running.add(row(one, f"p{i % 7}"))
    measured = next(r for r in dup_rate(Data.of(texts)) if r.name == "dup_rate")
    assert measured.value is not None
    assert running.figures["near_dup"] == pytest.approx(measured.value, abs=0.05)


def test_rows_that_fell_are_no_repeats_of_the_data_set() -> None:
    running = Running()
    for i in range(100):
        running.add(row("the mill of Orrin grinds rye at night", f"p{i}", fell=i > 0))
    assert "near_dup" not in running.figures  # one row is in the set: nothing to compare it with


def test_alike_draws_of_one_prompt_are_repeats_but_no_collapse() -> None:
    draw, running = random.Random(1), Running()
    for i in range(100):
        answer = words(draw, 30)
        for _ in range(4):
            running.add(row(answer, f"p{i}"))
    assert running.figures["near_dup"] == pytest.approx(0.75) and running.collapse == ""


def test_a_collapse_that_ends_is_forgotten() -> None:
    draw, running = random.Random(2), Running()
    same = words(draw, 20)
    for i in range(DENSE // 2):
        running.add(row(same, f"a{i}"))
    assert running.collapse
    for i in range(4 * WINDOW * 2):
        running.add(row(words(draw, 20), f"b{i}"))
    assert not running.collapse


def test_few_words_again_and_again_are_a_collapse_by_pairs() -> None:
    draw, running = random.Random(3), Running(Thresholds(distinct_2=0.02, near_dup=1.0))
    for i in range(PAIRS // 59 + 1):
        running.add(row(words(draw, 60, size=12), f"p{i}"))
    assert running.figures["distinct_2"] == pytest.approx(144 / PAIRS)
    assert "distinct" in running.collapse


@pytest.mark.slow
def test_memory_is_bounded_by_the_windows() -> None:
    draw, running, held = random.Random(4), Running(), []
    tracemalloc.start()
    try:
        for i in range(6_000):
            running.add(row(words(draw, 40), f"p{i:04}"))
            if i in (2_999, 5_999):
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[1] < 1.1 * held[0]
    assert running.examined < 5_000  # later rows are sampled


STREAM = """
import random
from synthgain.measure.running import Running
from synthgain.types import Row
draw, running = random.Random(1), Running()
for i in range(300):
    words = [f"wörd{n}" for n in range(300)]
    for _ in range(40):
        words[draw.randrange(300)] = f"x{draw.randrange(10**6)}"
    running.add(Row(text=" ".join(words), anchors=(str(i),)))
print(running.figures)
"""


def test_figures_are_the_same_in_every_process() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", STREAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1] and "near_dup" in said[0]


def test_rows_without_words_log_probabilities_or_calls_are_taken() -> None:
    running = Running()
    for text in ("", "   ", "one", "\N{SNOWMAN} " * 3):
        running.add(Row(text=text))
    assert running.seen == 4 and "delta_I" not in running.figures and running.collapse == ""


@pytest.mark.parametrize("text", ["near=1", "near_dup", "near_dup=2", "distinct_2=x", "near_dup=0.5 kept=0.1"])
def test_bad_thresholds_are_refused_in_words(text: str) -> None:
    with pytest.raises(SynthgainError, match="threshold"):
        Thresholds.read(text)


def test_thresholds_are_read() -> None:
    assert Thresholds.read("near_dup=0.3, kept=0.1") == Thresholds(near_dup=0.3, kept=0.1)
    assert Thresholds.read("") == Thresholds()
