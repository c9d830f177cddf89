"""Where a program stands in an answer: in a fence, or bare. It is found by its lines alone: nothing a model wrote is parsed in this process."""

from __future__ import annotations

import re
from collections.abc import Sequence

from synthgain.thinking import parted

_FENCE = re.compile(r"^[ \t]*(?P<mark>`{3,}|~{3,})[ \t]*(?P<tag>[\w+#.-]*)[^\n]*$", re.MULTILINE)
_PYTHON = ("", "python", "py", "python3", "py3", "python2")
_BEGINS = re.compile(r"(?:async[ \t]+def|def|class|import|from)[ \t]+\w|@\w+")
_GOES_ON = re.compile(
    r"[ \t#@)\]}]|(?:async|def|class|import|from|if|elif|else|for|while|with|try|except|finally|return|raise|assert|print|del|global|pass)\b"
    r"|[A-Za-z_][\w.]*(?:\[[^\]\n]*\])?[ \t]*(?:[-+*/|&^%]?=[^=]|\(|:[ \t]*\w)|\"\"\"|'''"
)


def program_in(text: str, wanted: Sequence[str] = ()) -> str | None:
    """The Python program of an answer; None where there is none. What was thought is not looked at.

    Of several fenced blocks it is the last that defines one of the `wanted` names; else all of them, in their order. A fence that is not
    closed goes to the end. Without a fence it is from the first line that begins a definition or an import to the last that can be code; a text
    that is nothing but an indented body counts too.
    """
    said = parted(text).content.replace("\r\n", "\n")
    blocks = fenced(said)
    python = [body for tag, body in blocks if tag in _PYTHON]
    if blocks:
        defining = [body for body in python if defines(body, wanted)]
        found = defining[-1] if defining else "\n\n".join(python)
        return found if found.strip() else None
    return _bare(said)


def fenced(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a text: tag in lower case, body."""
    found: list[tuple[str, str]] = []
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(text):
        if opened is None:
            opened = match
        elif match["mark"].startswith(opened["mark"]) and not match["tag"]:
            found.append((opened["tag"].lower(), text[opened.end() + 1 : match.start()]))
            opened = None
    if opened is not None:
        found.append((opened["tag"].lower(), text[opened.end() + 1 :]))
    return found


def defines(program: str, names: Sequence[str]) -> bool:
    """Whether a line of the program defines one of the names."""
    return any(
        re.search(
            rf"^(?:(?:async[ \t]+)?def|class)[ \t]+{re.escape(name)}\b|^{re.escape(name)}[ \t]*=", program, re.MULTILINE
        )
        for name in names
    )


def _bare(text: str) -> str | None:
    lines = text.split("\n")
    begins = next((i for i, line in enumerate(lines) if _BEGINS.match(line)), None)
    if begins is None:
        first = next((line for line in lines if line.strip()), "")
        return text if first[:1] in (" ", "\t") else None
    while begins and (not lines[begins - 1].strip() or _GOES_ON.match(lines[begins - 1])):
        begins -= 1
    ends = begins
    while ends < len(lines) and (not lines[ends].strip() or _GOES_ON.match(lines[ends])):
        ends += 1
    return "\n".join(lines[begins:ends]) + "\n"
