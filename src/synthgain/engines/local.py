"""This process: one event loop, also from a notebook whose own loop is running."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
YOUNG = 50_000  # containers made and not yet let go before Python looks for cycles among them


def run(work: Coroutine[object, object, T], on_interrupt: Callable[[], bool] | None = None) -> T:
    """The coroutine's result.

    The first Ctrl-C (or stop button) calls `on_interrupt` (end cleanly: True when it could be asked to); the second cancels, and
    KeyboardInterrupt is raised. In both cases this returns only when the work has ended.
    """
    guarded = _Guarded(work, on_interrupt)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with _few_collections():
            here: T = asyncio.run(guarded.here())
            return here
    result: list[T] = []
    failure: list[BaseException] = []

    def elsewhere() -> None:
        try:
            with _few_collections():
                result.append(asyncio.run(guarded.watched()))
        except BaseException as error:  # handed to the caller's thread, whole
            failure.append(error)

    thread = threading.Thread(target=elsewhere, name="synthgain")
    with _heard(guarded.interrupt):
        thread.start()
        while thread.is_alive():
            try:
                thread.join(0.1)  # without a limit it could not be interrupted everywhere
            except KeyboardInterrupt:
                guarded.interrupt()
    if failure:
        raise failure[0]
    return result[0]


class _Guarded:
    """Work that can be asked to end, and then told to."""

    def __init__(self, work: Coroutine[object, object, Any], on_interrupt: Callable[[], bool] | None) -> None:
        self.work, self.on_interrupt = work, on_interrupt
        self.asked = False
        self.task: asyncio.Task[Any] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    async def watched(self) -> Any:
        self.loop, self.task = asyncio.get_running_loop(), asyncio.ensure_future(self.work)
        try:
            return await self.task
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    async def here(self) -> Any:
        """The same, listening to signals where this is the main thread."""
        if self.on_interrupt is None or threading.current_thread() is not threading.main_thread():
            return await self.watched()
        with self._signals():
            return await self.watched()

    def interrupt(self) -> None:
        """From any thread."""
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                self.loop.call_soon_threadsafe(self._interrupted)

    def _interrupted(self) -> None:
        if self.asked or self.on_interrupt is None or not self.on_interrupt():
            assert self.task is not None
            self.task.cancel()
        self.asked = True

    @contextmanager
    def _signals(self) -> Iterator[None]:
        names = (signal.SIGINT, signal.SIGTERM)
        loop = asyncio.get_running_loop()
        try:
            for name in names:
                loop.add_signal_handler(name, self._interrupted)
        except NotImplementedError:  # Windows
            with _heard(self.interrupt):
                yield
            return
        try:
            yield
        finally:
            for name in names:
                loop.remove_signal_handler(name)


@contextmanager
def _heard(interrupt: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C goes to `interrupt` for a while, whoever listened before: a loop's own handler would wait for the loop that is blocked."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: interrupt())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_running: list[tuple[int, int, int]] = []  # the thresholds to go back to, once for each run under way


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for cycles seldom, and never among what was there before.

    Calls and rows hold no cycles and are let go by count, but some ten thousand of their containers are alive at any
    time: looking through them after each 700 new ones took a fifth of the processor time of a call.
    """
    _running.append(gc.get_threshold() if not _running else _running[0])
    if len(_running) == 1:
        gc.freeze()
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    try:
        yield
    finally:
        before = _running.pop()
        if not _running:
            gc.set_threshold(*before)
            gc.unfreeze()
