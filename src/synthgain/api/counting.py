"""What a run would take, counted by drafting with answers that nobody gave.

A draft is run to its end with made-up answers, and what it asks is counted: calls, and bytes of prompts. Where the answers of a model
change how many calls there are (EntiGraph asks about every pair of the entities that a model found), the groups that were previewed tell
how many, and the range is what they say of documents of the other lengths.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from synthgain.chain import Buyer, Numbered, Opened, Tally
from synthgain.chain.buying import Purchase, Stopped
from synthgain.chain.wave import drafted
from synthgain.store import CallMemory
from synthgain.types import Call, Group, Model, Prompt, assistant

MADE_UP = "made up"  # the model of an answer that nobody gave
UNSAID = "Nobody gave this answer."
SOME = 5  # members of a list that nobody gave
MOST = 6_000  # calls that one draft is counted up to, and all drafts that are counted to tell of others
COUNTED = 1_000  # groups
WIDE = 2.0  # how far off one previewed group alone is taken to be, either way
Kind = tuple[str, bool]  # of calls: the role, and whether a schema is asked for


@dataclass(frozen=True)
class Span:
    """A figure and between what it may lie: `low` is `high` where it was counted. None: it cannot be told."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def json(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}

    def __add__(self, other: Span) -> Span:
        return Span(*(None if None in (a, b) else a + b for a, b in zip(self._three(), other._three())))  # type: ignore[operator]

    def times(self, other: Span) -> Span:
        """Both uncertain at once."""
        return Span(*(None if a is None or b is None else a * b for a, b in zip(self._three(), other._three())))

    def _three(self) -> tuple[float | None, float | None, float | None]:
        return self.value, self.low, self.high


NOTHING = Span(0.0, 0.0, 0.0)


def fixed(value: float) -> Span:
    """A figure that is what it is."""
    return Span(value, value, value)


@dataclass
class Asked:
    """What one draft asked for: different calls and bytes of their prompts by kind, and the answers that were really given.

    `whole` is true where the draft came to its end by itself; `cut` where it asked for more than is counted; `broke` where it could do
    nothing with an answer that nobody gave.
    """

    group: Group = ()
    calls: dict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    size: dict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    given: list[Call | Purchase] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    whole: bool = False
    cut: bool = False
    broke: bool = False

    @property
    def told(self) -> bool:
        """Whether the counts are those of the whole draft."""
        return self.whole and not self.broke

    @property
    def n(self) -> int:
        return sum(self.calls.values())

    def add(self, prompt: Prompt) -> None:
        said = tuple(turn["content"] for turn in prompt.messages)
        draw = prompt.draw if prompt.sampling.temperature else 0
        if (content := hash((prompt.to, draw, said))) not in self.seen:
            self.seen.add(content)
            self.calls[kind_of(prompt)] += 1
            self.size[kind_of(prompt)] += size_of(prompt)

    def answers(self) -> Iterator[Call]:
        """The calls that were bought or remembered."""
        for got in self.given:
            if isinstance(got, Call):
                yield got
            elif got.task.done() and not got.task.cancelled() and got.task.exception() is None:
                yield got.task.result()


def kind_of(prompt: Prompt) -> Kind:
    return prompt.to, prompt.schema is not None


