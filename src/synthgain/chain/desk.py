"""What one draft, or an evaluation, is handed: the models behind memory and budget."""

from __future__ import annotations

import asyncio
import inspect
import sysconfig
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from synthgain.chain.buying import Buyer, NotBought, Purchase, Stopped
from synthgain.types import Call, CallFailed, Group, NoField, Prompt, SynthgainError

T = TypeVar("T")
HERE = Path(__file__).resolve().parent.parent
INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib"))
END: Any = object()  # of what a draft asks
CANCELLED = "the draft's own code cancelled it (CancelledError)"


class _Order:
    """What a draft asked for: a remembered call, a purchase that it waits for, or why there is none."""

    __slots__ = ("call", "failure", "purchase")

    def __init__(self, buyer: Buyer, prompt: Prompt, rank: int, base: int) -> None:
        self.call: Call | None = None
        self.purchase: Purchase | None = None
        self.failure: BaseException | None = None
        try:
            got = buyer.order(prompt, rank, base)
        except (CallFailed, Stopped, SynthgainError) as error:
            self.failure = error
            return
        if isinstance(got, Purchase):
            got.waiting += 1
            self.purchase = got
        else:
            self.call = got

    async def received(self, buyer: Buyer) -> Call:
        if self.failure is not None:
            raise self.failure
        if self.call is not None:
            return self.call
        assert self.purchase is not None
        return await buyer.receive(self.purchase)

    def leave(self) -> None:
        """Want it no more (any number of times)."""
        purchase, self.purchase = self.purchase, None
        if purchase is not None:
            purchase.leave()


class Desk:
    """What one draft, or an evaluation, is handed (`types.Models`): the models behind memory and budget."""

    def __init__(self, buyer: Buyer, group: Group = (), rank: int = 0, base: int = 0) -> None:
        self.buyer, self.group, self.rank, self.base = buyer, group, rank, base
        self.orders: set[_Order] = set()
        self.conversations: set[asyncio.Future[Any]] = set()
        self.untold: list[CallFailed] = []  # failures that the draft was told of, and that broke nothing yet

    async def __call__(self, prompt: Prompt) -> Call:
        order = self._order(prompt)
        try:
            return await order.received(self.buyer)
        except NotBought:
            raise
        except CallFailed as error:
            self.untold.append(error)
            raise
        finally:
            self._leave(order)

    def broke(self, error: CallFailed, *, draft: bool = False) -> None:
        """A failure that ended a conversation, or the draft."""
        self.untold = [other for other in self.untold if other is not error]
        self.buyer.lost(self.group, str(error), call=error.call, draft=draft, final=error.final)

    def failed(self, error: BaseException, place: str = "", else_: str = "", *, draft: bool = False) -> None:
        """A fault of the recipe's own code (see `said_of`) that ended a conversation, or the draft."""
        said = said_of(error, place, else_)
        self.buyer.lost(self.group, said, draft=draft)
        if isinstance(error, NoField) and self.buyer.may_buy and self.buyer.stopped is None:
            self.buyer.on_no_field(error, said)

    async def each(self, prompts: Iterable[Any]) -> AsyncIterator[Any]:
        """Answers in order, bought side by side, looking ahead no further than is of use; pairs where pairs were given.

        Where the run stops, what was paid for is still given, and then `Stopped` is raised.
        """
        ahead: deque[tuple[Any, Prompt, _Order]] = deque()
        source = iter(prompts)
        missing: BaseException | None = None
        try:
            while True:
                while len(ahead) < 2 * self.buyer.width and (asked := next(source, END)) is not END:
                    prompt = _prompt_of(asked)
                    ahead.append((asked, prompt, self._order(prompt)))
                if not ahead:
                    break
                asked, prompt, order = ahead.popleft()
                try:
                    call = await order.received(self.buyer)
                except Stopped as error:
                    missing, source = error, iter(())
                    continue
                except NotBought as error:
                    missing = error
                    continue
                except CallFailed as error:
                    self.buyer.lost(self.group, str(error), prompt, call=error.call, final=error.final)
                    continue
                finally:
                    self._leave(order)
                yield call if asked is prompt else (asked[0], call)
            if missing is not None:
                raise missing
        finally:
            for _, _, order in ahead:
                self._leave(order)

    async def side_by_side(self, conversations: Iterable[Awaitable[T]]) -> AsyncIterator[T]:
        """What several conversations come to, in their order; one that fails is noted as broken and left out."""
        ahead: deque[asyncio.Future[T]] = deque()
        source = iter(conversations)
        missing: BaseException | None = None
        over = False
        try:
            while True:
                while not over and len(ahead) < 2 * self.buyer.width and (talk := next(source, END)) is not END:
                    ahead.append(asyncio.ensure_future(talk))
                    self.conversations.add(ahead[-1])
                if not ahead:
                    break
                task = ahead.popleft()
                try:
                    result = await task
                except Stopped as error:
                    missing, over = error, True
                    continue
                except NotBought as error:
                    missing = error
                    continue
                except CallFailed as error:
                    self.broke(error)
                    continue
                except SynthgainError:
                    raise
                except Exception as error:
                    self.failed(error)
                    continue
                except asyncio.CancelledError:
                    if told_to_end() or not task.cancelled():
                        raise
                    self.buyer.lost(self.group, CANCELLED)
                    continue
                finally:
                    self.conversations.discard(task)
                yield result
            if missing is not None:
                raise missing
        finally:
            for task in ahead:
                task.cancel()
            if isinstance(conversations, Sequence):  # those never begun
                for talk in source:
                    getattr(talk, "close", lambda: None)()

    async def close(self) -> None:
        """The draft has ended: what it still had under way is left, its conversations are over, and failures that it went on after are counted."""
        for order in list(self.orders):
            self._leave(order)
        talks = list(self.conversations)
        for talk in talks:
            talk.cancel()
        if talks:
            await asyncio.gather(*talks, return_exceptions=True)
        for error in self.untold:
            self.buyer.lost(self.group, str(error), call=error.call, final=error.final)
        self.untold = []

    def _order(self, prompt: Prompt) -> _Order:
        order = _Order(self.buyer, prompt, self.rank, self.base)
        if order.purchase is not None:
            self.orders.add(order)
        return order

    def _leave(self, order: _Order) -> None:
        self.orders.discard(order)
        order.leave()


