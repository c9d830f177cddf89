"""`--with CHECK`: names, settings, files, and what people are told when they get one wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from synthgain.curate import file_of, load, load_file, names
from synthgain.curate.language import Language
from synthgain.curate.near_duplicate import NearDuplicate
from synthgain.settings import settings_of
from synthgain.types import Row, SynthgainError

MINE = """
from __future__ import annotations
from dataclasses import dataclass
from synthgain.types import drop, keep

@dataclass(frozen=True)
class Shouting:
    most: float = 0.5
    name: str = "shouting"

    def __call__(self, row, anchors):
        letters = [c for c in row.answer if c.isalpha()]
        share = sum(c.isupper() for c in letters) / max(1, len(letters))
        return drop("shouts", share) if share > self.most else keep()

CHECK = Shouting()
"""


def test_every_shipped_check_goes_by_its_name() -> None:
    assert {load(name).name for name in names()} == set(names())
    assert {"final-answer", "near-duplicate", "exact-duplicate", "language", "copied", "truncated"} <= set(names())


def test_settings() -> None:
    assert load("language=de") == Language("de")
    assert load("near-duplicate:threshold=0.8") == NearDuplicate(threshold=0.8)
    assert load("near-duplicate=0.9:n=5,column=answer") == NearDuplicate(0.9, 5, "answer")
    assert repr(load("length=20:most=none")) == "Length(least=20, most=None)"


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    check = load(f"{file}:most=0.9")
    assert check(Row(text="ABc"), ()).keeps  # type: ignore[operator,call-arg]
    assert load(str(file))(Row(text="ABc"), ()).reason == "shouts"  # type: ignore[operator,call-arg]
    assert file_of(f"{file}:most=0.9") == file and file_of("language=de") is None


FOLD = """
class Once:
    name, columns = "once", ("text",)

    def begin(self):
        seen = set()
        def judge(table):
            new = [text not in seen for text in table.column("text").to_pylist()]
            seen.update(table.column("text").to_pylist())
            return new
        return judge

CHECK = Once
"""


def test_a_file_may_hold_a_fold(tmp_path: Path) -> None:
    (tmp_path / "once.py").write_text(FOLD)
    judge = load(str(tmp_path / "once.py")).begin()  # type: ignore[union-attr]
    table = pa.table({"text": ["a"]})
    assert (judge(table), judge(table)) == ([True], [False])


def test_the_hash_of_a_file_is_that_of_what_was_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    for most in ("0.5", "0.7"):  # of the same length and within one second: no cached form of the file may be run
        file.write_text(MINE.replace("0.5", most))
        check, sha256 = load_file(str(file))
        assert sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert settings_of(check)["most"] == float(most)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("langauge", "did you mean 'language'?"),
        ("zzz", "the checks are:"),
        ("language:wnat=de", "its settings are: want"),
        ("length=many", "a value like 5"),
        ("language:de", "write NAME=VALUE"),
        ("near-duplicate=2", "between 0 and 1"),
        ("copied:n=0", "n is 1 or more"),
        ("copied=-0.1", "most is 0 or more"),
        ("equations=-1", "tolerance is 0 or more"),
        ("repetition:n=0", "n is 1 or more"),
        ("length:least=10,most=9", "most (9) is below least (10)"),
        ("instruction:least=9,most=8", "most (8) is below least (9)"),
        ("language=", "no code of a language"),
        ("language=English", "no code of a language"),
        ("./nowhere.py", "there is no such file"),
    ],
)
def test_mistakes_are_explained(spec: str, words: str) -> None:
    with pytest.raises(SynthgainError) as error:
        load(spec)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("x = 1\ny = (", "bad.py:2"),
        ("x = 1\n\ny = 1 / 0\n", "bad.py:3"),
        ("import nowhere_at_all\n", "bad.py:1"),
        ("x = 1\n", "has no CHECK"),
        ("CHECK = 3\n", "no check"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, code: str, place: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(SynthgainError) as error:
        load(str(tmp_path / "bad.py"))
    assert place in str(error.value)
