import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain.store import Run, atomic_write
from synthgain.store.calls import _Known
from synthgain.store.staged import Staged
from synthgain.types import Row, SynthgainError, Verdict, assistant, drop, user


@given(st.lists(st.binary(min_size=16, max_size=16), unique=True, max_size=200))
def test_the_filter_knows_every_key_however_it_was_added(keys: list[bytes]) -> None:
    one, many = _Known(len(keys)), _Known(len(keys))
    for key in keys:
        one.add(key)
    many.add_many(keys)
    assert one.bits == many.bits and all(key in many for key in keys)


def test_the_filter_seldom_cries_wolf() -> None:
    import hashlib

    keys = [hashlib.sha256(str(i).encode()).digest()[:16] for i in range(300_000)]
    known = _Known(0)
    known.add_many(keys[:250_000])
    assert sum(key in known for key in keys[250_000:]) < 250  # 0.5 %


def test_a_write_is_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a" / "x.json"
    atomic_write(file, "one")
    with pytest.raises(TypeError):
        atomic_write(file, 5)  # type: ignore[arg-type]
    assert file.read_text() == "one"


def test_a_folder_that_is_no_run_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="not a run") as error:
        Run.at(tmp_path)
    assert "generate" in error.value.next
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(SynthgainError, match="damaged"):
        _ = Run.at(tmp_path).record


def test_a_run_of_an_earlier_format_is_refused_in_words(tmp_path: Path) -> None:
    atomic_write(tmp_path / "run.json", json.dumps({"synthgain": "0.1.0", "status": "complete"}))
    with pytest.raises(SynthgainError, match="written in format 1, and this synthgain reads format 2") as error:
        Run.at(tmp_path)
    assert error.value.code == 2 and "-o" in error.value.next


def rows() -> list[Row]:
    chat = [Row(messages=(user(f"q{i}"), assistant(f"good {i}")), fields={"n": i}) for i in range(3)]
    bad = [
        Row(messages=(user(f"q{i}"), assistant(f"bad {i}")), verdicts=(drop("wrong", check="final-answer"),))
        for i in range(2)
    ]
    return chat + bad


def placed(folder: Path, rows: list[Row], fallen: dict[int, Verdict] | None = None) -> Run:
    run = Run(folder)
    staged = Staged(folder / ".staged")
    staged.write(rows[:2])
    staged.write(rows[2:])
    staged.place(fallen or {}, run.path, with_groups=True)
    atomic_write(run.run_json, json.dumps({"format": 2, "status": "complete"}))
    return run


def test_set_verdicts_are_entered_in_their_rows(tmp_path: Path) -> None:
    run = placed(tmp_path, rows(), {1: drop("seen before", 0.9, "exact-duplicate")})
    stored = pq.read_table(run.path / "rows").to_pylist()
    assert [r["kept"] for r in stored] == [True, False, True, False, False]
    assert (stored[1]["check"], stored[1]["reason"], stored[1]["score"]) == ("exact-duplicate", "seen before", 0.9)
    assert pq.read_table(run.data).column("n").to_pylist() == [0, 2]


def test_a_row_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    run, row = placed(tmp_path, rows()), rows()[1]
    assert run.row(row.id[:10])["messages"][1]["content"] == "good 1"
    with pytest.raises(SynthgainError, match="no row"):
        run.row("zz")
    with pytest.raises(SynthgainError, match="5 rows"):
        run.row("")
