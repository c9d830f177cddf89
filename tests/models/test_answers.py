"""Whatever a server says becomes an answer that can be written down, or a refusal; never an exception."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from synthgain.models.answers import Answer, Refusal, read
from synthgain.store.call_columns import row_of
from synthgain.thinking import apart
from synthgain.types import Call, Prompt, Row, user

ODD: list[Any] = [None, True, -1, 1.5, 2**70, "", "\ud800", "\0", [], [1], {}, {"a": 1}, float("nan"), [[["x"]]]]
ODD += [[{"type": "text"}], [{"type": [1], "text": "t"}], {"type": "text", "text": 5}, [{"text": {"a": 1}}]]
CALLED = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LOGPROBS = {"content": [{"token": "hi", "logprob": -1.0}]}
MESSAGE = {"role": "assistant", "content": "hi", "reasoning_content": "Hm.", "tool_calls": [CALLED]}
CHOICE = {"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": LOGPROBS, "error": None}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
WHOLE = {"choices": [CHOICE], "usage": USAGE, "error": None}
PIECE = {"choices": [{"index": 0, "delta": MESSAGE, "finish_reason": None, "logprobs": LOGPROBS}], "usage": None}
ERROR = {"error": {"message": "m", "code": 400, "param": "p"}, "detail": [{"loc": ["body", "x"], "msg": "no"}]}
ASK = Prompt((user("question"),))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*at, key))


def put(value: Any, at: tuple[Any, ...], odd: Any) -> Any:
    """The value with something odd at a place."""
    if not at:
        return odd
    copy = inner = json.loads(json.dumps(value))
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = odd
    return copy


def bodies() -> Iterator[str]:
    for odd in ODD:
        for whole in (WHOLE, ERROR):
            yield from (json.dumps(put(whole, at, odd)) for at in places(whole))
        for at in places(PIECE):
            event = f"data: {json.dumps(put(PIECE, at, odd))}\n\n"
            yield from (event, f"data: {json.dumps(PIECE)}\n\n{event}data: [DONE]\n\n")
    draw = random.Random(7)
    for _ in range(2_000):
        body = WHOLE
        for _ in range(3):
            body = put(body, draw.choice(list(places(body))), draw.choice(ODD))
        yield json.dumps(body)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_every_body_is_an_answer_that_can_be_written_down_or_a_refusal(status: int) -> None:
    kinds = set()
    for body in bodies():
        got = read(status, body.encode(), ASK.sampling)
        kinds.add(type(got))
        if isinstance(got, Refusal):
            assert isinstance(got.said, str) and got.status >= 200
            continue
        counts = got.tokens_in, got.tokens_out, got.tokens_cached
        call = apart(Call(ASK.id("x"), ASK, got.message, "openai/x", got.finish, *counts, got.logprob, got.law))
        row_of(call, "x")
        assert Row(messages=(*ASK.messages, call.message), calls=(call,)).id and isinstance(call.fault, str)
        assert Prompt((*ASK.messages, call.message)).content.encode()
    assert kinds == ({Answer, Refusal} if status == 200 else {Refusal})


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
@pytest.mark.parametrize("text", ["a\u2028b", "a\u2029b", "a\u0085b", "a\x7fb\u00a0", "plain"])
def test_an_event_ends_at_a_line_feed_or_a_carriage_return_alone(text: str, end: str) -> None:
    """What Python also takes for the end of a line may stand in JSON as it is."""
    pieces = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in (text, " and more")]
    pieces.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE})
    stream = "".join(f"data: {json.dumps(piece, ensure_ascii=False)}{end}" for piece in pieces) + f"data: [DONE]{end}"
    answer = read(200, stream.encode(), ASK.sampling)
    assert isinstance(answer, Answer) and answer.message["content"] == f"{text} and more" and answer.finish == "stop"


def test_a_refusal_in_a_field_of_its_own_is_what_was_said() -> None:
    said = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    for content, text in ((None, said["refusal"]), ("", said["refusal"]), ("Here it is.", "Here it is.")):
        choice = {"index": 0, "message": said | {"content": content}, "finish_reason": "stop"}
        answer = read(200, json.dumps({"choices": [choice], "usage": USAGE}).encode(), ASK.sampling)
        assert isinstance(answer, Answer) and answer.message["content"] == text
