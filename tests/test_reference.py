"""docs/reference.md is what the code says now."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_the_reference_is_made_of_the_docstrings_of_today() -> None:
    made = runpy.run_path(str(DOCS / "reference.py"))["text"]()
    assert (DOCS / "reference.md").read_text("utf-8") == made, "make it anew: make reference"
