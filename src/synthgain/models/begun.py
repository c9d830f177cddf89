"""Prompts that are text to go on with: as it stands, or behind a turn that the model's own chat template begins.

    [raw]                          the text, and nothing around it
    [chat…, raw named "user"]      the chat, then the opening of a user's turn, then the text
    [chat…, raw named "assistant"] the chat, then the opening of an answer, then the text

The turn stays open: the model goes on where the text ends. Whoever has the template writes the chat (`before`), and `text_of` joins the two.
"""

from __future__ import annotations

from collections.abc import Sequence

from synthgain.thinking import opening_of
from synthgain.types import CallFailed, Message, user

MARK = "WHATAUSERSAYS"  # letters only: no template changes them
NO_TOOLS = "text without a chat template offers no tools"


def is_text(messages: Sequence[Message]) -> bool:
    """Whether a prompt is text to go on with. CallFailed where a message of the role "raw" stands where it means nothing."""
    if not any(message["role"] == "raw" for message in messages):
        return False
    *chat, last = messages
    if last["role"] != "raw" or any(message["role"] == "raw" for message in chat):
        raise CallFailed('a message of the role "raw" is the only one, or the last')
    if "name" in last and last["name"] not in ("user", "assistant"):
        raise CallFailed(f'a raw message begins the turn of a "user" or an "assistant", not of {last["name"]!r}')
    if chat and "name" not in last:
        raise CallFailed('a raw message behind others needs a `name`, whose turn it begins: "user" or "assistant"')
    return True


def before(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The chat that the template has to write, with the opening of an answer at its end; () where nothing stands before the text."""
    *chat, last = messages
    if "name" not in last:
        return ()
    return (*chat, user(MARK)) if last["name"] == "user" else tuple(chat)


def text_of(messages: Sequence[Message], written: str = "") -> str:
    """The whole text; `written` is what the template made of `before`. Where it opened the thinking already the text does not again."""
    last = messages[-1]
    text = last["content"]
    if last.get("name") == "user":
        opening, mark, _ = written.partition(MARK)
        if not mark:
            raise CallFailed("the chat template does not show where a user's words begin")
        return opening + text
    opened = opening_of(written).strip()
    if opened and text.lstrip().startswith(opened):
        text = text.lstrip().removeprefix(opened).lstrip("\n")
    return written + text
