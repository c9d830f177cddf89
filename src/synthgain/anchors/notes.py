"""What is said of a reading: rows and files that were not taken, by reason, and all else worth knowing, counted and with a place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synthgain.types import SynthgainError

SHOWN = 5  # problems, or pairs, that are named
PLACES = 3  # first places of each reason
REASONS = 40  # different ones that are kept; further rows and files are counted
WARNINGS = 20  # different ones that are kept; further ones are counted
NAMED = 20  # columns or fields that are named
LONG = 400  # characters of one remark in the record


@dataclass(frozen=True)
class Skipped:
    """Rows (`kind` "row") or files ("file") that were not taken, all for one reason; `first` are the first places."""

    kind: str
    why: str
    n: int
    first: tuple[str, ...]

    def __str__(self) -> str:
        more = ", …" if self.n > len(self.first) else ""
        return f"{_short(self.why, 200)} ({f'{self.n:,}: ' if self.n > 1 else ''}{', '.join(self.first)}{more})"


@dataclass(frozen=True)
class Summary:
    """What was read. `rows` = anchors + `duplicates`, and beside them `skipped_rows`; `bytes` are those on disk (0 for data not in files).

    `differing` of the duplicates have other values in fields that are no part of an anchor's identity; `differing_in` names such fields.
    `text_fields` counts files by the column their text came from; `chats` are conversations, of which the text is all before the last
    answer. `repeats` are the first pairs (dropped, what it repeats); `skipped` are rows and files that were not taken, by reason.
    """

    source: str
    files: int = 0
    rows: int = 0
    bytes: int = 0
    duplicates: int = 0
    differing: int = 0
    differing_in: Sequence[str] = ()
    repeats: Sequence[tuple[str, str]] = ()
    text_fields: Mapping[str, int] = field(default_factory=dict)
    chats: int = 0
    skipped: Sequence[Skipped] = ()
    skipped_rows: int = 0
    skipped_files: int = 0
    warnings: Sequence[str] = ()

    @property
    def anchors(self) -> int:
        """How many anchors there are."""
        return self.rows - self.duplicates

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know before buying from these: what was skipped, not read, or merged. One line each."""
        said = []
        if self.skipped_rows:
            whole = self.rows + self.skipped_rows
            said.append(f"{self.skipped_rows:,} of {_count(whole, 'row')} skipped: {self._reasons('row')}")
        if self.skipped_files:
            said.append(f"{_count(self.skipped_files, 'file')} not read: {self._reasons('file')}")
        if self.duplicates:
            pairs = "; ".join(f"{dropped} repeats {first}" for dropped, first in self.repeats[:2])
            more = "; …" if self.duplicates > 2 else ""
            said.append(
                f"{_count(self.duplicates, 'duplicate')} of {self.rows:,} merged: {pairs}{more}{self._differing()}"
            )
        return tuple(said)

    def _reasons(self, kind: str) -> str:
        of_kind = [s for s in self.skipped if s.kind == kind]
        unnamed = (self.skipped_rows if kind == "row" else self.skipped_files) - sum(s.n for s in of_kind)
        return "; ".join([*map(str, of_kind), *([f"and {unnamed:,} more for other reasons"] if unnamed else [])])

    def _differing(self) -> str:
        if not self.differing:
            return ""
        one = self.differing == 1
        return (
            f"; {self.differing:,} of them {'differs in its' if one else 'differ in their'} fields"
            f" ({_some(self.differing_in)}), which the recipe does not read"
        )

    def __str__(self) -> str:
        where = f" from {_count(self.files, 'file')} ({size(self.bytes)})" if self.files else ""
        lines = [f"{_count(self.anchors, 'anchor')}{where}"]
        if self.text_fields:
            named = [f"{name!r} ({n:,} files)" if n > 1 else repr(name) for name, n in self.text_fields.items()]
            lines.append(f"text from column {_some(named)}")
        if self.chats:
            lines.append(f"{_count(self.chats, 'conversation')}: the text is all before the last answer")
        return "\n  ".join([*lines, *self.remarks, *(f"note: {w}" for w in self.warnings)])

    def json(self) -> dict[str, Any]:
        """The same for a run's record: a few kB at most, whatever was read."""
        columns = list(self.text_fields.items())
        return {
            "source": _short(self.source),
            "files": self.files,
            "bytes": self.bytes,
            "rows": self.rows,
            "anchors": self.anchors,
            "text_fields": {_short(name): n for name, n in columns[:NAMED]},
            "chats": self.chats,
            "duplicates": self.duplicates,
            "repeats": [[_short(dropped), _short(first)] for dropped, first in self.repeats],
            "differing": self.differing,
            "differing_in": [_short(name) for name in self.differing_in[:NAMED]],
            "skipped": {
                "rows": self.skipped_rows,
                "files": self.skipped_files,
                "by": [
                    {"kind": s.kind, "why": _short(s.why), "n": s.n, "first": [_short(p) for p in s.first]}
                    for s in self.skipped
                ],
            },
            "warnings": [_short(w) for w in self.warnings],
        }


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _short(text: str, most: int = LONG) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def size(n: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 100 else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"


class Notes:
    """Collects while files are read."""

    def __init__(self) -> None:
        self.problems: list[SynthgainError] = []  # the first ones
        self.bad_rows = self.bad_files = 0
        self.skipped_files = 0
        self.files = 0
        self.bytes = 0
        self.text_fields: dict[str, int] = {}
        self.chats = 0
        self._skipped: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = {}
        self._warned: dict[str, tuple[int, str]] = {}
        self._unsaid = 0

    @property
    def bad(self) -> int:
        """Rows and files that cannot be used."""
        return self.bad_rows + self.bad_files

    def problem(self, error: SynthgainError, *, whole_file: bool = False) -> None:
        """A row or file that cannot be used. A broken file is named first: bad rows in it may be its symptoms."""
        if whole_file:
            self.bad_files += 1
            self.problems.insert(0, error)
            del self.problems[SHOWN:]
            self.skip(error.where, error.what)
            return
        self.bad_rows += 1
        if len(self.problems) < SHOWN:
            self.problems.append(error)
        self._count("row", _reason(error.what), error.where)

    def skip(self, path: str, why: str) -> None:
        """A file that is not read."""
        self.skipped_files += 1
        self._count("file", why, path)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """By reason, in the order in which they were met."""
        return tuple(Skipped(kind, why, n, first) for (kind, why), (n, first) in self._skipped.items())

    def _count(self, kind: str, why: str, place: str) -> None:
        n, first = self._skipped.get((kind, why), (0, ()))
        if n or len(self._skipped) < REASONS:
            self._skipped[kind, why] = (n + 1, (*first, place) if len(first) < PLACES else first)

    def warn(self, what: str, where: str = "") -> None:
        """Equal ones are counted; the first place is kept."""
        if what not in self._warned and len(self._warned) == WARNINGS:
            self._unsaid += 1
            return
        n, first = self._warned.get(what, (0, where))
        self._warned[what] = (n + 1, first)

    @property
    def warnings(self) -> tuple[str, ...]:
        said = []
        for what, (n, first) in self._warned.items():
            place = f" ({n:,} times, first at {first})" if n > 1 and first else f" ({first})" if first else ""
            said.append(what + place)
        return (*said, *([f"and {self._unsaid:,} other remarks"] if self._unsaid else []))

    def raise_problems(self, source: str) -> None:
        """One error for all that was wrong, if anything was."""
        if not self.bad:
            return
        if self.bad == 1:
            raise self.problems[0]
        lines = [f"{p.where}: {p.what}" if p.where else p.what for p in self.problems]
        more = self.bad - len(lines)
        shown = "\n".join(f"  {line}" for line in [*lines, *([f"and {more:,} more"] if more else [])])
        raise SynthgainError(
            f"{self.bad:,} rows or files cannot be used\n{shown}",
            where=source,
            next=next((p.next for p in self.problems if p.next), "mend or remove them"),
            code=max(p.code for p in self.problems),
        )


def _reason(what: str) -> str:
    """What is wrong, without what differs from row to row."""
    return re.split("[:;]", what, maxsplit=1)[0]
