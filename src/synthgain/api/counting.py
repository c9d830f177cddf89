"""What a run would take, counted by drafting with answers that nobody gave.

A draft is run to its end with made-up answers, and what it asks is counted: calls, and bytes of prompts. Where the answers of a model
change how many calls there are (EntiGraph asks about every pair of the entities that a model found), the groups that were previewed tell
how many, and the range is what they say of documents of the other lengths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import fmean, stdev

from synthgain.api.counted_drafts import MOST, Asked, Few, Kind, kind_of
from synthgain.api.foretelling import (
    NOTHING,
    WIDE,
    Size,
    Span,
    Took,
    answers_take,
    fixed,
    prompts_take,
    told_of_lengths,
)
from synthgain.api.unsaid import bytes_of
from synthgain.chain import Numbered, Opened, Tally
from synthgain.store import CallMemory
from synthgain.types import Group, Model

COUNTED = 1_000  # groups


@dataclass(frozen=True)
class All:
    """The groups of a run: how many (None: it is not known), and those that can be looked at, each with its text's length."""

    total: int | None
    groups: Sequence[Group]
    lengths: Sequence[int]  # bytes of every group's text, those of `groups` where no more is known


@dataclass
class Due:
    """The calls of a kind: how many of all groups, how large those are that were looked at and not answered, and what the answered took."""

    calls: Span
    open: list[Size] = field(default_factory=list)
    known: list[Took] = field(default_factory=list)

    @property
    def scale(self) -> Span:
        """Times what was looked at, to come to all."""
        n = len(self.open) + len(self.known)
        return self.calls.times(fixed(1 / n)) if n else self.calls

    @property
    def unknown(self) -> Due:
        """Of these the calls that nobody has answered yet."""
        n = len(self.open) + len(self.known)
        return Due(self.calls.times(fixed(len(self.open) / n)) if n else self.calls, self.open)


Counts = Mapping[Kind, Due]


@dataclass(frozen=True)
class Estimate:
    """What all groups would take, how that was told, how many of the calls are in the folder already (None: not known), and what the others
    take (None: none are there, or it is not known)."""

    spans: Mapping[str, Span]
    note: str
    there: int | None = None
    beyond: Mapping[str, Span] | None = None


NAMES = ("calls", "tokens_in", "tokens_out", "cost_usd", "seconds")


async def estimated(parts: Opened, seen: Sequence[Asked], all: All, memory: CallMemory, seed: int) -> Estimate:
    """Calls, tokens, money and seconds of all groups."""
    if all.total is None:
        note = "how many groups there will be is not known before the rows are"
        return Estimate(dict.fromkeys(NAMES, Span()), note)
    whole = await _recorded_whole(parts, all, memory, seed) if memory.recordings() else {}
    if not whole:
        return await _estimated(parts, seen, all, memory, seed)
    known = _known(parts, whole.values())
    spans = dict(zip(NAMES, (fixed(len(known)), *_sums(known))))
    n, there = len(whole), f"{len(whole):,} of {all.total:,} groups are recorded whole"
    if n == all.total:
        return Estimate(spans, "every answer is recorded", len(known), dict.fromkeys(NAMES, NOTHING))
    left = [i for i in range(len(all.groups)) if i not in whole]
    others = All(len(left), [all.groups[i] for i in left], [all.lengths[i] for i in left])
    rest = await _estimated(parts, seen, others, memory, seed)
    added = {name: spans[name] + rest.spans[name] for name in NAMES}
    beyond = rest.beyond or (rest.spans if not rest.there else None)
    return Estimate(added, f"{there}; of the others: {rest.note}", len(known) + (rest.there or 0), beyond)


async def _recorded_whole(parts: Opened, all: All, memory: CallMemory, seed: int) -> dict[int, Asked]:
    """The groups of which every answer is here, by number; none where the groups are too many to look at."""
    if len(all.groups) != all.total or len(all.groups) > COUNTED:
        return {}
    drafts = {i: await _blank(parts, group, memory, seed, i) for i, group in enumerate(all.groups)}
    return {i: asked for i, asked in drafts.items() if asked.told and asked.known.keys() == asked.sizes.keys()}


def _known(parts: Opened, drafts: Iterable[Asked]) -> list[tuple[Model, Took]]:
    """What each of the drafts' calls took, with the model that answered; a call of several drafts once."""
    found = {id: (asked, call) for asked in drafts for id, call in asked.known.items()}
    return [(parts.models[call.prompt.to], asked.took(call)) for asked, call in found.values()]


