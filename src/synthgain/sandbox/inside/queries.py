"""A query of a model against the gold query, on a database in memory. SQLite reads untrusted text, so it too runs in a box.

Steps are counted in instructions of SQLite's own machine, so that they do not depend on the processor. Extensions cannot be loaded, no file can
be attached, and a query may only read.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

EVERY = 1000  # instructions between two looks at their number
MOST_ROWS = 100_000
LONGEST = 1_000_000  # bytes of a value
DIGITS = 10  # significant ones in which two sums are the same
CHANCE = ("random", "randomblob", "load_extension")
_APART = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL)
_INNER = re.compile(r"\([^()]*\)")
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)


class Faulty(Exception):
    """What a query came to instead of rows: kind and text."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(said)
        self.kind, self.said = kind, said


def main(job: dict[str, Any]) -> NoReturn:
    """Compare, and print the verdict: its kind ("" where both queries give the same) and its text."""
    try:
        kind, said = compared(job)
    except Faulty as error:
        kind, said = error.kind, error.said
    except MemoryError:
        kind, said = "memory", "out of memory"
    os.write(1, json.dumps([kind, said]).encode())
    os._exit(0)


def compared(job: Mapping[str, Any]) -> tuple[str, str]:
    database = Database(int(job["steps"]))
    try:
        database.fill(str(job["schema"]), job["rows"])
        gold = database.rows(str(job["gold"]))
    except Faulty as error:
        return "gold", error.said
    if not gold:
        return "gold", "its result is empty"
    found = database.rows(str(job["query"]))
    same = found == gold if in_order(str(job["gold"])) else Counter(found) == Counter(gold)
    return ("", "") if same else ("wrong", f"{len(found)} rows, not {len(gold)}" if len(found) != len(gold) else "")


class Database:
    """SQLite in memory, with a number of instructions for each thing that it is asked."""

    def __init__(self, steps: int) -> None:
        import sqlite3

        self.sqlite, self.steps = sqlite3, steps
        self.base = sqlite3.connect(":memory:", isolation_level=None)
        for name, most in (
            (sqlite3.SQLITE_LIMIT_LENGTH, LONGEST),
            (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        ):
            self.base.setlimit(name, most)
        self.reading = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
        self.writing = self.reading | {
            *(
                sqlite3.SQLITE_CREATE_TABLE,
                sqlite3.SQLITE_CREATE_INDEX,
                sqlite3.SQLITE_CREATE_VIEW,
                sqlite3.SQLITE_INSERT,
            ),
            *(sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_REINDEX, sqlite3.SQLITE_ALTER_TABLE),
        }

    def fill(self, schema: str, rows: object) -> None:
        """Tables by their statements; further rows as lists or mappings, by table."""
        self._allow(self.writing)
        self._carried_out(lambda: self.base.executescript(schema))
        if not isinstance(rows, dict | None):
            raise Faulty("gold", "its rows are no mapping from tables to lists")
        for table, held in (rows or {}).items():
            for row in held:
                names = f" ({', '.join(map(_quoted, row))})" if isinstance(row, dict) else ""
                values = list(row.values()) if isinstance(row, dict) else list(row)
                text = f"INSERT INTO {_quoted(table)}{names} VALUES ({', '.join('?' * len(values))})"
                self._carried_out(lambda text=text, values=values: self.base.execute(text, values))  # type: ignore[misc]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The result of one query that only reads."""
        self._allow(self.reading)

        def asked() -> list[tuple[Any, ...]]:
            found = self.base.execute(query).fetchmany(MOST_ROWS + 1)
            if len(found) > MOST_ROWS:
                raise Faulty("output", f"more than {MOST_ROWS:,} rows")
            return [tuple(map(_comparable, row)) for row in found]

        found: list[tuple[Any, ...]] = self._carried_out(asked)
        return found

    def _allow(self, actions: set[int]) -> None:
        sqlite = self.sqlite

        def decides(action: int, first: str | None, second: str | None, *_: str | None) -> int:
            allowed = (second or "").lower() not in CHANCE if action == sqlite.SQLITE_FUNCTION else action in actions
            return int(sqlite.SQLITE_OK if allowed else sqlite.SQLITE_DENY)

        self.base.set_authorizer(decides)

    def _carried_out(self, what: Callable[[], Any]) -> Any:
        left = self.steps // EVERY

        def counted() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        self.base.set_progress_handler(counted, EVERY)
        try:
            return what()
        except (self.sqlite.Error, self.sqlite.Warning, ValueError, OverflowError) as error:
            said = str(error)
            kind = (
                "time"
                if said == "interrupted"
                else "refused"
                if "not authorized" in said or "prohibited" in said
                else "error"
            )
            raise Faulty(kind, said[:300]) from error


def in_order(query: str) -> bool:
    """Whether the query as a whole asks for an order: ORDER BY outside of brackets, texts and remarks."""
    bare = _APART.sub(" ", query)
    while (inner := _INNER.sub(" ", bare)) != bare:
        bare = inner
    return _ORDERED.search(bare) is not None


def _comparable(value: Any) -> Any:
    """Numbers that are the same to ten digits are the same, whether whole or not."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1 << 53 else f"{value:.{DIGITS}g}"
    return value


def _quoted(name: object) -> str:
    return '"' + str(name).replace('"', '""') + '"'
