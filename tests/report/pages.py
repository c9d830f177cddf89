"""A page as a test reads it: tags that balance, and nothing that loads from anywhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "input", "br", "hr"}
LOADS = {"src", "href", "srcset", "data", "action", "formaction", "poster", "background", "ping", "xlink:href"}


class Document(HTMLParser):
    """What a page holds: tags must balance; attributes, scripts and visible text are collected."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.texts.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.texts).split())


def checked(page: Path) -> Document:
    """The page, checked to be well formed and self-contained."""
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>")
    document = Document(text)
    for tag, attributes in document.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{tag} {name}"
            if name in LOADS:
                assert value is not None and (value.startswith("#") or value == "data:,"), f"{tag} {name}={value}"
            if name == "style":
                assert re.fullmatch(r"[-a-z0-9:.%;]*", value or ""), f"style {value}"
        assert tag not in {
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "img",
            "a" if "href" not in attributes else "iframe",
        }
    assert len(document.scripts) == 1
    assert not re.search(r"url\(|@import|https?:", "".join(document.styles) + document.scripts[0])
    return document
