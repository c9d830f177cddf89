"""PDF, EPUB, HTML and Office files as texts, with the extra `documents`."""

from __future__ import annotations

from pathlib import Path

from synthgain.types import SynthgainError

ENDINGS = (".pdf", ".epub", ".html", ".htm", ".docx", ".pptx", ".xlsx", ".odt")


def document(path: Path, where: str) -> str:
    raise SynthgainError("not yet", where=where, next="")
