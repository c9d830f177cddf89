"""Rows as a trainer reads them: token ids, and which of them carry loss.

Supervised fine-tuning has its loss on assistant answers (their tool calls too, as the template writes them) and on
nothing else, unless a turn's `learn` says otherwise. A chat is cut into segments (what the model is given, what it
must say, what it is given next, …) and each segment is turned into tokens by itself, so that the ids before an answer
are exactly the ids that the model will see when it answers. The token that the template ends a turn with belongs to the
answer; what a template writes after it does not. A template that ends a turn with words alone gets the end-of-sequence token.
Plain texts among chats are learnt whole, in pieces.

Continued pretraining has its loss on every token: documents are joined with the end-of-sequence
token and cut into blocks (EntiGraph, arXiv 2409.07431, `data/cptdata.py`; there is no document mask).

A preference pair is two examples: what is chosen and what is rejected, each after the same prompt, with loss on these turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from synthgain.train.rows import last_answer, no_chat
from synthgain.train.shapes import TrainingRow
from synthgain.train.template import Template
from synthgain.types import Message, SynthgainError, digest, is_learnt

IGNORED = -100  # the label of a token without loss, as torch and TRL have it


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids and labels of the same length; a label is the id itself, or `IGNORED`. `rows` are the places of the first and the last row in it."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    rows: tuple[int, int] = (0, 0)

    @property
    def learnt(self) -> int:
        """Tokens that carry loss: the first one never does, nothing stands before it."""
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True, slots=True)
class Spelled:
    """What one row became: examples (of a preference pair two, of a block that it ends several, of a short text perhaps none).

    `cut` examples were cut to the length; `no_answer` had nothing to learn left after it, or never had. `refused` says why the row
    cannot be spelled. `tools_unwritten`: the template does not write its tools. `answer` is the length of its longest answer in tokens, uncut.
    """

    examples: tuple[Example, ...] = ()
    rows: int = 1
    cut: int = 0
    no_answer: int = 0
    unpaired: int = 0
    tools_unwritten: int = 0
    answer: int = 0
    refused: SynthgainError | None = None


# ---------------------------------------------------------------------------------------------- supervised


@dataclass(frozen=True, slots=True)
class _Learnt:
    """A turn to learn: `text[start:]`, which ends the chat so far. Of an answer, what stands before is what the model is given."""

    text: str
    start: int
    answer: bool


def chats(rows: Iterable[TrainingRow], tokenizer: Any, length: int, *, reasoning: bool = False) -> Iterator[Spelled]:
    """Each row with loss on answers only (see the top of this file), by the base model's own chat template; texts whole, in pieces."""
    _check_template(tokenizer)
    template = Template(tokenizer, reasoning)
    for n, row in enumerate(rows):
        try:
            yield _pieces(row, n, tokenizer, length) if row.messages is None else _one_chat(row, n, template, length)
        except SynthgainError as error:
            yield Spelled(refused=SynthgainError(error.what, where=row.where, next=error.next))


def _check_template(tokenizer: Any) -> None:
    if not getattr(tokenizer, "chat_template", None):
        raise SynthgainError(
            "the base model has no chat template, so it cannot be tuned on chats",
            where=str(tokenizer.name_or_path),
            next='train with method="cpt" (--method cpt), or take an instruct model as base',
        )


def _one_chat(row: TrainingRow, n: int, template: Template, length: int) -> Spelled:
    turns = learnt_turns(row)
    if not turns:
        return Spelled(no_answer=1)
    learnt = [learnt_turn(row, i, template) for i in turns]
    whole = _chat(learnt, template.tokenizer)
    short = [Example(one.ids[:length], one.labels[:length], (n, n)) for one in whole]
    kept = tuple(one for one in short if one.learnt)
    return Spelled(
        kept,
        cut=sum(len(one.ids) > length for one in whole),
        no_answer=len(short) - len(kept),
        tools_unwritten=int(not _writes_tools(row, template)),
        answer=max(_longest(one) for one in whole),
    )


def _longest(example: Example) -> int:
    """The longest run of tokens with loss."""
    most = run = 0
    for label in example.labels:
        run = run + 1 if label != IGNORED else 0
        most = max(most, run)
    return most


def pairs_of(rows: Iterable[TrainingRow], tokenizer: Any, length: int, *, reasoning: bool = False) -> Iterator[Spelled]:
    """Each preference pair as two examples, what is chosen and what is rejected; rows without rejected turns are counted."""
    _check_template(tokenizer)
    template = Template(tokenizer, reasoning)
    for n, row in enumerate(rows):
        if row.messages is None or row.rejected is None:
            yield Spelled(unpaired=1)
            continue
        last = last_answer(row.messages)
        before = tuple(_unlearnt(turn) if is_learnt(turn, i) else turn for i, turn in enumerate(row.messages[:last]))
        try:
            sides = [_last_chat(row, (*before, *turns), n, template) for turns in (row.messages[last:], row.rejected)]
        except SynthgainError as error:
            yield Spelled(refused=SynthgainError(error.what, where=row.where, next=error.next))
            continue
        if sides[0] is None or sides[1] is None:
            yield Spelled(no_answer=1)
            continue
        short = tuple(Example(one.ids[:length], one.labels[:length], (n, n)) for one in sides if one)
        cut = int(any(one is not None and len(one.ids) > length for one in sides))
        learns = all(one.learnt for one in short) and short[0].ids != short[1].ids
        yield Spelled(short if learns else (), cut=cut, no_answer=int(not learns), answer=_longest(sides[0]))


