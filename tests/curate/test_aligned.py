"""Items inside texts, changed: the planted ones of a real set."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from synthgain.curate import aligned
from synthgain.curate.aligned import Aligned
from synthgain.types import SynthgainError


@pytest.mark.parametrize(
    ("kinds", "least", "most"),
    [
        (("edit10", "edit20"), 0.8, 1.0),
        (("numbers_changed",), 0.95, 1.0),
        (("format_changed",), 0.95, 1.0),
        ((None,), 0.0, 0.0),
    ],
    ids=["words changed", "numbers changed", "another format", "none there"],
)
def test_planted_items(kinds: tuple[Any, ...], least: float, most: float, real_data: Path) -> None:
    def rows(name: str) -> list[dict[str, Any]]:
        with gzip.open(real_data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    names = {"arc_easy_test": "qa/arc_easy_test", "gsm8k_test_first_half": "reasoning/gsm8k_test_first_half"}
    items = [row for name in names.values() for row in rows(name)]
    held = [r for r in rows("dedup/planted_contamination") if r["kind"] in kinds and r["eval_set"] in (None, *names)]
    found = [
        any(row["contaminated"] is False or items[hit.item]["id"] == row["item_id"] for hit in hits)
        for row, hits in zip(
            held[:200], Aligned(item["question"] for item in items).find(r["text"] for r in held[:200])
        )
    ]
    assert least <= sum(found) / len(found) <= most


def test_sets_of_too_many_words_are_refused_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligned, "HELD", 5)
    with pytest.raises(SynthgainError, match="more than 5 words") as error:
        Aligned(["one two three", "four five six"])
    assert "inside=false" in error.value.next


def test_which_items_can_be_found() -> None:
    assert Aligned(["Who?", "of the and of the", "alder birch cedar ebony"]).looked_for == [False, False, True]
    assert list(Aligned([]).find(["alder birch cedar ebony"])) == [[]]
