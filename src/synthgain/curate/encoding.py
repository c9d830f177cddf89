"""Rows whose characters were damaged on their way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

_LATER = (
    "".join(  # what the bytes 0x80 to 0xBF become where UTF-8 is read as Windows-1252 (Latin-1 where that has nothing)
        bytes([byte]).decode("cp1252", "replace").replace("\ufffd", chr(byte)) for byte in range(0x80, 0xC0)
    )
)
_NEXT = f"[{re.escape(_LATER)}]"
_MOJIBAKE = re.compile(
    rf"(?<![A-Z\u00c0-\u00de])(?:[\u00c2\u00c3]{_NEXT}|[\u00e0-\u00ef]{_NEXT}{{2}}|[\u00f0-\u00f4]{_NEXT}{{3}}"
    rf"|(?:[\u00c4-\u00df]{_NEXT}){{2,}})"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Encoding:
    """Drops a row that holds damaged characters: U+FFFD, control characters, or UTF-8 that was read as Windows-1252 ("â€™" for "’").

    All turns are looked at. One such character is enough; a text about such damage falls too. Other mix-ups (Cyrillic in
    KOI8-R, Japanese in Shift-JIS) are not seen.
    """

    @property
    def name(self) -> str:
        return "encoding"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        for text in _said(row):
            if (found := _CONTROL.search(text)) is not None:
                return drop(f"control character U+{ord(found.group()):04X}")
            if text.isascii():
                continue
            if "\ufffd" in text:
                return drop("a character was lost (U+FFFD)")
            if (found := _MOJIBAKE.search(text)) is not None and (meant := _read_again(found.group())):
                return drop(f"{found.group()!r} stands for {meant!r}")
        return keep()


def _said(row: Row) -> Iterator[str]:
    if row.messages is None:
        yield row.text or ""
    for turn in row.messages or ():
        yield turn["content"]


def _read_again(text: str) -> str:
    """What the text was before it was read wrongly; "" where it is no such text."""
    raw = b"".join(bytes([0x80 + _LATER.index(c)]) if c in _LATER else c.encode("latin-1") for c in text)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""


CHECK = Encoding
