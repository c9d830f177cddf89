"""Tokens on disk: the same examples come back, and what was counted."""

from pathlib import Path

import pytest

from synthgain.train import tokens
from synthgain.train.spelling import IGNORED, Example, Spelled
from synthgain.types import SynthgainError

ROWS = [
    Spelled((Example((1, 2, 3), (IGNORED, 2, 3), (0, 0)),), answer=2),
    Spelled(no_answer=1, cut=1),
    Spelled((Example((4, 5), (4, 5), (2, 2)), Example((70_000, 7), (IGNORED, 7), (2, 3))), tools_unwritten=1, answer=1),
    Spelled(),
]


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    assert not tokens.written(tmp_path / "t")
    found = tokens.write(iter(ROWS), tmp_path / "t")
    again = tokens.Tokens(tmp_path / "t")
    for one in (found, again):
        assert list(one) == [example for row in ROWS for example in row.examples]
        assert one[1] == ROWS[2].examples[:1] and len(one) == 3 and one.total == 7
        assert one.lengths().tolist() == [3, 2, 2] and one.learnt().tolist() == [2, 1, 1]
        assert (one.counts.rows, one.counts.no_answer, one.counts.cut, one.counts.tools_unwritten) == (4, 1, 1, 1)
        assert one.counts.longest_answer == 2
    assert tokens.written(tmp_path / "t")


def test_a_row_is_whole_where_all_its_examples_are_reached(tmp_path: Path) -> None:
    import numpy as np

    found = tokens.write(iter(ROWS), tmp_path / "t")
    assert found.whole_rows(np.array([True, True, True])).tolist() == [True, False, True, True]
    assert found.whole_rows(np.array([True, True, False])).tolist() == [True, False, False, False]


def test_pairs_are_one_place_of_a_schedule(tmp_path: Path) -> None:
    pair = Spelled((Example((1, 2), (IGNORED, 2)), Example((1, 3, 4), (IGNORED, 3, 4))))
    found = tokens.write(iter([pair, pair]), tmp_path / "t", step=2)
    assert len(found) == 2 and found[1] == pair.examples
    assert found.lengths().tolist() == [5, 5] and found.learnt().tolist() == [3, 3]


def test_a_row_that_cannot_be_spelled_is_counted_and_many_are_refused(tmp_path: Path) -> None:
    odd = Spelled(refused=SynthgainError("the template refuses it", where="f:3"))
    found = tokens.write(iter([ROWS[0]] * 20 + [odd]), tmp_path / "t")
    assert found.counts.rows_refused == 1 and found.counts.refused[0]["first"] == "f:3"
    for strict, rows in ((True, [ROWS[0]] * 20 + [odd]), (False, [ROWS[0], odd, odd])):
        with pytest.raises(SynthgainError, match="refuses"):
            tokens.write(iter(rows), tmp_path / "other", strict=strict)
    assert not tokens.written(tmp_path / "other")


def test_nothing_at_all_is_no_error_here(tmp_path: Path) -> None:
    found = tokens.write(iter([Spelled(no_answer=1)]), tmp_path / "t")
    assert len(found) == found.total == 0
