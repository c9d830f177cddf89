"""Lists in an answer, one thing a line under a fixed mark ("Strategy: …"), as models write them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,3}\s*[.):])\s+(.*)$")
_OTHER_MARK = re.compile(r"^[\s>#*_\-•]*(?:\d+\s*[.):]\s*)?[*_]*[^\W\d_]+[*_\s]*\d*[*_\s]*[:：]")


def marked(text: str, mark: str) -> list[str]:
    """What stands behind each "MARK:" that begins a line, with the lines that go on from it, each once, in order.

    Marks may be numbered, in bullets, with emphasis, with what they mark on the next line ("**Strategy 1:**"). [] where there are none.
    """
    begins = re.compile(
        rf"^[\s>#*_\-•]*(?:\d+\s*[.):]\s*)?[*_]*{re.escape(mark)}\b[*_\s]*\d*[*_\s]*[:.)：][*_]*\s*(.*)$", re.IGNORECASE
    )
    found: list[list[str]] = []
    open_ = False
    for line in text.splitlines():
        if said := begins.match(line):
            found.append([said[1]])
            open_ = True
        elif not line.strip():
            open_ = open_ and not "".join(found[-1]).strip()  # a mark alone: what it marks may come after a gap
        elif open_ and not _OTHER_MARK.match(line):
            found[-1].append(line)
        else:
            open_ = False
    return once(" ".join(parts) for parts in found)


def listed(text: str) -> list[str]:
    """The items of a list with bullets or numbers, each once, in order; for answers that leave the marks out."""
    return once(item[1] for line in text.splitlines() if (item := _BULLET.match(line)))


def once(items: Iterable[str]) -> list[str]:
    """Items in one line each, without emphasis around them, that hold a letter or digit and were not said before (in any case)."""
    first: dict[str, str] = {}
    for item in items:
        plain = " ".join(item.split()).strip("*_ ").strip()
        if any(c.isalnum() for c in plain):
            first.setdefault(plain.casefold(), plain)
    return list(first.values())