def made_up(prompt: Prompt) -> str:
    """An answer that nobody gave: what the schema asks for, where there is one, in words that stand in the prompt."""
    if prompt.schema is None:
        return UNSAID
    text = prompt.messages[-1]["content"]
    words = dict.fromkeys(re.findall(r"\w{4,}", text[len(text) // 3 :]))
    return json.dumps(_instance(prompt.schema, list(words)[:SOME] or [UNSAID]))


def _instance(schema: Mapping[str, Any], words: Sequence[str]) -> Any:
    """Something that follows a schema, as far as its types say."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _instance(part, words) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [_instance(schema.get("items", {}), [word]) for word in words]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
    return words[0]


def size_of(prompt: Prompt) -> int:
    return max(1, sum(map(_size, (m["content"] for m in prompt.messages))))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


class Few(Buyer):
    """Buys the first `share` calls of each draft. What a draft asks beyond is answered by what its role said last, so that it comes to its end
    and shows what it would buy."""

    def __init__(
        self, models: Mapping[str, Model], memory: CallMemory, tally: Tally, watch: Any, *, share: int, **limits: Any
    ) -> None:
        super().__init__(models, memory, tally, watch, **limits)
        self.share = share
        self.asked: dict[int, Asked] = defaultdict(Asked)
        self.said: dict[Kind, str] = {}  # what was answered last

    @property
    def width(self) -> int:
        """Drafts look ahead no further than this allows: conversations come to their end one after the other, and rows are seen."""
        return 1

    def order(self, prompt: Prompt, rank: int, base: int) -> Call | Purchase:
        asked = self.asked[rank]
        asked.add(prompt)
        if asked.n > MOST:
            asked.cut = True
            raise Stopped
        if len(asked.given) >= self.share or self.stopped is not None:
            message = assistant(self.said.get(kind_of(prompt)) or made_up(prompt))
            return Call(f"{MADE_UP} {rank} {asked.n}", prompt, message, MADE_UP)
        got = super().order(prompt, rank, base)
        asked.given.append(got)
        return got

    async def receive(self, purchase: Purchase) -> Call:
        call = await super().receive(purchase)
        self.said[kind_of(call.prompt)] = call.text
        return call

    def lost(
        self,
        group: Group,
        reason: str,
        prompt: Prompt | None = None,
        *,
        call: str = "",
        draft: bool = False,
        final: bool = False,
    ) -> None:
        """What broke; a draft that broke over an answer that nobody gave is none of it."""
        mine = next(a for a in self.asked.values() if a.group == group)
        if call or len(mine.given) >= mine.n:
            super().lost(group, reason, prompt, call=call, draft=draft, final=final)
        else:
            mine.broke = True

    async def drafted(self, parts: Opened, numbered: Numbered, told: Any) -> None:
        """One draft, up to its end."""
        asked = self.asked[numbered.number]
        asked.group = numbered.group
        asked.whole = (await drafted(parts, numbered, self, 0, (), told)).whole


# ---------------------------------------------------------------------------------------------- all groups


@dataclass(frozen=True)
class All:
    """The groups of a run: how many (None: it is not known), and those that can be looked at, each with its text's length."""

    total: int | None
    groups: Sequence[Group]
    lengths: Sequence[int]  # bytes of every group's text, those of `groups` where no more is known


Counts = Mapping[Kind, tuple[Span, float]]  # calls of a kind, and the mean bytes of a prompt


async def estimated(parts: Opened, seen: Sequence[Asked], all: All) -> tuple[dict[str, Span], str]:
    """Calls, tokens, money and seconds of all groups, and how that was told."""
    names = ("calls", "tokens_in", "tokens_out", "cost_usd", "seconds")
    if all.total is None:
        return dict.fromkeys(names, Span()), "how many groups there will be is not known before the rows are"
    counts, note = await _counts(parts, seen, all)
    calls = sum((n for n, _ in counts.values()), NOTHING)
    answers = [call for asked in seen for call in asked.answers()]
    if not counts or not answers:
        return dict.fromkeys(names, Span()) | ({"calls": calls} if counts else {}), note
    taken = [_taken(parts.models[kind[0]], n, size, _alike(answers, kind)) for kind, (n, size) in counts.items()]
    added = [sum((each[i] for each in taken), NOTHING) for i in range(4)]
    return dict(zip(names, (calls, *added))), note


async def _counts(parts: Opened, seen: Sequence[Asked], all: All) -> tuple[Counts, str]:
    if any(asked.cut for asked in seen):
        return _at_least(seen, all)
    told = [asked for asked in seen if asked.told]
    if not told:
        return {}, "no group was drafted to its end, so nothing can be said of all"
    blank = [await _blank(parts, asked.group) for asked in told]
    return await _counted(parts, told, all) if all_alike(told, blank) else _scaled(told, all)


def _at_least(seen: Sequence[Asked], all: All) -> tuple[Counts, str]:
    """Some draft asked for more than is counted: what is there of the groups is the least."""
    counts = {}
    for kind in {kind for asked in seen for kind in asked.calls}:
        calls, size = sum(a.calls[kind] for a in seen), sum(a.size[kind] for a in seen)
        counts[kind] = (Span(None, calls / len(seen) * (all.total or 0), None), size / max(1, calls))
    return counts, f"one group alone asks for more than {MOST:,} calls: the recipe's knobs bound them"


def all_alike(told: Sequence[Asked], blank: Sequence[Asked]) -> bool:
    """Whether answers make no difference to how many calls there are."""
    return all(a.calls == b.calls and b.told for a, b in zip(told, blank))


async def _blank(parts: Opened, group: Group) -> Asked:
    """A draft of which nobody gave an answer."""
    few = Few(parts.models, CallMemory(None), Tally(), lambda tally: None, share=0)
    await few.drafted(parts, Numbered(0, 0, group), lambda row: None)
    return few.asked[0]


async def _counted(parts: Opened, told: Sequence[Asked], all: All) -> tuple[Counts, str]:
    """The model decides nothing: every group is counted, or as many evenly spread ones as take no time."""
    total = all.total or 0
    each = max(1.0, fmean(asked.n for asked in told))
    n = min(len(all.groups), COUNTED, max(len(told), int(MOST / each)))
    chosen = [all.groups[i * len(all.groups) // n] for i in range(n)]
    found = [await _blank(parts, group) for group in chosen]
    kinds = {kind for asked in found for kind in asked.calls}
    counts = {}
    for kind in kinds:
        calls, size = [asked.calls[kind] for asked in found], sum(asked.size[kind] for asked in found)
        counts[kind] = (mean_of(calls, exact=n == total).times(fixed(total)), size / max(1, sum(calls)))
    return counts, f"counted over all {total:,} groups" if n == total else f"counted over {n:,} of {total:,} groups"


def _scaled(told: Sequence[Asked], all: All) -> tuple[Counts, str]:
    """The model decides how many calls there are: what the previewed groups asked for, by the length of each text (as it is, in proportion,
    and with its square)."""
    total = float(all.total or 0)
    powers = [total, *(sum(s**p for s in all.lengths) * total / max(1, len(all.lengths)) for p in (1, 2))]
    counts = {}
    for kind in {kind for asked in told for kind in asked.calls}:
        by = [[asked.calls[kind] * powers[p] / length_of(asked.group) ** p for p in range(3)] for asked in told]
        flat = [n for three in by for n in three]
        wide = WIDE if len(told) == 1 else 1.0
        longer = powers[1] / total / fmean(length_of(asked.group) for asked in told)
        size = sum(a.size[kind] for a in told) / max(1, sum(a.calls[kind] for a in told)) * longer
        counts[kind] = (Span(fmean(three[1] for three in by), min(flat) / wide, max(flat) * wide), size)
    seen = ", ".join(f"{asked.n:,}" for asked in told)
    return (
        counts,
        f"the model decides how many calls a group takes (here {seen}), so this is a range by the lengths of the texts",
    )


def length_of(group: Group) -> int:
    return max(1, sum(_size(anchor.text) for anchor in group))


def mean_of(values: Sequence[float], *, exact: bool = False) -> Span:
    """The mean, and about where that of all lies."""
    mean = fmean(values)
    if exact:
        return fixed(mean)
    error = 2 * stdev(values) / sqrt(len(values)) if len(values) > 1 else mean / 2
    return Span(mean, max(0.0, mean - error), mean + error)


def _alike(answers: Sequence[Call], kind: Kind) -> Sequence[Call]:
    """The answers of that kind; where there is none yet, of that role, else all."""
    same = [call for call in answers if kind_of(call.prompt) == kind]
    return same or [call for call in answers if call.prompt.to == kind[0]] or answers


def _taken(model: Model, calls: Span, size: float, answers: Sequence[Call]) -> tuple[Span, Span, Span, Span]:
    """Tokens in and out, US dollars and seconds of so many calls, by what answered ones took."""
    per_byte = sum(call.tokens_in for call in answers) / sum(size_of(call.prompt) for call in answers)
    tokens_in = calls.times(fixed(size * per_byte))
    tokens_out = calls.times(mean_of([call.tokens_out for call in answers]))
    seconds = calls.times(mean_of([call.seconds / max(1, model.width) for call in answers]))
    price = getattr(model, "price", None)
    if price is not None:
        return (
            tokens_in,
            tokens_out,
            tokens_in.times(fixed(price.cost(1, 0))) + tokens_out.times(fixed(price.cost(0, 1))),
            seconds,
        )
    costs = [call.cost for call in answers if call.cost is not None]
    return tokens_in, tokens_out, calls.times(mean_of(costs)) if len(costs) == len(answers) else Span(), seconds