def _prompt_of(asked: Any) -> Prompt:
    """The prompt of what `each` was given: itself, or the second of a pair."""
    prompt = asked[1] if isinstance(asked, tuple | list) and len(asked) == 2 else asked
    if not isinstance(prompt, Prompt):
        raise TypeError(f"each takes prompts or (about, prompt) pairs, not {asked!r:.60}")
    return prompt


def told_to_end() -> bool:
    """Whether this task is being cancelled from outside; else a CancelledError in it is a fault of the code that it runs."""
    me = asyncio.current_task()
    return me is not None and me.cancelling() > 0


def place_of(given: Any) -> str:
    """Where an async generator stands that has just given something (file:line); "" of any other iterator."""
    frame = getattr(given, "ag_frame", None)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""


def defined_at(part: Any) -> str:
    """Where a draft is written (file:line); "" of one that is not written in Python."""
    code = getattr(part if inspect.isroutine(part) else type(part).__call__, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""


def said_of(error: BaseException, place: str = "", else_: str = "") -> str:
    """A fault of a recipe's or a check's own code, with its place: the one given, else the last line that it passed through outside of
    ours, else `else_`."""
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__) or traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if _own_code(f.filename)]
    if not theirs:
        place, theirs = place or else_, list(frames)
    return f"{type(error).__name__}: {error} ({place or f'{theirs[-1].filename}:{theirs[-1].lineno}'})"


def _own_code(file: str) -> bool:
    """Whether a file is somebody's own or a recipe: not of this package, nor of Python or what is installed with it."""
    if file.startswith("<"):  # made while running, as a dataclass's __init__
        return False
    inside = Path(file).resolve()
    if inside.is_relative_to(HERE):
        return inside.is_relative_to(HERE / "recipes")
    return not any(inside.is_relative_to(folder) for folder in INSTALLED)
