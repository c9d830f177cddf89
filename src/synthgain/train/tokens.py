"""Rows as a trainer reads them: token ids, and which of them carry loss.

Supervised fine-tuning has its loss on assistant answers (their tool calls too, as the template writes them) and on
nothing else, unless a turn's `learn` says otherwise. A chat is cut into segments (what the model is given, what it
must say, what it is given next, …) and each segment is turned into tokens by itself, so that the ids before an answer
are exactly the ids that the model will see when it answers. The end-of-turn token belongs to the answer; what a
template writes after it does not.

Continued pretraining has its loss on every token: documents are joined with the end-of-sequence
token and cut into blocks (EntiGraph, arXiv 2409.07431, `data/cptdata.py`; there is no document mask).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from synthgain.train.rows import no_chat
from synthgain.train.shapes import TrainingRow
from synthgain.types import Message, SynthgainError, digest, is_learnt, offered

IGNORED = -100  # the label of a token without loss, as torch and TRL have it


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids and labels of the same length; a label is the id itself, or `IGNORED`."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def learns(self) -> bool:
        """Whether any token carries loss: the first one never does, nothing stands before it."""
        return self.learnt > 0

    @property
    def learnt(self) -> int:
        """Tokens that carry loss."""
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True)
class Examples:
    """What rows became. `cut` were cut to the length; `left_out` had nothing to learn left after the cut.

    `rows_of` gives for each example the places of the rows that it holds (some, or a part of one). `tools_unwritten`
    counts rows whose tools the chat template does not write: the student will not see any when it answers either.
    """

    examples: tuple[Example, ...]
    rows: int
    cut: int = 0
    left_out: int = 0
    rows_of: tuple[tuple[int, ...], ...] = ()
    tools_unwritten: int = 0

    @property
    def tokens(self) -> int:
        """Tokens that are read in one pass, those without loss too; no padding."""
        return sum(len(e.ids) for e in self.examples)


# ---------------------------------------------------------------------------------------------- the chat template


@dataclass(frozen=True)
class Template:
    """The base model's own chat template. With `reasoning` it gets each turn's reasoning, as `reasoning_content`."""

    tokenizer: Any
    reasoning: bool = False

    def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = (), ask: bool = False) -> str:
        """A chat as the model reads it; with `ask`, up to where its answer begins."""
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    [self._turn(turn) for turn in messages],
                    tools=offered(tools) or None,
                    tokenize=False,
                    add_generation_prompt=ask,
                )
            )
        except Exception as error:  # templates raise their own kinds for orders of roles that they do not know
            raise SynthgainError(
                f"the chat template refuses this chat ({error})", where=str(self.tokenizer.name_or_path)
            ) from error

    def trimmed(self, said: str) -> str:
        """A turn up to its end-of-turn token; the line break that a template puts after it is never generated."""
        bare, end = said.rstrip(), self.tokenizer.eos_token
        return bare if end and bare.endswith(end) else said

    def _turn(self, turn: Message) -> dict[str, Any]:
        """A turn with what templates know: arguments of tool calls are objects for them, as transformers has it."""
        known: dict[str, Any] = {name: value for name, value in turn.items() if name not in ("learn", "reasoning")}
        if "tool_calls" in turn:
            known["tool_calls"] = [_with_object(call) for call in turn["tool_calls"]]
        if self.reasoning and "reasoning" in turn:
            known["reasoning_content"] = turn["reasoning"]
        return known


def _with_object(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call whose arguments are an object, where their text is the JSON of one; a model may have written other text."""
    function = dict(call["function"])
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return dict(call)
    return dict(call) | {"function": function | {"arguments": arguments}} if isinstance(arguments, dict) else dict(call)


# ---------------------------------------------------------------------------------------------- supervised


@dataclass(frozen=True, slots=True)
class _Learnt:
    """A turn to learn: `text[start:]`, which ends the chat so far. Of an answer, what stands before is what the model is given."""

    text: str
    start: int
    answer: bool


