"""Other sets that an audit looks for in rows: evaluation sets, or data that is there already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthgain.api.given import Given
from synthgain.chain.given import asked_of
from synthgain.curate.against import Against, told
from synthgain.curate.aligned import Aligned
from synthgain.measure.leaks import COMMON, SHORT, SPAN, Leaks
from synthgain.store.rows import spoken
from synthgain.types import Judge
from synthgain.words import words

LEAST = 8  # words of a text by which nearness says something
NAMED = 3  # items that are named for one row
EXAMPLES = 10  # pairs that are shown of a set


@dataclass(frozen=True)
class Item:
    """One item of a set: the set's name, its place there, what is asked and the item as a whole."""

    set: str
    where: str
    asked: str
    whole: str


@dataclass
class Found:
    """What of one set was found."""

    items: int = 0
    too_short: int = 0
    found: set[int] = field(default_factory=set)
    rows: int = 0
    by_run: int = 0
    by_nearness: int = 0
    by_words: int = 0  # rows that hold an item in part or changed
    passages: int = 0  # rows that have some words in a row in common, and no more
    examples: list[dict[str, Any]] = field(default_factory=list)


class Evals:
    """Items that rows are looked up against, by runs of 13 words, by nearness, and word by word."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.names = [item.set for item in items]
        self.where = [item.where for item in items]
        self.leaks = Leaks(item.asked for item in items)
        self.aligned = Aligned(item.asked for item in items)
        long = [len(words(item.asked)) >= LEAST for item in items]
        self.judge: Judge = Against(("items",)).primed(lambda: _texts(items, long)).begin()
        self.found: dict[str, Found] = {name: Found() for name in dict.fromkeys(self.names)}
        for item, *ways in zip(items, self.leaks.has_runs.tolist(), long, self.aligned.looked_for):
            self.found[item.set].items += 1
            self.found[item.set].too_short += not any(ways)

    @staticmethod
    def read(sets: Sequence[str | Path]) -> Evals:
        """The items of files, folders and hf://…; each file is a set of its own name."""
        return Evals([item for source in sets for item in _items(str(source))])

    @property
    def rule(self) -> str:
        left = sum(found.too_short for found in self.found.values())
        return (
            f"An item is in a row where a quarter of the runs of {SPAN} words of its question stand there (of a question of {SHORT} to {SPAN - 1} words "
            f"half of its runs of {SHORT}; runs that stand in more than {COMMON} items are a template's: {self.leaks.common:,} were left out), or where the row or its question nearly says what the item or its question "
            f"says (word pairs, Jaccard 0.7 or more, texts of {LEAST} words or more), or where enough of the words of its question stand there in their order, other numbers and changed "
            f"words between them (by weight: half of them, if they are many; nine tenths of a short one; seldom words weigh more). Fewer runs are a passage that both have: a quotation, an "
            f"idiom of code. {left:,} items are too short for all of these and were not looked for. A paraphrase or a translation is not seen."
        )

    def look(self, table: pa.Table, places: Sequence[int]) -> tuple[list[str], list[str]]:
        """For each row a line for each item that is in it, and one for each with which it shares a passage; three at most; "" for none."""
        texts = [text or "" for text in table.column("text").to_pylist()]
        shared, beside = self.leaks.find(texts), self.aligned.find(texts)
        leaks, passages, enough = [], [], self.leaks.enough
        for place, runs, verdict, laid in zip(places, shared, self.judge(table), beside):
            hits = {
                item: f"holds the question of {self._place(item)} ({share:.0%} of its runs)"
                for item, share in runs.items()
                if share >= enough[item]
            }
            for name in {self.names[item] for item in hits}:
                self.found[name].by_run += 1
            if not verdict.keeps:
                item = int(verdict.reason.rsplit(" ", 1)[1])
                self.found[self.names[item]].by_nearness += 1
                hits.setdefault(item, f"nearly says what is said in {self._place(item)} ({verdict.score:.2f})")
            more = {h.item: f"holds {told(h, self._place(h.item))} ({h.share:.0%} of its weight)" for h in laid}
            for name in {self.names[item] for item in more}:
                self.found[name].by_words += 1
            hits = hits | {item: how for item, how in more.items() if item not in hits}
            for name in {self.names[item] for item in hits}:
                self.found[name].rows += 1
            for item, how in hits.items():
                found = self.found[self.names[item]]
                found.found.add(item)
                if len(found.examples) < EXAMPLES:
                    found.examples.append({"row": place, "how": how})
            rest = {item: f"has words in a row in common with {self._place(item)}" for item in runs if item not in hits}
            for name in {self.names[item] for item in rest}:
                self.found[name].passages += 1
            leaks.append("\n".join(list(hits.values())[:NAMED]))
            passages.append("\n".join(list(rest.values())[:NAMED]))
        return leaks, passages

    def _place(self, item: int) -> str:
        return f"{self.names[item]} #{self.where[item]}"

    def told(self) -> list[dict[str, Any]]:
        """By set, for the record: the one with most items found first."""
        return [
            {
                "set": name,
                "items": found.items,
                "too_short": found.too_short,
                "items_found": len(found.found),
                "rows": found.rows,
                "rows_by_run": found.by_run,
                "rows_by_nearness": found.by_nearness,
                "rows_by_words": found.by_words,
                "rows_with_a_passage": found.passages,
                "examples": found.examples,
            }
            for name, found in sorted(self.found.items(), key=lambda f: -len(f[1].found))
        ]


def _items(source: str) -> Iterator[Item]:
    for given in Given(source):
        place = str(given.row.fields.get("source_row") or given.where)
        name, _, number = place.rpartition("#")
        asked = asked_of(given.row)
        whole = spoken(given.row.messages, given.row.text)
        yield Item(_set_name(name or place), number or place, asked or whole, whole)


def _set_name(file: str) -> str:
    """A file's name without its endings."""
    folder, slash, name = file.rpartition("/")
    return folder + slash + name.partition(".")[0]


def _texts(items: Sequence[Item], long: Sequence[bool]) -> Iterator[tuple[str, str]]:
    for i, item in enumerate(items):
        if long[i]:
            yield from ((str(i), text) for text in dict.fromkeys((item.asked, item.whole)))