def _sums(known: Sequence[tuple[Model, Took]]) -> tuple[Span, Span, Span, Span]:
    """Tokens in and out, US dollars and seconds of calls that are here."""
    costs = [took.cost for _, took in known]
    return (
        fixed(sum(took.tokens_in for _, took in known)),
        fixed(sum(took.tokens_out for _, took in known)),
        Span() if None in costs else fixed(sum(cost or 0.0 for cost in costs)),
        fixed(sum(took.seconds / max(1, model.width) for model, took in known)),
    )


async def _estimated(parts: Opened, seen: Sequence[Asked], all: All, memory: CallMemory, seed: int) -> Estimate:
    counts, note, there = await _counts(parts, seen, all, memory, seed)
    calls = sum((due.calls for due in counts.values()), NOTHING)
    answers = {(call.id, kind_of(call.prompt)): asked.took(call) for asked in seen for call in asked.answers()}
    if not counts or not answers:
        return Estimate(dict.fromkeys(NAMES, Span()) | ({"calls": calls} if counts else {}), note, there)
    by_kind = {
        kind: [*(took for (_, its), took in answers.items() if its == kind), *due.known] for kind, due in counts.items()
    }

    def of(due: Mapping[Kind, Due]) -> dict[str, Span]:
        taken = [_taken(parts.models[kind[0]], one, _alike(by_kind, kind, answers)) for kind, one in due.items()]
        added = [sum((each[i] for each in taken), NOTHING) for i in range(4)]
        return dict(zip(NAMES, (sum((one.calls for one in due.values()), NOTHING), *added)))

    far = [told_of_lengths(due.open, by_kind[kind]) for kind, due in counts.items()]
    beyond = of({kind: due.unknown for kind, due in counts.items()}) if there else None
    return Estimate(of(counts), "; ".join(filter(None, (note, *far[:1]))), there, beyond)


async def _counts(
    parts: Opened, seen: Sequence[Asked], all: All, memory: CallMemory, seed: int
) -> tuple[Counts, str, int | None]:
    if any(asked.cut for asked in seen):
        return *_at_least(seen, all), None
    told = [asked for asked in seen if asked.told]
    if not told:
        return {}, "no group was drafted to its end, so nothing can be said of all", None
    nobody = CallMemory(None)
    blank = [await _blank(parts, asked.group, nobody, seed) for asked in told]
    if all_alike(told, blank):
        return await _counted(parts, told, all, memory, seed)
    return *_scaled(told, all), None


def _at_least(seen: Sequence[Asked], all: All) -> tuple[Counts, str]:
    """Some draft asked for more than is counted: what is there of the groups is the least."""
    counts = {}
    for kind in {kind for asked in seen for kind in asked.calls}:
        calls = sum(a.calls[kind] for a in seen)
        counts[kind] = Due(Span(None, calls / len(seen) * (all.total or 0), None), _sizes(seen, kind))
    return counts, f"one group alone asks for more than {MOST:,} calls: the recipe's knobs bound them"


def _sizes(drafts: Sequence[Asked], kind: Kind) -> list[Size]:
    return [size for asked in drafts for its, size in asked.sizes.values() if its == kind]


def all_alike(told: Sequence[Asked], blank: Sequence[Asked]) -> bool:
    """Whether answers make no difference to how many calls there are."""
    return all(a.calls == b.calls and b.told for a, b in zip(told, blank))


async def _blank(parts: Opened, group: Group, memory: CallMemory, seed: int, number: int = 0) -> Asked:
    """A draft of which nobody gave an answer, but for those that are remembered."""
    few = Few(parts.models, memory, Tally(), lambda tally: None, share=0, seed=seed)
    await few.drafted(parts, Numbered(number, 0, group), lambda row: None)
    return few.asked[number]


