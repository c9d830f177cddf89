"""Preference pairs by log-likelihood: values worked by hand, prompts as the unit, and through the public face before and after DPO."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

import synthgain as sg
from doubles.tiny import tiny_model
from synthgain.evaluate import Preference, prefer, preference_differences
from synthgain.intervals import mean_of_clusters, wilson
from synthgain.types import Message, SynthgainError, assistant, user


class Costs:
    """A scorer with one token a word, which costs what the table says, else 1 nat."""

    identity = "costs"

    def __init__(self, **costs: float) -> None:
        self.costs = costs

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        return [[-self.costs.get(word, 1.0) for word in text.split()] for _, text in pairs]


ONE, TWO = (user("Who?"),), (user("Why?"),)
PAIRS = [
    Preference(ONE, "Ann", "Bob"),  # −1 against −1: not preferred, as likely a token
    Preference(ONE, "Ann did", "Cid"),  # −2 against −3: preferred, a token too
    Preference(TWO, "so it is said", "Cid"),  # −4 against −3: not preferred; a token 1 against 3: preferred
]


def test_by_hand() -> None:
    solved = prefer(Costs(Cid=3.0), PAIRS)
    share, per_token, mean = solved.readings
    assert (share.name, share.value, share.n) == ("preference_accuracy", pytest.approx(1 / 3), 3)
    assert (per_token.name, per_token.value) == ("preference_accuracy_per_token", pytest.approx(2 / 3))
    assert (mean.name, mean.value, mean.unit) == ("preference_margin", pytest.approx(0.0), "nats")
    assert solved.margins == pytest.approx({"0": 0.0, "1": 1.0, "2": -1.0})
    _, low, high = mean_of_clusters([0.0, 1.0, -1.0], ["one", "one", "two"])
    assert (mean.low, mean.high) == (low, high) and "2 prompts" in mean.estimator


def test_one_pair_a_prompt_has_wilsons_interval() -> None:
    pairs = [Preference((user(f"{n}?"),), "Ann" if n < 7 else "Cid", "Bob") for n in range(10)]
    [share, *_] = prefer(Costs(Ann=0.5, Cid=3.0), pairs).readings
    assert share.value == 0.7 and (share.low, share.high) == pytest.approx(wilson(7, 10))


def test_two_students_pair_by_pair() -> None:
    """What every answer costs whoever reads it falls out."""
    plain, fond = prefer(Costs(Cid=3.0), PAIRS), prefer(Costs(Cid=3.5, Bob=2.0), PAIRS)
    share, gap = preference_differences(fond, plain)
    assert (share.name, share.value) == ("preference_accuracy difference", pytest.approx(1 / 3))
    assert (gap.name, gap.value) == ("preference_margin difference", pytest.approx((1.0 + 0.5 + 0.5) / 3))


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(SynthgainError, match="no preference pairs"):
        prefer(Costs(), [])
    with pytest.raises(SynthgainError, match="no log-likelihood"):
        prefer(Costs(), [Preference(ONE, "", "Bob")])


# ---------------------------------------------------------------------------------------------- through the public face

PLACES = ("Quell", "Tolmar", "Ada", "Bo")


def written(file: Path, places: Sequence[str]) -> Path:
    rows = [{"prompt": f"Who is {p}?", "chosen": f"{p} built it.", "rejected": "I do not know."} for p in places]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def test_dpo_teaches_held_out_pairs_and_evaluate_says_so(tmp_path: Path) -> None:
    base = tiny_model(tmp_path / "base")
    learnt, held = written(tmp_path / "learnt.jsonl", PLACES[:3]), written(tmp_path / "held.jsonl", PLACES[3:])
    student = sg.train(
        learnt, out=tmp_path / "student", base=f"hf/{base}", epochs=8, batch=3, learning_rate=3e-3, hold_out=0
    )
    before = {r.name: r for r in sg.evaluate(base, on=held)}
    after = {r.name: r for r in sg.evaluate(student, on=held, against=f"hf/{base}")}
    assert set(before) == {"preference_accuracy", "preference_accuracy_per_token", "preference_margin"}
    gap = after["preference_margin difference"].value
    assert (
        gap == pytest.approx(after["preference_margin"].value - before["preference_margin"].value, rel=1e-4) and gap > 1
    )  # type: ignore[operator]


def test_pairs_of_other_shapes_are_left_out_and_questions_are_still_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tiny_model(tmp_path / "base")
    file = written(tmp_path / "mixed.jsonl", PLACES)
    with file.open("a") as stream:
        stream.write(json.dumps({"messages": [user("Who?"), assistant("I.")]}) + "\n")
    readings = sg.evaluate(base, on=file)
    assert readings[0].n == 4 and "1 of 5 rows" in capsys.readouterr().err
    assert all(math.isfinite(r.value or math.nan) for r in readings)
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "Who?", "options": ["Ann", "Bob"], "gold": 0}\n')
    assert "accuracy" in {r.name for r in sg.evaluate(base, on=questions, answers=tmp_path / "answers")}


# ---------------------------------------------------------------------------------------------- the embedded student

ASKED = {
    "What is a quay?": "a place where ships are unloaded",
    "What is rye?": "a grain that bread is made of",
    "What is a loom?": "a machine on which cloth is woven",
    "What is slate?": "a stone that splits into plates",
    "What is a weir?": "a low wall across a river",
    "What is tar?": "a black liquid that keeps wood dry",
    "What is a mast?": "a pole that carries sails",
    "What is chalk?": "a soft white stone",
    "What is a kiln?": "an oven in which clay is fired",
    "What is moss?": "a small plant that likes the damp",
    "What is a yoke?": "a bar that joins two oxen",
    "What is peat?": "old plants that can be burned",
    "What is a ford?": "a shallow place where one crosses a river",
    "What is flax?": "a plant that linen is made of",
    "What is a gable?": "the upper part of a wall under a roof",
    "What is amber?": "old resin that has become hard",
    "What is a hoop?": "a ring that holds a barrel together",
    "What is whey?": "what is left of milk when cheese is made",
}


def defined(file: Path, asked: Sequence[str]) -> Path:
    """Plainly said is better than said with a flourish, whatever is asked: of like length, so that length decides nothing."""
    rows = [
        {"prompt": q, "chosen": f"It is {ASKED[q]}, in short.", "rejected": f"Well, friend, it is {ASKED[q]}!"}
        for q in asked
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


@pytest.mark.slow
def test_dpo_teaches_the_embedded_student_a_preference_that_holds_for_other_questions(tmp_path: Path) -> None:
    from synthgain.models import weights

    try:
        weights.find("smollm2-135m")
    except SynthgainError:
        pytest.skip("the weights of local/smollm2-135m are not here")
    questions = list(ASKED)
    learnt, held = defined(tmp_path / "learnt.jsonl", questions[:12]), defined(tmp_path / "held.jsonl", questions[12:])
    student = sg.train(
        learnt, out=tmp_path / "student", base="local/smollm2-135m", epochs=2, batch=4, learning_rate=2e-5, hold_out=0
    )
    found = {r.name: r for r in sg.evaluate(student, on=held, against="local/smollm2-135m")}
    for reading in found.values():
        print(reading.name, reading.value, reading.low, reading.high, reading.n)
    gap = found["preference_margin difference"]
    assert gap.low is not None and gap.low > 0
