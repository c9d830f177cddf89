"""What every file can hold: text without half a surrogate pair, which no UTF-8 has, and without NUL, which ends a text elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from synthgain.types import Call


def encodable(text: str) -> str:
    """The text as UTF-8 can hold it: lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def whole(text: str) -> str:
    """The text as every file can hold it: lone surrogates become U+FFFD, and so does NUL."""
    return encodable(text).replace("\0", "\ufffd")


def whole_call(call: Call) -> Call:
    """The call with whole texts in its message, as `raw` too: what a draft is given is what a run that resumes reads back."""
    message = _whole(call.message)
    raw = None if call.raw is None else _whole(call.raw)
    return call if message == call.message and raw == call.raw else replace(call, message=message, raw=raw)


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, Mapping):
        return {key: _whole(one) for key, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list | tuple) else value
