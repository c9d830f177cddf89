"""Thinking set apart from the answer: the one place that knows the marks that models put around it.

What a model thought is no part of what it answered: it is not graded, not rephrased, and not learnt unless that is asked for. A server
gives it in a field of its own, or it stands inline:

    <think> … </think>      and <thinking>, <thought>, <reasoning>, <reflection>, <seed:think>, ◁think▷, [THINK],
                            <|begin_of_thought|>, <|START_THINKING|>
    <|channel|>analysis<|message|> … <|end|> … <|channel|>final<|message|> …       (gpt-oss), also without its special tokens

Position decides, since a text may talk of such marks: thinking is what an answer begins with (white space aside), one block or several.
Where the template put the opening mark into the prompt, everything before a closing mark is thinking, if none opens it earlier and it ends
a line or begins one. Once an answer has begun with thinking, further blocks of the same mark that begin a line are thinking too. Marks anywhere
else, in code fences or behind a backtick, are text. Thinking that never ends is all there is: the answer is then empty.

The memory of calls holds every message as it came; it is parted when a call is made and when one is read, so calls of before are
read the same way, no identity changes, and the exact text is in `Call.raw`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from synthgain.types import Call, Message

_NAMES = r"think|thinking|thoughts?|reasoning|reflection|seed:think|antthinking"
_OPEN = re.compile(rf"(?i)<({_NAMES})>|◁(think)▷|\[(THINK)\]|<\|(begin_of_thought)\|>|<\|(START_THINKING)\|>")
_CLOSE = re.compile(rf"(?i)</({_NAMES})>|◁/(think)▷|\[/(THINK)\]|<\|(end_of_thought)\|>|<\|(END_THINKING)\|>")
_BEGINS = re.compile(r"\s*[<◁\[]")  # as a text with thinking does, or else it has
_ENDS = ("</", "◁/", "[/", "<|end_of", "<|END_")
_WRAPPED = re.compile(  # an answer inside marks of its own, after thinking
    r"(?is)\s*(?:<\|begin_of_solution\|>(.*?)(?:<\|end_of_solution\|>)?|<\|START_RESPONSE\|>(.*?)(?:<\|END_RESPONSE\|>)?)\s*"
)
_CHANNEL = re.compile(
    r"(?:<\|start\|>)?(?:assistant)?(?:<\|channel\|>)?(analysis|commentary|final)[^<\n]{0,80}?(?:<\|constrain\|>\w+)?<\|message\|>"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start)\|>|<\|channel\|>|\Z")
_STRIPPED = (
    re.compile(  # gpt-oss, decoded without special tokens: how its thinking begins, for "analysis(x)" is an answer
        r"analysis(?=(?:We|The|User|Need|I|Okay|Let|Just|So|This|It|They|Question|Simple|First)\b)"
    )
)
_THEN = re.compile(r"assistant(?:commentary|final)")


@dataclass(frozen=True)
class Parts:
    """An answer, what was thought before or between it, and whether the thinking came to its end."""

    content: str
    reasoning: str = ""
    ended: bool = True


def parted(text: str, opened: str = "") -> Parts:
    """The parts of a content as it came. `opened` is an opening mark that the prompt ended with, where that is known."""
    text = opened + text
    if "<|message|>" in text[:400] and (_CHANNEL.match(text.lstrip()) is not None):
        return _channels(text.lstrip())
    if text.startswith("analysis") and (_STRIPPED.match(text) or _THEN.search(text)):
        return _stripped(text)
    return _blocks(text) if _BEGINS.match(text) or any(mark in text for mark in _ENDS) else Parts(text)


def set_apart(message: Message) -> Message:
    """The message with inline thinking in its `reasoning`; itself where there is none. What stood in `reasoning` stays first."""
    parts = parted(message["content"])
    if parts.ended and parts.content == message["content"]:
        return message
    turn = message.copy()
    turn["content"] = parts.content
    if thought := "\n\n".join(part for part in (message.get("reasoning", ""), parts.reasoning) if part):
        turn["reasoning"] = thought
    return turn


def apart(call: Call) -> Call:
    """The call with thinking set apart; `raw` then holds the message as it came."""
    if call.raw is not None:
        return call
    turn = set_apart(call.message)
    return call if turn is call.message else replace(call, message=turn, raw=call.message)


def opening_of(prompt: str) -> str:
    """The opening mark that a rendered prompt ends with ("" where it ends with none): a template may open the thinking itself."""
    tail = prompt[-40:]
    marks = list(_OPEN.finditer(tail))
    return tail[marks[-1].start() :] if marks and not tail[marks[-1].end() :].strip() else ""


def unanswered(content: str, reasoning: str = "", raw: str | None = None, finish: str = "stop") -> str:
    """Why there is no answer in a turn: "thinking never ended", "only reasoning", "nothing was answered"; "" where there is one."""
    parts = parted(content)
    if parts.content.strip():
        return ""
    if not (parts.reasoning or reasoning):
        return "nothing was answered"
    whole = parts.ended and (raw is None or parted(raw).ended)
    return "only reasoning" if whole and finish != "length" else "thinking never ended"


def only_thought(call: Call) -> str:
    """Why a call that holds thinking is no answer; "" where it is one, or holds no thinking."""
    turn = call.message
    if "reasoning" not in turn or "tool_calls" in turn or turn["content"].strip():
        return ""
    return unanswered("", turn["reasoning"], None if call.raw is None else call.raw["content"], call.finish)


def hollow(call: Call) -> str:
    """Why a call holds nothing, neither text nor a tool call; "" where it holds something."""
    if call.text.strip() or "tool_calls" in call.message:
        return ""
    cut = "cut off before an answer began" if call.finish == "length" else "nothing was answered"
    return call.fault or only_thought(call) or cut


def of_the_server(call: Call) -> bool:
    """Whether it is for a fault of the server that a call is no answer: asked again, it may be one."""
    return bool(call.fault) or hollow(call) == "nothing was answered"


# ---------------------------------------------------------------------------------------------- blocks


def _blocks(text: str) -> Parts:
    at, thoughts = 0, list[str]()
    name = ""
    while (found := _opens(text, at)) is not None:
        name = _name(found)
        end = _closes(text, found.end(), name)
        if end is None:
            return Parts("", _joined([*thoughts, text[found.end() :]]), ended=False)
        thoughts.append(text[found.end() : end.start()])
        at = end.end()
    if not name:
        bare = _bare(text)
        if bare is None:
            return Parts(text)
        name, at = _name(bare), bare.end()
        thoughts.append(text[: bare.start()])
        if (found := _opens(text, at)) is not None:
            more = _blocks(text[at:])
            return Parts(more.content, _joined([*thoughts, more.reasoning]), more.ended)
    said: list[str] = []
    for piece, thought in _later(text[at:], name):
        said.append(piece)
        thoughts.append(thought)
    content = "".join(said).lstrip()
    if wrapped := _WRAPPED.fullmatch(content):
        content = next(group for group in wrapped.groups() if group is not None).strip()
    return Parts(content, _joined(thoughts))


def _opens(text: str, at: int) -> re.Match[str] | None:
    """The opening mark that comes next, white space aside."""
    start = re.compile(r"\s*").match(text, at)
    assert start is not None
    return _OPEN.match(text, start.end())


def _name(mark: re.Match[str]) -> str:
    said = next(group for group in mark.groups() if group).lower()
    return said.replace("begin_of", "end_of").replace("start_", "end_")


def _closes(text: str, at: int, name: str) -> re.Match[str] | None:
    return next((mark for mark in _CLOSE.finditer(text, at) if _name(mark) == name), None)


def _bare(text: str) -> re.Match[str] | None:
    """A closing mark that nothing opens: it ends or begins a line, and is neither quoted nor in a code fence."""
    mark = next((mark for mark in _CLOSE.finditer(text) if not _in_code(text, mark.start())), None)
    if mark is None or _OPEN.search(text, 0, mark.start()) is not None:
        return None
    before, after = text[: mark.start()], text[mark.end() :]
    alone = (
        not before.strip() or before.rstrip(" \t").endswith("\n") or not after or after.lstrip(" \t")[:1] in ("", "\n")
    )
    return mark if alone else None


def _in_code(text: str, at: int) -> bool:
    return text[at - 1 : at] == "`" or text.count("```", 0, at) % 2 == 1


def _later(text: str, name: str) -> Iterator[tuple[str, str]]:
    """(what is said, what is thought after it) of the text behind the first thinking."""
    start = 0
    for mark in _OPEN.finditer(text):
        first = text[: mark.start()].rstrip(" \t")
        if (
            mark.start() < start
            or _name(mark) != name
            or (first and not first.endswith("\n"))
            or _in_code(text, mark.start())
        ):
            continue
        end = _closes(text, mark.end(), name)
        stop = end.start() if end else len(text)
        yield text[start : mark.start()], text[mark.end() : stop]
        start = end.end() if end else len(text)
    yield text[start:], ""


def _joined(thoughts: list[str]) -> str:
    return "\n\n".join(thought.strip() for thought in thoughts if thought.strip())


# ---------------------------------------------------------------------------------------------- channels


def _channels(text: str) -> Parts:
    """gpt-oss: what is said on the channel "final" is the answer, all else is thought."""
    said, thoughts, at = list[str](), list[str](), 0
    final = False
    while (head := _CHANNEL.search(text, at)) is not None:
        end = _CHANNEL_END.search(text, head.end())
        assert end is not None
        final = head.group(1) == "final"
        (said if final else thoughts).append(text[head.end() : end.start()])
        at = end.start() if end.start() > head.end() else end.end() or len(text)
        if not end.group():
            break
    content = "".join(said).strip()
    return Parts(content, _joined(thoughts), ended=bool(content) or final)


def _stripped(text: str) -> Parts:
    """The same without special tokens: "analysisWe need …assistantfinalIt is 18."."""
    pieces = re.split(r"assistant(analysis|commentary|final)", text)
    named = [("analysis", pieces[0].removeprefix("analysis")), *zip(pieces[1::2], pieces[2::2])]
    content = "".join(said for name, said in named if name == "final").strip()
    thoughts = [said for name, said in named if name != "final"]
    return Parts(content, _joined(thoughts), ended=any(name == "final" for name, _ in named))
