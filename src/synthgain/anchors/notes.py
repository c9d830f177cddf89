"""What is said of a reading: bad rows, which stop it, and everything else worth knowing, counted and with a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from synthgain.types import SynthgainError

SHOWN = 5  # places named of each kind


@dataclass(frozen=True)
class Skipped:
    """What was found and not read, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class Summary:
    """What was read. `rows` = anchors + `duplicates`; `bytes` are those on disk (0 for data not in files).

    `text_fields` counts files by the column their text came from. `repeats` are the first pairs
    (dropped, what it repeats); `skipped` the first paths not read, of `skipped_total`.
    """

    source: str
    files: int = 0
    rows: int = 0
    bytes: int = 0
    duplicates: int = 0
    repeats: Sequence[tuple[str, str]] = ()
    text_fields: Mapping[str, int] = field(default_factory=dict)
    skipped: Sequence[Skipped] = ()
    skipped_total: int = 0
    warnings: Sequence[str] = ()

    def __str__(self) -> str:
        where = f" from {self.files:,} file{'s' if self.files != 1 else ''} ({size(self.bytes)})" if self.files else ""
        n = self.rows - self.duplicates
        lines = [f"{n:,} anchor{'s' if n != 1 else ''}{where}"]
        if self.text_fields:
            named = (f"{name!r} ({n:,} files)" if n > 1 else repr(name) for name, n in self.text_fields.items())
            lines.append(f"text from column {', '.join(named)}")
        if self.duplicates:
            pairs = "; ".join(f"{dropped} repeats {first}" for dropped, first in self.repeats)
            more = "; …" if self.duplicates > len(self.repeats) else ""
            lines.append(f"{self.duplicates:,} duplicate{'s' if self.duplicates != 1 else ''} dropped: {pairs}{more}")
        if self.skipped_total:
            named = (f"{s.path} ({s.why})" for s in self.skipped)
            more = (
                f" and {self.skipped_total - len(self.skipped):,} more"
                if self.skipped_total > len(self.skipped)
                else ""
            )
            lines.append(f"not read: {', '.join(named)}{more}")
        return "\n  ".join([*lines, *(f"note: {w}" for w in self.warnings)])


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
        self._warned: dict[str, tuple[int, str]] = {}

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
        n, first = self._warned.get(what, (0, where))
        self._warned[what] = (n + 1, first)

    @property
    def warnings(self) -> tuple[str, ...]:
        said = []
        for what, (n, first) in self._warned.items():
            place = f" ({n:,} times, first at {first})" if n > 1 and first else f" ({first})" if first else ""
            said.append(what + place)
        return tuple(said)

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
            f"{self.bad:,} rows or files cannot be used\n{shown}", where=source,
            next=next((p.next for p in self.problems if p.next), "mend or remove them"), code=max(p.code for p in self.problems),
        )  # fmt: skip
