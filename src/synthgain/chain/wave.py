"""One wave: a range of groups, drafted side by side, its rows given in the order of the groups.

`draft` does a whole wave from picklable things alone, in this process or on a worker. `Wave` is the same as a stream,
for a process that judges and writes rows while others are still being drafted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from synthgain.chain.buying import Buyer, NotBought, Stopped
from synthgain.chain.desk import CANCELLED, Desk, defined_at, place_of, told_to_end
from synthgain.chain.groups import Numbered
from synthgain.chain.judging import plain_verdict, row_checks, verdicts_beside
from synthgain.chain.request import Request
from synthgain.chain.tally import Tally
from synthgain.store import CallMemory
from synthgain.thinking import only_thought
from synthgain.types import (
    AnyCheck,
    Call,
    CallFailed,
    Embedder,
    Group,
    Model,
    Recipe,
    Row,
    SynthgainError,
    WrongMessage,
    drop,
)

FIRST = 3  # drafts that all gave what is no row: more are not begun
LONGEST = 10_000  # bits of a number in a row's fields: Python writes down no much longer one


@dataclass(frozen=True)
class Opened:
    """What a request names, opened."""

    recipe: Recipe
    checks: tuple[AnyCheck, ...]
    models: Mapping[str, Model]
    embedder: Embedder | None = None


@dataclass(frozen=True)
class Drafted:
    """What one draft gave. `whole` is false where the run stopped before the draft ended."""

    rows: list[Row]
    whole: bool


class Wave:
    """Drafts groups by workers; `spent` is called when the last group has been handed out, so that the next wave may begin, and `told` with
    each row as it comes."""

    def __init__(
        self,
        parts: Opened,
        groups: Sequence[Numbered],
        buyer: Buyer,
        round: int,
        spent: Callable[[], None],
        told: Callable[[Group, Row], None] = lambda group, row: None,
    ) -> None:
        self.parts, self.groups, self.buyer, self.round = parts, groups, buyer, round
        self.spent, self.told = spent, told
        self.checks = row_checks(parts.checks)
        self.upcoming = self.consumed = 0
        self.done: dict[int, Drafted] = {}
        self.news = asyncio.Event()
        self.workers: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None
        self._crew()

    async def __aiter__(self) -> AsyncIterator[Drafted]:
        """What the drafts gave, in the groups' order; after a stop also what came behind a gap."""
        try:
            while self.consumed < len(self.groups):
                while self.consumed in self.done:
                    self.consumed += 1
                    yield self.done.pop(self.consumed - 1)
                if self.failure is not None:
                    raise self.failure
                if not self.workers:
                    break
                self.news.clear()
                if self.consumed not in self.done:
                    await self.news.wait()
            await self.buyer.settled(before=self.groups[-1].number + 1)
            for index in sorted(self.done):
                yield self.done.pop(index)
        finally:
            await self.close()

    @property
    def begun(self) -> Sequence[Numbered]:
        """The groups whose drafts were begun."""
        return self.groups[: self.upcoming]

    async def close(self) -> None:
        """Nobody wants more of it."""
        for worker in self.workers:
            worker.cancel()
        await asyncio.gather(*self.workers, return_exceptions=True)

    def _crew(self) -> None:
        """As many workers as are of use now: a model may grow wider while it answers."""
        for _ in range(min(2 * self.buyer.width, len(self.groups)) - len(self.workers)):
            if self.upcoming >= len(self.groups):
                return
            worker = asyncio.create_task(self._work())
            self.workers.add(worker)
            worker.add_done_callback(self._left)

    def _left(self, worker: asyncio.Task[None]) -> None:
        self.workers.discard(worker)
        if not worker.cancelled():
            self.failure = self.failure or worker.exception()
        self.news.set()

    async def _work(self) -> None:
        while self.buyer.stopped is None and self.upcoming < len(self.groups):
            index = self.upcoming
            self.upcoming += 1
            if self.upcoming == len(self.groups):
                self.spent()
            numbered = self.groups[index]
            told = partial(self.told, numbered.group)
            self.done[index] = await drafted(self.parts, numbered, self.buyer, self.round, self.checks, told)
            if index == self.consumed:
                self.news.set()
            self._crew()