def chats(rows: Sequence[TrainingRow], tokenizer: Any, length: int, *, reasoning: bool = False) -> Examples:
    """Examples with loss on answers only (see the top of this file), by the base model's own chat template."""
    if not getattr(tokenizer, "chat_template", None):
        raise SynthgainError(
            "the base model has no chat template, so it cannot be tuned on chats",
            where=str(tokenizer.name_or_path),
            next='train with method="cpt", or take an instruct model as base',
        )
    template = Template(tokenizer, reasoning)
    examples: list[Example] = []
    rows_of: list[tuple[int, ...]] = []
    cut = left_out = unwritten = 0
    for n, row in enumerate(rows):
        learnt = [learnt_turn(row, i, template) for i in learnt_turns(row)]
        unwritten += not _writes_tools(row, template)
        for whole in _chat(learnt, tokenizer):
            short = Example(whole.ids[:length], whole.labels[:length])
            cut += len(whole.ids) > length
            left_out += not short.learns
            if short.learns:
                examples.append(short)
                rows_of.append((n,))
    return Examples(tuple(examples), len(rows), cut, left_out, tuple(rows_of), unwritten)


def learnt_turns(row: TrainingRow) -> list[int]:
    """The places of the turns to learn: answers (assistant turns that something stands before), or as `learn` says.

    SynthgainError where there are none.
    """
    if row.messages is None:
        raise no_chat(row.where)
    found = [i for i, turn in enumerate(row.messages) if is_learnt(turn, i)]
    if not found:
        raise SynthgainError(
            "no assistant turn that is to be learnt follows a turn of somebody else: nothing to learn",
            where=row.where,
            next="remove the row",
        )
    return found


def strings_of(row: TrainingRow, tokenizer: Any, *, reasoning: bool = False) -> tuple[str, str]:
    """(what is given, what is said) of the last turn that is learnt; the end-of-turn token belongs to what is said."""
    last = learnt_turn(row, learnt_turns(row)[-1], Template(tokenizer, reasoning))
    return last.text[: last.start], last.text[last.start :]


def learnt_turn(row: TrainingRow, i: int, template: Template) -> _Learnt:
    """The turn at place `i` as the template writes it; SynthgainError where the template hides it."""
    messages = row.messages or ()
    if messages[i]["role"] != "assistant" or i == 0:
        return _other_turn(row, i, template)
    given, after = template(messages[:i], row.tools, ask=True), template(messages[: i + 1], row.tools)
    if not after.startswith(given):
        raise SynthgainError(
            "the chat template does not write a question before its answer as it writes it alone",
            where=row.where,
            next='train with method="cpt", or take another base',
        )
    said = template.trimmed(after[len(given) :])
    lost = next((c for c in messages[i].get("tool_calls", ()) if str(c["function"]["name"]) not in said), None)
    if lost is not None:
        raise SynthgainError(
            f"the base's chat template does not write tool calls (here of {lost['function']['name']!r})",
            where=row.where,
            next="take a base whose template knows tools",
        )
    return _Learnt(given + said, len(given), True)


def _other_turn(row: TrainingRow, i: int, template: Template) -> _Learnt:
    """A turn of somebody else than the model: from where its content begins to the end of the turn.

    The place is found with another text in the content's stead.
    """
    messages = row.messages or ()
    probe = digest(messages[i]["content"])[:32]
    other: Message = {**messages[i], "content": probe}
    before, found, after = template([*messages[:i], other], row.tools).partition(probe)
    whole = template(messages[: i + 1], row.tools)
    if not found or not whole.startswith(before) or not whole.endswith(after):
        raise SynthgainError(
            f"the chat template does not write turn {i + 1} ({messages[i]['role']}) so that it can be learnt",
            where=row.where,
            next="leave `learn` out of it, or take another base",
        )
    return _Learnt(template.trimmed(whole), len(before), False)


def _writes_tools(row: TrainingRow, template: Template) -> bool:
    messages = (row.messages or ())[: learnt_turns(row)[-1] + 1]
    return not row.tools or template(messages, row.tools) != template(messages)


def _chat(learnt: Sequence[_Learnt], tokenizer: Any) -> list[Example]:
    """One example; one for each turn where the template writes earlier turns anew, as some reasoning templates do."""
    goes_on = all(b.text.startswith(a.text) and b.start >= len(a.text) for a, b in pairwise(learnt))
    return [_spell(learnt, tokenizer)] if goes_on else [_spell([turn], tokenizer) for turn in learnt]


