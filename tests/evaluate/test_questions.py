import json
from pathlib import Path

import pytest

from synthgain.evaluate import load_questions
from synthgain.types import SynthgainError


def test_both_kinds_are_read(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    lines = [
        {"id": "a", "question": "2 + 2?", "answer": 4, "level": "easy"},
        {"id": 7, "question": "Who?", "options": ["x", "y"], "gold": 1, "document": "d", "title": "D", "facts": 2},
    ]
    file.write_text("\ufeff" + "\n\n".join(json.dumps(line) for line in lines), "utf-8")
    first, second = load_questions(file)
    assert (first.answer, first.gold, first.fields) == ("4", None, {"level": "easy"})
    assert (second.id, second.options, second.gold, second.title, second.facts) == ("7", ("x", "y"), 1, "D", 2)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"question": "q", "answer": "a"}',
        '{"id": "1", "answer": "a"}',
        '{"id": "1", "question": "q"}',
        '{"id": "1", "question": "q", "answer": true}',
        '{"id": "1", "question": "q", "answer": " "}',
        '{"id": "1", "question": "q", "answer": "a", "options": ["a", "b"], "gold": 0}',
        '{"id": "1", "question": "q", "options": ["a"], "gold": 0}',
        '{"id": "1", "question": "q", "options": ["a", "a"], "gold": 0}',
        '{"id": "1", "question": "q", "options": ["a", "b"], "gold": 2}',
        '{"id": "1", "question": "q", "options": ["a", "b"], "gold": true}',
        '{"id": "1", "question": "q", "options": ["a", "b"]}',
        '{"id": "0", "question": "again", "answer": "a"}',
    ],
)
def test_a_line_that_is_not_well_formed_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": "0", "question": "q", "answer": "a"}\n' + line + "\n", "utf-8")
    with pytest.raises(SynthgainError) as error:
        load_questions(file)
    assert error.value.where == f"{file}:2"


def test_no_questions_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    for file in (tmp_path / "empty.jsonl", tmp_path / "none.jsonl"):
        with pytest.raises(SynthgainError):
            load_questions(file)