def _unlearnt(turn: Message) -> Message:
    return {**turn, "learn": False}


def _last_chat(row: TrainingRow, messages: tuple[Message, ...], n: int, template: Template) -> Example | None:
    """A chat as one example; the last answer alone, where the template writes earlier ones anew."""
    whole = replace(row, messages=messages)
    turns = learnt_turns(whole)
    return _chat([learnt_turn(whole, i, template) for i in turns], template.tokenizer)[-1] if turns else None


def learnt_turns(row: TrainingRow) -> list[int]:
    """The places of the turns to learn: answers (assistant turns that something stands before), or as `learn` says; none that says nothing."""
    if row.messages is None:
        raise no_chat(row.where)
    return [
        i
        for i, turn in enumerate(row.messages)
        if is_learnt(turn, i) and (turn["content"].strip() or turn.get("tool_calls"))
    ]


def strings_of(row: TrainingRow, tokenizer: Any, *, reasoning: bool = False) -> tuple[str, str]:
    """(what is given, what is said) of the last turn that is learnt; the end-of-turn token belongs to what is said."""
    turns = learnt_turns(row)
    if not turns:
        raise SynthgainError(
            "no turn of this chat is learnt",
            where=row.where,
            next="give a chat with an assistant's turn that is not marked `learn: false`",
        )
    last = learnt_turn(row, turns[-1], Template(tokenizer, reasoning))
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
    said = template.ended(after[len(given) :])
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
    if not row.tools:
        return True
    messages = (row.messages or ())[: learnt_turns(row)[-1] + 1]
    return template(messages, row.tools) != template(messages)


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


# ---------------------------------------------------------------------------------------------- texts


def blocks(rows: Iterable[TrainingRow], tokenizer: Any, length: int, *, reasoning: bool = False) -> Iterator[Spelled]:
    """Blocks of `length` tokens of the rows joined with the end-of-sequence token; the last block may be shorter."""
    _end_of(tokenizer)
    left: list[int] = []
    starts: list[tuple[int, int]] = []  # (row, where it begins) of those in `left`
    n = -1
    for n, row in enumerate(rows):
        try:
            text = _ended(row, tokenizer, reasoning)
        except SynthgainError as error:
            yield Spelled(refused=SynthgainError(error.what, where=row.where, next=error.next))
            continue
        starts.append((n, len(left)))
        left += text
        whole = len(left) // length * length
        yield Spelled(tuple(_block(left, starts, at, at + length) for at in range(0, whole, length)))
        if whole:
            starts = [
                (one, max(0, at - whole))
                for (one, at), then in zip(starts, [*(at for _, at in starts[1:]), len(left)])
                if then > whole
            ]
            left = left[whole:]
    if len(left) > 1:  # a block of one token teaches nothing
        yield Spelled((_block(left, starts, 0, len(left)),), rows=0)


def _block(stream: Sequence[int], starts: Sequence[tuple[int, int]], begin: int, end: int) -> Example:
    ids = tuple(stream[begin:end])
    first = max((row for row, at in starts if at <= begin), default=starts[0][0])
    last = max(row for row, at in starts if at < end)
    return Example(ids, ids, (first, last))


def _pieces(row: TrainingRow, n: int, tokenizer: Any, length: int) -> Spelled:
    """A text by itself, ended with the end-of-sequence token and cut into pieces of `length`, with loss on every token."""
    ids = _ended(row, tokenizer)
    cut = [tuple(ids[at : at + length]) for at in range(0, len(ids), length)]
    return Spelled(tuple(Example(one, one, (n, n)) for one in cut if len(one) > 1))


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


def ended_text(row: TrainingRow, tokenizer: Any, *, reasoning: bool = False) -> str:
    """A row as `blocks` learns it: with the end-of-sequence token behind it."""
    text, end = text_of(row, tokenizer, reasoning=reasoning), tokenizer.eos_token or ""
    return text if text.endswith(end) else text + end


def _end_of(tokenizer: Any) -> int:
    if tokenizer.eos_token_id is None:
        raise SynthgainError(
            "the base model's tokenizer has no end-of-sequence token",
            where=str(tokenizer.name_or_path),
            next="take another base",
        )
    return int(tokenizer.eos_token_id)


def _ended(row: TrainingRow, tokenizer: Any, reasoning: bool = False) -> list[int]:
    """The ids of a row, with the end-of-sequence token behind them."""
    templated = row.messages is not None and bool(getattr(tokenizer, "chat_template", None))
    text = text_of(row, tokenizer, reasoning=reasoning)
    ids, end = list(tokenizer(text, add_special_tokens=not templated)["input_ids"]), _end_of(tokenizer)
    return ids if ids and ids[-1] == end else [*ids, end]