def _spell(learnt: Sequence[_Learnt], tokenizer: Any) -> Example:
    ids: list[int] = []
    labels: list[int] = []
    at = 0  # how far the last text is spelled
    told: list[tuple[int, int]] = []  # learnt parts of what is given, in places of the text
    text = learnt[-1].text
    for turn in learnt:
        if not turn.answer:
            told.append((turn.start, len(turn.text)))
            continue
        _given(text, at, turn.start, told, tokenizer, ids, labels)
        said = tokenizer(text[turn.start : len(turn.text)], add_special_tokens=False)["input_ids"]
        ids += said
        labels += said
        at, told = len(turn.text), []
    _given(text, at, len(text), told, tokenizer, ids, labels)
    return Example(tuple(ids), tuple(labels))


def _given(
    text: str, start: int, end: int, told: Sequence[tuple[int, int]], tokenizer: Any, ids: list[int], labels: list[int]
) -> None:
    """Spell `text[start:end]` as one piece; its tokens carry loss where they begin inside a part that is `told`."""
    spelled = tokenizer(text[start:end], add_special_tokens=False, return_offsets_mapping=bool(told))
    found = list(spelled["input_ids"])
    ids += found
    if not told:
        labels += [IGNORED] * len(found)
        return
    places = [start + first for first, _ in spelled["offset_mapping"]]
    labels += [token if any(a <= at < b for a, b in told) else IGNORED for token, at in zip(found, places)]


# ---------------------------------------------------------------------------------------------- continued pretraining


def blocks(rows: Sequence[TrainingRow], tokenizer: Any, length: int, *, reasoning: bool = False) -> Examples:
    """Blocks of `length` tokens of the rows joined with the end-of-sequence token; the last block may be shorter."""
    end = tokenizer.eos_token_id
    if end is None:
        raise SynthgainError(
            "the base model's tokenizer has no end-of-sequence token",
            where=str(tokenizer.name_or_path),
            next="take another base",
        )
    stream: list[int] = []
    ends: list[int] = []  # where each row ends in the stream
    for row in rows:
        stream += _ended(row, tokenizer, reasoning)
        ends.append(len(stream))
    cut = {start: tuple(stream[start : start + length]) for start in range(0, len(stream), length)}
    kept = {start: ids for start, ids in cut.items() if len(ids) > 1}
    rows_of = (tuple(range(bisect_right(ends, i), bisect_right(ends, i + len(ids) - 1) + 1)) for i, ids in kept.items())
    return Examples(tuple(Example(ids, ids) for ids in kept.values()), len(rows), rows_of=tuple(rows_of))


def texts(rows: Sequence[TrainingRow], tokenizer: Any, length: int) -> Examples:
    """Each row by itself, ended with the end-of-sequence token and cut to `length`, with loss on every token."""
    whole = [_ended(row, tokenizer) for row in rows]
    short = [tuple(ids[:length]) for ids in whole]
    left = tuple(Example(ids, ids) for ids in short if len(ids) > 1)
    return Examples(left, len(rows), sum(len(ids) > length for ids in whole), len(short) - len(left))


def text_of(row: TrainingRow, tokenizer: Any, *, reasoning: bool = False) -> str:
    """A row as one text whose every token carries loss: a chat as the template writes it, or its turns in their order."""
    if row.messages is None:
        return row.text or ""
    if getattr(tokenizer, "chat_template", None):
        template = Template(tokenizer, reasoning)
        return template.trimmed(template(row.messages, row.tools))
    if row.tools or any("tool_calls" in turn for turn in row.messages):
        raise SynthgainError(
            "the base model has no chat template, so it cannot read a chat with tools",
            where=row.where,
            next="take a base whose template knows tools",
        )
    return "\n\n".join(turn["content"] for turn in row.messages)


def _ended(row: TrainingRow, tokenizer: Any, reasoning: bool = False) -> list[int]:
    """The ids of a row, with the end-of-sequence token behind them."""
    templated = row.messages is not None and bool(getattr(tokenizer, "chat_template", None))
    text = text_of(row, tokenizer, reasoning=reasoning)
    ids, end = list(tokenizer(text, add_special_tokens=not templated)["input_ids"]), tokenizer.eos_token_id
    return ids if ids and ids[-1] == end else [*ids, end]
