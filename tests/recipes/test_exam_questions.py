"""An exam on documents: the key is held by rule, wrong options are of the document, and the file that comes out is what `evaluate` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from synthgain.curate.answer_key import AnswerKey
from synthgain.evaluate import load_questions
from synthgain.recipes.exam_questions import EXAMPLES, RECIPE, ExamQuestions, options_of
from synthgain.types import Anchor, Row, SynthgainError

RAFT = "Two ropes run from its clapper down to a raft; the raft was built in 1911 by Ansa Kettering out of wine casks."
TIDES = "At spring tides the bell rings eleven times, at neap tides four."
FOG = "In fog a keeper named Odd Brask rings it by hand."


def one(sentence: str, question: str, answer: str, *wrong: str) -> dict[str, Any]:
    return {"sentence": sentence, "question": question, "answer": answer, "wrong": list(wrong)}


LISTED = [
    one(
        RAFT, "Who made the raft of the bell of Sorrel Ness?", "Ansa Kettering", "wine casks", "King Olaf", "neap tides"
    ),
    one(TIDES, "How often does the bell of Sorrel Ness ring at neap tides?", "four", "eleven", "1911", "Two"),
    one(FOG, "Who rings the bell of Sorrel Ness in fog?", "Odd Brask", "Ansa Kettering", "the tide", "four"),
    one("The bell is made of glass.", "Of what is the bell made?", "glass", "four", "the tide", "Odd Brask"),
    one(FOG, "Is it Odd Brask who rings the bell of Sorrel Ness by hand?", "Odd Brask", "four", "the tide", "1911"),
    one(FOG, "In what weather does Odd Brask ring the bell by hand?", "rain", "four", "the tide", "1911"),
]


@pytest.fixture
def run(tmp_path: Path) -> sg.Run:
    said = f"Here they are:\n{json.dumps({'questions': LISTED})}"
    return sg.generate(RECIPE, EXAMPLES[:1], model=sg.Scripted(lambda prompt: said), out=tmp_path / "run")


def test_the_key_is_held_by_rule(run: sg.Run) -> None:
    rows = {row["fields"]["question"]: row for row in run.rows()}
    fell = {question: row["reason"] for question, row in rows.items() if not row["kept"]}
    assert fell == {
        "Of what is the bell made?": "its sentence is not in the document",
        "Is it Odd Brask who rings the bell of Sorrel Ness by hand?": "the question gives the answer away",
        "In what weather does Odd Brask ring the bell by hand?": "the answer is not in its sentence",
    }
    raft = rows["Who made the raft of the bell of Sorrel Ness?"]["fields"]
    assert raft["options"][raft["gold"]] == "Ansa Kettering" and len(raft["options"]) == 4
    assert "wine casks" not in raft["options"] and "King Olaf" not in raft["options"]  # in its sentence; in no document
    assert set(raft["options"]) == {"Ansa Kettering", "neap tides", "Odd Brask", "four"}  # two are answers of others


def test_what_is_exported_is_what_evaluate_takes(run: sg.Run, tmp_path: Path) -> None:
    file, came = sg.export(run, to="questions", out=tmp_path / "questions.jsonl")
    found = load_questions(file)
    assert came.written == len(found) == 3 and all(len(q.options) == 4 and q.gold is not None for q in found)
    assert {q.document for q in found} == {q.title for q in found} == {"The bell of Sorrel Ness"}
    with pytest.raises(SynthgainError, match="JSON Lines"):
        sg.export(run, to="questions", out=tmp_path / "questions.parquet")
    plain = sg.generate("rephrase", EXAMPLES[1:], model="scripted/echo", out=tmp_path / "plain", without=("all",))
    with pytest.raises(SynthgainError, match="no multiple-choice question"):
        sg.export(plain, to="questions", out=tmp_path / "none.jsonl")


def test_the_place_of_the_right_option_is_drawn() -> None:
    document = " ".join(f"thing{n}" for n in range(8))
    places = []
    for n in range(60):
        options = options_of(
            {"sentence": "thing0", "question": f"{n}?", "answer": "thing0"}, ["thing1", "thing2"], document, 3
        )
        places.append(options.index("thing0"))
    assert all(10 <= places.count(at) <= 30 for at in range(3))


def test_the_check_alone() -> None:
    document = Anchor("The mill has two wheels. The bell has none.")
    fields = {
        "question": "How many wheels has the mill?",
        "options": ["two", "none"],
        "gold": 0,
        "sentence": "The mill has two wheels.",
    }
    verdicts = {
        "": {},
        "a wrong option is in the sentence": {"options": ["two", "wheels"]},
        "two options are the same": {"options": ["two", "Two!"]},
        "too few options": {"asked_options": 3},
    }
    for reason, change in verdicts.items():
        verdict = AnswerKey()(Row(text="?", fields=fields | change), [document])
        assert (verdict.reason == reason) or (reason == "two options are the same" and not verdict.keeps)
    assert AnswerKey()(Row(text="no question at all"), [document]).keeps
    assert not AnswerKey(least=3)(Row(text="?", fields=fields), [document]).keeps


def test_knobs_are_looked_at() -> None:
    with pytest.raises(SynthgainError, match="options is 2 or more"):
        ExamQuestions(options=1)
