import json
import re
from pathlib import Path

import pytest

from synthgain.evaluate import load_questions
from synthgain.types import SynthgainError


def test_both_kinds_are_read(tmp_path: Path) -> None:
    files = tmp_path / "verifiable.jsonl", tmp_path / "choices.jsonl"
    lines = [
        [{"id": "a", "question": "2 + 2?", "answer": 4, "level": "easy"}, {"question": "3 + 3?", "answer": "6"}],
        [{"id": 7, "question": "Who?", "options": ["x", "y"], "gold": 1, "document": "d", "title": "D", "facts": 2}],
    ]
    for file, held in zip(files, lines):
        file.write_text("\ufeff" + "\n\n".join(json.dumps(line) for line in held), "utf-8")
    (first, unnamed), (second,) = map(load_questions, files)
    assert (first.answer, first.gold, first.fields) == ("4", None, {"level": "easy"})
    assert (second.id, second.options, second.gold, second.title, second.facts) == ("7", ("x", "y"), 1, "D", 2)
    assert unnamed.id == "3"  # its line


def test_an_error_shows_what_a_question_looks_like_and_the_example_is_read(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    for wrong in ('{"prompt": "3 + 4?", "solution": "7"}', "3 + 4?", "\n"):
        file.write_text(wrong)
        with pytest.raises(SynthgainError) as error:
            load_questions(file)
        shown = re.findall(r"\{[^}]*\}", error.value.next)
        assert len(shown) == 2
        for line in shown:
            file.write_text(line)
            assert len(load_questions(file)) == 1


def test_two_kinds_in_one_file_are_refused(tmp_path: Path) -> None:
    choice = {"question": "Who?", "options": ["x", "y"], "gold": 1}
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": "2?", "answer": "2"}) + "\n" + json.dumps(choice))
    with pytest.raises(SynthgainError, match="in one file") as error:
        load_questions(tmp_path / "q.jsonl")
    assert error.value.where.endswith(":2")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
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
