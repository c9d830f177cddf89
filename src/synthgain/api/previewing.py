"""A few calls for real, each of them shown, and what all groups would take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, overload

from synthgain.anchors import load as load_anchors
from synthgain.api.against import against as compared_with
from synthgain.api.against import listed
from synthgain.api.asking import DEFAULT_MODEL, Asked, ModelChoice, asked
from synthgain.api.counted_drafts import MADE_UP, Few
from synthgain.api.counting import All, Estimate, estimated, length_of
from synthgain.api.foretelling import Span
from synthgain.api.looking import life_of
from synthgain.api.making import Watch, embedder_for, interrupted, suited
from synthgain.api.places import apart_from, for_a_run, writes_to
from synthgain.api.reaching import reaching
from synthgain.api.replaying import Calls, as_asked, recordings_at, served_by, taken_over
from synthgain.api.telling import remark
from synthgain.chain import Numbered, Opened, Tally
from synthgain.chain.buying import BUY_THEM
from synthgain.chain.judging import Judging, closing, row_checks, selections, verdicts_of
from synthgain.chain.lacking import Lacking
from synthgain.chain.unread import Unread
from synthgain.engines import local
from synthgain.models import Reach
from synthgain.report.broken import what_to_do
from synthgain.store import Corpus, Run
from synthgain.store.rows import table
from synthgain.types import AnyCheck, Group, Recipe, Row, SynthgainError, singly

SHOWN = 12  # calls


@dataclass(frozen=True)
class End:
    """Where a cap ends a run: US dollars spent by then, and what the next call may take, which does not fit any more."""

    spent: float
    next: float


@dataclass(frozen=True)
class Preview:
    """What a preview showed, and what all groups would take.

    `lives` are rows with their anchors, calls and verdicts, as `trace` tells them; `alone` are calls that no row came from. `broken` counts
    what failed by reason. `estimate` has calls, tokens_in, tokens_out, cost_usd and seconds; where one cannot be told it is a span of None.
    `note` says how the estimate was made; `stopped` why the preview ended early ("" where it did not), `larger` with which limit it goes on.
    `most` calls were allowed. Of the estimate's calls `there` are in the folder already, what the preview bought included (None: not known).
    `beyond` is what the others take (None: none are there, or it is not known).
    `ends` is where `max_cost` ends the whole run (None: it does not).
    """

    folder: Path
    groups: int
    groups_total: int | None
    most: int
    bought: int
    reused: int
    recorded: int
    lives: Sequence[Mapping[str, Any]]
    alone: Sequence[Mapping[str, Any]]
    broken: Mapping[str, int]
    estimate: Mapping[str, Span]
    note: str
    stopped: str = ""
    larger: str = ""
    there: int | None = None
    ends: End | None = None
    beyond: Mapping[str, Span] | None = None

    def json(self) -> dict[str, Any]:
        return {
            "groups": self.groups,
            "groups_total": self.groups_total,
            "calls": {"most": self.most, "bought": self.bought, "reused": self.reused}
            | ({"recorded": self.recorded} if self.recorded else {}),
            "rows": list(self.lives),
            "calls_without_rows": list(self.alone),
            "broken": dict(self.broken),
            "estimate": {name: span.json() for name, span in self.estimate.items()},
            "note": self.note,
            **({"calls_there": self.there} if self.there is not None else {}),
            **({"beyond": {name: span.json() for name, span in self.beyond.items()}} if self.beyond else {}),
            **({"stopped": self.stopped} if self.stopped else {}),
            **({"ends": {"spent_usd": self.ends.spent, "next_call_usd": self.ends.next}} if self.ends else {}),
        }


Show = Callable[[Mapping[str, Any]], None]


@reaching
def preview(
    recipe: str | Path | Recipe,
    anchors: str | Path | Sequence[Any],
    *,
    out: str | Path,
    limit: int = 3,
    shown: int = SHOWN,
    model: ModelChoice = DEFAULT_MODEL,
    text_field: str | None = None,
    id_field: str | None = None,
    with_: Sequence[str | AnyCheck] = (),
    against: Sequence[str | Path] = (),
    embedder: str = "words",
    reach: Reach | None = None,
    strict: bool = False,
    calls: Calls = (),
    begin: Callable[[int, int, int | None], None] = lambda most, groups, total: None,
    show: Show = lambda life: None,
    watch: Watch = lambda tally: None,
    **options: Any,
) -> Preview:
    """Real prompts, answers and verdicts for the first groups, and an estimate for all.

    At most `shown` calls are bought, shared out over the first `limit` groups, and each is shown: `show` gets each row as it comes (as
    `trace` tells it), then calls that gave none. `begin` is told before, how many calls that are, for how many groups of how many. Only
    calls are written into `out`: previewing again buys nothing, and `generate` into the same folder uses them. Rows that lie there stay.
    `options` are `generate`'s. SynthgainError where no call could be made.
    """
    place = Path(out)
    apart_from(anchors, place)
    for_a_run(place)
    checks = [*listed(with_), *compared_with(against)]
    recordings = recordings_at(calls, place)
    options["calls"] = as_asked(recordings)
    ask = asked(recipe, model=model, with_=checks, reach=reach, limit=limit, embedder=embedder, **options)
    run = Run(place)
    with writes_to(place):
        run.readable()
        needs = ask.recipe.needs
        corpus = load_anchors(
            anchors, text_field=text_field, id_field=id_field, needs=needs, strict=strict, tell=remark
        )
        suited(ask, corpus)
        parts = Opened(ask.recipe, ask.checks, served_by(ask, reach, recordings, run), embedder_for(ask))
        taken_over(recordings, run)
        showing = Showing(ask, parts, run, corpus, limit, shown, show, watch)
        begin(showing.most, len(showing.groups), showing.all.total)
        with closing(ask.checks):
            return local.run(showing(), showing.interrupted)


class Showing:
    """The first groups drafted side by side, a few calls each; every row and every call is shown."""

    def __init__(
        self, ask: Asked, parts: Opened, run: Run, corpus: Corpus, limit: int, shown: int, show: Show, watch: Watch
    ) -> None:
        self.ask, self.parts, self.run, self.show = ask, parts, run, show
        picked = ask.recipe.pick(corpus, (), ask.request.seed)
        self.groups = [Numbered(n, 0, group) for n, group in enumerate(islice(picked, limit))]
        self.all = _all(ask, corpus, [numbered.group for numbered in self.groups])
        self.share = max(1, shown // max(1, len(self.groups)))
        self.most = self.share * len(self.groups)
        self.tally = Tally(label=f"preview of {ask.recipe.name}", groups_total=len(self.groups))
        self.memory = run.memory()
        limits = {name: getattr(ask.request, name) for name in ("seed", "max_cost", "max_tokens")}
        limits |= {"recorded_only": ask.request.calls_only}
        self.buyer = Few(parts.models, self.memory, self.tally, watch, share=self.share, **limits)
        self.checks, self.judging = row_checks(ask.checks), Judging(ask.checks, None, parts.embedder, corpus)
        self.lacking, self.unread = Lacking(ask.checks), Unread(ask.recipe, ask.checks)
        self.lives: list[dict[str, Any]] = []
        self.came: set[str] = set()  # calls that a row came from

    async def __call__(self) -> Preview:
        try:
            await asyncio.gather(*map(self._drafted, self.groups))
            await self.buyer.settled()
            alone = [self._shown(life) for life in self._alone()]
            self._refused()
            seen = list(self.buyer.asked.values())
            found = await estimated(self.parts, seen, self.all, self.memory, self.ask.request.seed)
        finally:
            self.memory.close()
            for role, model in self.parts.models.items():
                if role not in self.ask.objects:
                    await model.aclose()
        note = found.note
        if late := [check.name for check in selections(self.ask.checks)]:
            note += f"; {', '.join(late)} looks at whole sets, so it is not shown here"
        for look in (self.lacking, self.unread):
            if (why := look.refusal(at_the_end=True)) is not None:
                note += f"; {why.where}: {why.what}; {why.next}"
        tally = self.tally
        had = (tally.calls_bought, tally.calls_reused, tally.recorded.total())
        said = (len(self.groups), self.all.total, self.most, *had, self.lives, alone, dict(tally.broken_by))
        larger = " or ".join(f"--{name.replace('_', '-')} {n:g}" for name, n in self.buyer.larger().items())
        stopped = (self.buyer.ended() or ("",))[0]
        return Preview(
            self.run.path,
            *said,
            found.spans,
            note,
            stopped,
            larger,
            found.there,
            self._ends(found),
            found.beyond,
        )

    def _ends(self, found: Estimate) -> End | None:
        """Where the cap on money ends the whole run: here, or where the largest call seen fits no more. What was recorded costs nothing now."""
        budget, cost = self.buyer.budget, found.spans["cost_usd"].value
        if self.tally.recorded and found.beyond is not None and (more := found.beyond["cost_usd"].value) is not None:
            cost = more + (self.tally.cost or 0.0)
        if budget is None or budget.max_cost is None:
            return None
        if budget.why:
            return End(self.tally.cost or 0.0, budget.next[1])
        next = budget.next_takes(call for asked in self.buyer.asked.values() for call in asked.answers())
        end = End(max(0.0, budget.max_cost - next), next)
        return end if cost is not None and cost > end.spent else None

    def interrupted(self) -> bool:
        return interrupted([self.buyer])

    async def _drafted(self, numbered: Numbered) -> None:
        await self.buyer.drafted(self.parts, numbered, lambda row: self._row(numbered.group, row))
        self.tally.groups_done += 1

    def _row(self, group: Group, row: Row) -> None:
        """Judge a row as a run would, and show it; one that came from an answer that nobody gave is none."""
        if any(call.model == MADE_UP for call in row.calls):
            return
        self.came |= {call.id for call in row.calls}
        row = replace(row, verdicts=verdicts_of(row, group, self.checks))
        self.lacking.look(row, group)
        self.unread.look(row)
        judged = self.judging.shard([row])
        for one in judged:
            self.tally.rows += 1
            self.tally.kept += one.fallen is None
            self.lives.append(self._shown(life_of(table([one]).to_pylist()[0], group, one.calls)))

    def _alone(self) -> Iterator[dict[str, Any]]:
        """Calls that no row came from."""
        for draft in self.buyer.asked.values():
            for call in draft.answers():
                if call.id not in self.came:
                    self.came.add(call.id)
                    yield life_of(None, draft.group, [call])

    def _shown(self, life: dict[str, Any]) -> dict[str, Any]:
        self.show(life)
        return life

    def _refused(self) -> None:
        """SynthgainError where there is nothing to go by: the model is not there, all broke, or somebody stopped it."""
        buyer = self.buyer
        if buyer.fatal is not None:
            raise buyer.fatal
        why, code = buyer.ended() or (buyer.too_many_broken(at_the_end=True), 5)
        if why and code != 3:
            after = "" if code == 130 else "see what the server says to one call: synthgain check URI"
            if buyer.drafts_broken and buyer.drafts_broken >= buyer.calls_broken:
                after = what_to_do(next(iter(self.tally.broken_by)))
            if len(buyer.missing):
                after = BUY_THEM
            raise SynthgainError(f"stopped: {why}", where=str(self.run.path), code=code, next=after)


def _all(ask: Asked, corpus: Corpus, first: Sequence[Group]) -> All:
    """Every group, where each anchor is one; else those that are drafted here, and how many there are where the recipe's pick says so."""
    if ask.recipe.pick is singly:
        return All(len(corpus), Singles(corpus), [length_of((anchor,)) for anchor in corpus])
    total = getattr(ask.recipe.pick, "total", lambda corpus: None)(corpus)
    return All(total, first, [length_of(group) for group in first])


@dataclass(frozen=True)
class Singles(Sequence[Group]):
    """Each anchor as a group of its own."""

    corpus: Corpus

    def __len__(self) -> int:
        return len(self.corpus)

    @overload
    def __getitem__(self, at: int) -> Group: ...
    @overload
    def __getitem__(self, at: slice) -> list[Group]: ...
    def __getitem__(self, at: int | slice) -> Group | list[Group]:
        return [(anchor,) for anchor in self.corpus[at]] if isinstance(at, slice) else (self.corpus[at],)