async def drafted(
    parts: Opened,
    numbered: Numbered,
    buyer: Buyer,
    round: int,
    checks: Sequence[Any],
    told: Callable[[Row], None] = lambda row: None,
) -> Drafted:
    """The rows of one draft with the row checks' verdicts, each handed to `told` as it comes. A fault of the recipe's own is data: it says
    where, and others go on."""
    group, rows = numbered.group, list[Row]()
    ids = tuple(a.id for a in group)
    desk = Desk(buyer, group, numbered.number, numbered.base)
    recipe = parts.recipe
    source = ""
    try:
        given = recipe.draft(desk, *group)
        async for row in given:
            source = place_of(given)
            if not isinstance(row, Row):
                raise TypeError(f"the draft gave a {type(row).__name__}, not a Row")
            _writable(row)
            row = _with_its_calls(row)
            source = ""
            if row.verdicts:
                said = map(plain_verdict, row.verdicts)
                row = replace(row, verdicts=tuple(v if v.check else replace(v, check="draft") for v in said))
            verdicts = await verdicts_beside(row, group, checks) if checks else row.verdicts
            rows.append(
                Row(
                    row.messages,
                    row.text,
                    row.calls,
                    row.fields,
                    row.rejected,
                    row.tools,
                    verdicts,
                    ids,
                    recipe.name,
                    round,
                )
            )
            told(rows[-1])
    except (Stopped, NotBought):
        return Drafted(rows, whole=False)
    except CallFailed as error:
        desk.broke(error, draft=True)
        return Drafted(rows, whole=True)
    except SynthgainError as error:
        if not isinstance(error, WrongMessage):
            buyer.fail(error)
            return Drafted(rows, whole=False)
        desk.failed(error, source, draft=True)
        return Drafted(rows, whole=True)
    except (Exception, SystemExit) as error:
        desk.failed(error, source, defined_at(recipe.draft), draft=True)
        if source:
            _end_where_all_give_it_wrongly(buyer)
        return Drafted(rows, whole=True)
    except asyncio.CancelledError:
        if told_to_end():
            raise
        buyer.lost(group, CANCELLED, draft=True)
        return Drafted(rows, whole=True)
    finally:
        await desk.close()
    buyer.draft_ended(broken=False)
    return Drafted(rows, whole=True)


def _end_where_all_give_it_wrongly(buyer: Buyer) -> None:
    """Stop where each of the first drafts broke over what it gave: the others would buy their calls for nothing."""
    if buyer.may_buy and buyer.stopped is None and FIRST <= buyer.drafts_ended == buyer.drafts_broken:
        buyer.stop(buyer.too_many_broken(at_the_end=True), 5)


def _with_its_calls(row: Row) -> Row:
    """The row as its calls have it: it falls where the last one is no answer, and is marked where a server dropped a part of a prompt."""
    if row.calls and (fault := row.calls[-1].fault or only_thought(row.calls[-1])):
        row = replace(row, verdicts=(drop(fault, check="answer"), *row.verdicts))
    if any(call.misread for call in row.calls):
        row = replace(row, fields={**row.fields, "prompt_cut": True})
    return row


def _writable(row: Row) -> None:
    """TypeError where a row holds what cannot be written down; it would end the run when its shard is written."""
    if not (row.text is None or isinstance(row.text, str)):
        raise TypeError(f"a row's text is a {type(row.text).__name__}")
    if not all(isinstance(call, Call) for call in row.calls):
        raise TypeError("a row's calls are not all of them calls")
    for name, value in row.fields.items():
        if not isinstance(name, str) or not _has_json(value):
            raise TypeError(f"a row's field {name!r} is {value!r:.60}, which has no JSON form")
        if not name.isascii():
            name.encode()  # UnicodeEncodeError: no column can have this name


def _has_json(value: Any) -> bool:
    if isinstance(value, int):
        return value.bit_length() < LONGEST
    if value is None or isinstance(value, str | float):
        return True
    if isinstance(value, dict):
        return all(isinstance(key, str) and _has_json(v) for key, v in value.items())
    return isinstance(value, list | tuple) and all(map(_has_json, value))


# ---------------------------------------------------------------------------------------------- anywhere


@dataclass(frozen=True)
class Shard:
    """What a wave came to: its rows in order, what it took, what broke, and why it stopped short ("" where it did not)."""

    rows: list[Row]
    tally: Tally
    broken: list[dict[str, Any]] = field(default_factory=list)
    why: str = ""
    code: int = 0


def draft(
    request: Request,
    groups: Sequence[Numbered],
    memory: Path,
    opened: Callable[[Request], Opened],
    segment: str = "local",
) -> Shard:
    """The wave of these groups. Everything is picklable: it runs here or in another process, and gives the same shard.

    `memory` is the folder of calls, `segment` the part of it that this process alone writes; `opened` opens what the request names.
    """
    return asyncio.run(_alone(request, groups, memory, opened, segment))


async def _alone(
    request: Request, groups: Sequence[Numbered], folder: Path, opened: Callable[[Request], Opened], segment: str
) -> Shard:
    parts, tally, broken = opened(request), Tally(label=request.recipe.name), list[dict[str, Any]]()
    memory = CallMemory(folder, segment=segment)
    try:
        buyer = Buyer(
            parts.models,
            memory,
            tally,
            lambda _: None,
            seed=request.seed,
            max_cost=request.max_cost,
            max_tokens=request.max_tokens,
            recorded_only=request.calls_only,
        )
        buyer.on_broken = broken.append
        rows: list[Row] = []
        async for draft in Wave(parts, groups, buyer, request.round, lambda: None):
            rows += draft.rows
            tally.groups_done += draft.whole
        await buyer.settled()
        why, code = buyer.stopped or ("", 0)
        return Shard(rows, tally, broken, why, code)
    finally:
        memory.close()
        for model in parts.models.values():
            await model.aclose()