async def _counted(
    parts: Opened, told: Sequence[Asked], all: All, memory: CallMemory, seed: int
) -> tuple[Counts, str, int | None]:
    """The model decides nothing: every group is counted, or as many evenly spread ones as take no time. What several groups ask alike is
    one call."""
    total = all.total or 0
    each = max(1.0, fmean(asked.n for asked in told))
    n = min(len(all.groups), COUNTED, max(len(told), int(MOST / each)))
    counts: dict[Kind, Due] = defaultdict(lambda: Due(NOTHING))
    new: dict[Kind, list[int]] = defaultdict(lambda: [0] * n)  # by group: calls that none before asked for
    times, ids = 0, set[str]()
    for i in range(n):
        asked = await _blank(parts, all.groups[i * len(all.groups) // n], memory, seed, i)
        times += asked.times
        for id, (kind, size) in asked.sizes.items():
            if id not in ids:
                ids.add(id)
                new[kind][i] += 1
                known = asked.known.get(id)
                if known is None:
                    counts[kind].open.append(size)
                else:
                    counts[kind].known.append(asked.took(known))
    for kind, calls in new.items():
        counts[kind].calls = mean_of(calls, exact=n == total).times(fixed(total))
    over = f"all {total:,}" if n == total else f"{n:,} of {total:,}"
    twice = (
        f"; {times - len(ids):,} of {times:,} prompts there are repeats, which are bought once"
        if times > len(ids)
        else ""
    )
    there = sum(len(due.known) for due in counts.values()) if n == total else None
    return counts, f"counted over {over} groups{twice}", there


def _scaled(told: Sequence[Asked], all: All) -> tuple[Counts, str]:
    """The model decides how many calls there are: what the previewed groups asked for, by the length of each text (as it is, in proportion,
    and with its square)."""
    total = float(all.total or 0)
    powers = [total, *(sum(s**p for s in all.lengths) * total / max(1, len(all.lengths)) for p in (1, 2))]
    counts = {}
    longer = powers[1] / total / fmean(length_of(asked.group) for asked in told)
    for kind in {kind for asked in told for kind in asked.calls}:
        by = [[asked.calls[kind] * powers[p] / length_of(asked.group) ** p for p in range(3)] for asked in told]
        flat = [n for three in by for n in three]
        wide = WIDE if len(told) == 1 else 1.0
        sizes = [Size(int(s.whole * longer) or 1, int(s.own * longer), s.most) for s in _sizes(told, kind)]
        counts[kind] = Due(Span(fmean(three[1] for three in by), min(flat) / wide, max(flat) * wide), sizes)
    seen = ", ".join(f"{asked.n:,}" for asked in told)
    return (
        counts,
        f"the model decides how many calls a group takes (here {seen}), so this is a range by the lengths of the texts",
    )


def length_of(group: Group) -> int:
    return max(1, sum(bytes_of(anchor.text) for anchor in group))


def mean_of(values: Sequence[float], *, exact: bool = False) -> Span:
    """The mean, and about where that of all lies."""
    mean = fmean(values)
    if exact:
        return fixed(mean)
    error = 2 * stdev(values) / sqrt(len(values)) if len(values) > 1 else mean / 2
    return Span(mean, max(0.0, mean - error), mean + error)


def _alike(
    by_kind: Mapping[Kind, Sequence[Took]], kind: Kind, answers: Mapping[tuple[str, Kind], Took]
) -> Sequence[Took]:
    """What answers of that kind took; where there is none yet, of that role, else all."""
    role = [took for (_, its), took in answers.items() if its[0] == kind[0]]
    return by_kind[kind] or role or list(answers.values())


def _taken(model: Model, due: Due, seen: Sequence[Took]) -> tuple[Span, Span, Span, Span]:
    """Tokens in and out, US dollars and seconds of all calls of a kind: of those that were looked at, as the answered ones took and the others
    will by what is alike; then of all."""
    tokens_in = fixed(sum(took.tokens_in for took in due.known)) + prompts_take(due.open, seen)
    tokens_out = fixed(sum(took.tokens_out for took in due.known)) + answers_take(
        due.open, seen, lambda took: took.tokens_out, most=True
    )
    wide = max(1, model.width)
    seconds = answers_take(due.open, seen, lambda took: took.seconds / wide) + fixed(
        sum(took.seconds for took in due.known) / wide
    )
    price = getattr(model, "price", None)
    costs = [took.cost for took in seen if took.cost is not None]
    if price is not None:
        cost = tokens_in.times(fixed(price.cost(1, 0))) + tokens_out.times(fixed(price.cost(0, 1)))
    elif len(costs) == len(seen):
        cost = answers_take(due.open, seen, lambda took: took.cost or 0.0)
        cost += fixed(sum(took.cost or 0.0 for took in due.known))
    else:
        cost = Span()
    tokens_in, tokens_out, cost, seconds = (due.scale.times(span) for span in (tokens_in, tokens_out, cost, seconds))
    return tokens_in, tokens_out, cost, seconds
