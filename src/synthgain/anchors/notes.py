"""What is said of a reading: bad rows, which stop it, and everything else worth knowing, counted and with a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synthgain.types import SynthgainError

SHOWN = 5  # places named of each kind
WARNINGS = 20  # different ones that are kept; further ones are counted
NAMED = 20  # columns or fields that are named
LONG = 400  # characters of one remark in the record


@dataclass(frozen=True)
class Skipped:
    """What was found and not read, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class Summary:
    """What was read. `rows` = anchors + `duplicates`; `bytes` are those on disk (0 for data not in files).

    `differing` of the duplicates have other values in fields that are no part of an anchor's identity; `differing_in` names such fields.
    `text_fields` counts files by the column their text came from; `chats_cut` are chats of several turns of which the text is the last
    user turn. `repeats` are the first pairs (dropped, what it repeats); `skipped` the first paths not read, of `skipped_total`.
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
    chats_cut: int = 0
    skipped: Sequence[Skipped] = ()
    skipped_total: int = 0
    warnings: Sequence[str] = ()

    @property
    def anchors(self) -> int:
        """How many anchors there are."""
        return self.rows - self.duplicates

    def __str__(self) -> str:
        where = f" from {_count(self.files, 'file')} ({size(self.bytes)})" if self.files else ""
        lines = [f"{_count(self.anchors, 'anchor')}{where}"]
        if self.text_fields:
            named = [f"{name!r} ({n:,} files)" if n > 1 else repr(name) for name, n in self.text_fields.items()]
            lines.append(f"text from column {_some(named)}")
        if self.chats_cut:
            lines.append(
                f"{_count(self.chats_cut, 'chat')} cut to the last user turn (the other turns stay in the fields)"
            )
        if self.duplicates:
            pairs = "; ".join(f"{dropped} repeats {first}" for dropped, first in self.repeats)
            more = "; …" if self.duplicates > len(self.repeats) else ""
            lines.append(f"{_count(self.duplicates, 'duplicate')} dropped: {pairs}{more}")
        if self.differing:
            lines.append(
                f"{self.differing:,} of them {'differs' if self.differing == 1 else 'differ'} in"
                f" {'its' if self.differing == 1 else 'their'} fields ({_some(self.differing_in)}), which the recipe does not read"
            )
        if self.skipped_total:
            named = [f"{s.path} ({s.why})" for s in self.skipped]
            unnamed = self.skipped_total - len(self.skipped)
            lines.append(f"not read: {', '.join(named)}{f' and {unnamed:,} more' if unnamed else ''}")
        return "\n  ".join([*lines, *(f"note: {w}" for w in self.warnings)])

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
            "chats_cut": self.chats_cut,
            "duplicates": self.duplicates,
            "repeats": [[_short(dropped), _short(first)] for dropped, first in self.repeats],
            "differing": self.differing,
            "differing_in": [_short(name) for name in self.differing_in[:NAMED]],
            "skipped": [{"path": _short(s.path), "why": _short(s.why)} for s in self.skipped],
            "skipped_total": self.skipped_total,
            "warnings": [_short(w) for w in self.warnings],
        }


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _short(text: str) -> str:
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


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
        self.bad = 0
        self.skipped: list[Skipped] = []
        self.skipped_total = 0
        self.files = 0
        self.bytes = 0
        self.text_fields: dict[str, int] = {}
        self.chats_cut = 0
        self._warned: dict[str, tuple[int, str]] = {}
        self._unsaid = 0

    def problem(self, error: SynthgainError, *, whole_file: bool = False) -> None:
        """A row or file that cannot be used. A broken file is named first: bad rows in it may be its symptoms."""
        self.bad += 1
        if whole_file:
            self.problems.insert(0, error)
            del self.problems[SHOWN:]
        elif len(self.problems) < SHOWN:
            self.problems.append(error)

    def skip(self, path: str, why: str) -> None:
        self.skipped_total += 1
        if len(self.skipped) < SHOWN:
            self.skipped.append(Skipped(path, why))

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
