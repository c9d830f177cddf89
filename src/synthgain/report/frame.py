"""What all pages have: the document with its style and script, the list of contents, facts in a grid, the foot."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template

from synthgain.report.markup import Safe, el, snippet

Part = tuple[str, str, Safe]  # anchor in the page, short title, section


def page(title: str, body: Safe) -> str:
    """The whole document. Its policy allows its own style and this one script, and no connection to anywhere."""
    files = resources.files("synthgain.report")
    css, script, frame = ((files / name).read_text("utf-8") for name in ("page.css", "page.js", "page.html"))
    seal = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(frame).substitute(title=el("title", title), css=css, script=script, seal=seal, body=body)


def grid(facts: Sequence[tuple[str, str]]) -> Safe:
    """Names with their values; each name once, as it came first."""
    once = dict(reversed(facts))
    return el(
        "dl",
        [
            el(
                "div",
                el("dt", name),
                el("dd", snippet(once[name], 160), title=once[name] if len(once[name]) > 160 else None),
            )
            for name in dict.fromkeys(name for name, _ in facts)
        ],
        class_="facts-grid",
    )


def setting(value: object) -> str:
    """A setting as people read it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {setting(v)}" for name, v in value.items())
    return (
        ", ".join(map(setting, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def contents(parts: Sequence[Part]) -> Safe:
    """Links to the sections of a page."""
    return el("nav", [el("a", short, href=f"#{slug}") for slug, short, _ in parts], aria_label="contents")


def footer(version: str) -> Safe:
    """Who wrote the page, and that it loads nothing."""
    return el(
        "footer",
        f"Written by synthgain {version}. This page holds everything it shows and loads nothing. Texts of models are shown as they came, with hidden characters spelt out.",
    )
