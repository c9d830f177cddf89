"""Whether a query gives what the gold query does."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from synthgain.curate.boxed import Boxed
from synthgain.curate.code import fenced
from synthgain.curate.empty import no_answer
from synthgain.curate.lacking import of_anchors
from synthgain.sandbox import shared
from synthgain.thinking import parted
from synthgain.types import Anchor, Row, Verdict, drop, keep

REASONS = {
    "wrong": "wrong",
    "error": "error",
    "time": "time",
    "memory": "memory",
    "output": "output",
    "refused": "refused",
    "gold": "gold query that cannot be used",
}
_BEGINS = re.compile(r"^[ \t]*(?:select|with)\b", re.IGNORECASE | re.MULTILINE)
_TAGS = ("", "sql", "sqlite", "sqlite3")


@dataclass(frozen=True)
class Sql(Boxed):
    """Drops a query whose result is not the gold query's, on a database in memory that has the anchor's schema and rows.

    `gold`, `schema` and `rows` name the anchor's fields: a query; the statements that make the tables (and may fill them); further rows, by
    table (`{"towns": [["Orrin", 3], …]}`, also as JSON). Rows count as often as they come; their order counts where the gold query
    has ORDER BY (of rows that tie, too: a gold query that leaves their order open judges too hard). Columns count in their order, not by name;
    numbers to ten digits. A gold query that gives no rows cannot be compared with. `steps` are instructions of SQLite's machine, so a verdict
    does not depend on the machine's speed. It runs in the sandbox: a query may read, and nothing else.
    """

    gold: str = "sql"
    schema: str = "schema"
    rows: str = "rows"
    steps: int = 20_000_000
    verifies: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return "sql"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        anchor = next((a for a in anchors if a.fields.get(self.gold) and a.fields.get(self.schema)), None)
        if anchor is None:
            return drop("no gold query")
        if why := no_answer(row):
            return drop(why)
        query = query_in(row.answer)
        if query is None:
            return drop("no query")
        rows = anchor.fields.get(self.rows)
        schema, gold = str(anchor.fields[self.schema]), str(anchor.fields[self.gold])
        came = shared().compare(query, gold, schema=schema, rows=_held(rows), steps=self.steps)
        return keep() if came.same else drop(REASONS[came.why])

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field of the gold query or of the tables, where no anchor has it."""
        return of_anchors(anchors, self.gold, self.schema)


def query_in(text: str) -> str | None:
    """The query of an answer: the last fenced block that holds one, or what stands from the first SELECT or WITH at a line's begin to its end
    (a semicolon or an empty line). None where there is none."""
    said = parted(text).content.replace("\r\n", "\n")
    blocks = [body for tag, body in fenced(said) if tag in _TAGS and _BEGINS.search(body)]
    found = _BEGINS.search(blocks[-1] if blocks else said)
    if found is None:
        return None
    query = found.string[found.start() :]
    return (query if blocks else re.split(r";|\n[ \t]*\n", query, maxsplit=1)[0]).strip().rstrip(";").strip()


def _held(rows: object) -> object:
    if isinstance(rows, str):
        try:
            return json.loads(rows)
        except (ValueError, RecursionError):
            return rows  # the verdict says that they cannot be used
    return rows


CHECK = Sql
