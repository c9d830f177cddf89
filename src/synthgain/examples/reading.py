"""Eight invented documents and the four-option questions on them.

The texts lie in `documents/*.md`, their titles and entities in `documents/index.json`, the questions
in `document_questions.jsonl`. Every question of a group of four has the same four options and another
gold one, so whoever prefers options without having read the document is right one time in four.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from synthgain.types import SynthgainError


def documents() -> list[dict[str, Any]]:
    """The documents as anchors: {"text", "title", "entities", "slug"}.

    `text` is the whole file with its title line; each of `entities` stands in it as it is written.
    """
    folder = files(__package__) / "documents"
    listed = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return [
        {
            "text": (folder / f"{entry['slug']}.md").read_text(encoding="utf-8").strip(),
            "title": entry["title"],
            "entities": entry["entities"],
            "slug": entry["slug"],
        }
        for entry in listed
    ]


def document_questions(document: str | None = None) -> list[dict[str, Any]]:
    """The questions, of all documents or of the one with that slug.

    {"id", "document", "title", "question", "options" (4), "gold" (0-based), "facts" (1 or 2: how many
    have to be put together), "evidence" (the document's own sentences that answer it)}.
    """
    text = (files(__package__) / "document_questions.jsonl").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if document is None or row["document"] == document]


def write_documents(path: str | Path) -> Path:
    """Write the documents as JSON Lines, one anchor a line, and return the path."""
    path = Path(path)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in documents()), encoding="utf-8")
    return path


def recorded_calls(recipe: str) -> Path:
    """What a recipe's writer answered on the documents, as recorded calls (`--calls`): a file that ships with the package."""
    file = Path(__file__).parent / "recorded" / f"{recipe}.jsonl.gz"
    if not file.is_file():
        raise SynthgainError(
            f"no calls of {recipe} are recorded here",
            where=str(file),
            next="write anew: synthgain demo --documents --writer local",
        )
    return file
