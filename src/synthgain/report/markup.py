"""HTML by hand. Whatever is not `Safe` is escaped, so a forgotten call escapes too much, never too little.

Data are untrusted: control characters, bidirectional overrides and broken surrogates are made visible
as their code points, so a text can neither run, nor hide a part of itself, nor turn its neighbours round.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

LONG = 2_400  # characters of one text that a page shows

# C0 but tab and newline, C1, bidirectional marks and overrides, separators, zero-width, surrogates, tags
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
VOID = frozenset({"br", "hr", "input", "link", "meta"})


class Safe(str):
    """Markup: it is put into a page as it stands."""

    __slots__ = ()


def visible(text: str) -> str:
    """The text with hidden characters spelt out, as in ⟨U+202E⟩; still to be escaped."""
    return HIDDEN.sub(lambda m: f"⟨U+{ord(m[0]):04X}⟩", text.replace("\r\n", "\n"))


def escaped(text: str) -> Safe:
    """The text as markup, hidden characters marked."""
    marked = html.escape(visible(text), quote=True)
    return Safe(re.sub(r"⟨U\+[0-9A-F]{4,6}⟩", lambda m: f'<span class="hidden-char">{m[0]}</span>', marked))


def snippet(text: str, limit: int = 90) -> str:
    """The beginning of a text on one line; still to be escaped."""
    line = " ".join(visible(text[: 4 * limit]).split())
    return line if len(line) <= limit else f"{line[:limit].rstrip()}…"


def passage(text: str, limit: int = LONG, whole: int | None = None) -> Safe:
    """A long text with its line breaks, cut with a note. `whole` is its full length where `text` was cut before."""
    length = max(len(text), whole or 0)
    body = el("div", text[:limit], class_="passage", dir="auto")
    if length <= limit:
        return body
    return join(body, el("p", f"Cut here: {length - limit:,} more characters are not shown.", class_="cut"))


def join(*children: object) -> Safe:
    """Children side by side; None and False are left out, lists are opened, plain text is escaped."""
    return Safe("".join(_flat(children)))


def _flat(children: Iterable[object]) -> Iterable[str]:
    for child in children:
        if child is None or child is False:
            continue
        if isinstance(child, Safe):
            yield child
        elif isinstance(child, list | tuple):
            yield from _flat(child)
        else:
            yield escaped(str(child))


def el(tag: str, *children: object, **attributes: object) -> Safe:
    """One element. `class_` is class, `data_x` is data-x; an attribute that is None or False is left out."""
    said = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID:
        return Safe(f"<{tag}{said}>")
    return Safe(f"<{tag}{said}>{join(*children)}</{tag}>")


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(visible(str(value)), quote=True)}"'
