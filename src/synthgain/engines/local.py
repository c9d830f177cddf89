"""This process: one event loop, also from a notebook whose own loop is running."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
YOUNG = 50_000  # containers made and not yet let go before Python looks for cycles among them


def run(work: Coroutine[object, object, T], on_interrupt: Callable[[], bool] | None = None) -> T:
    """The coroutine's result.

    The first Ctrl-C calls `on_interrupt` (end cleanly: True when it could be asked to); the second cancels.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with _few_collections():
            return asyncio.run(_guarded(work, on_interrupt))
    result: list[T] = []
    failure: list[BaseException] = []

    def elsewhere() -> None:
        try:
            with _few_collections():
                result.append(asyncio.run(_guarded(work, None)))
        except BaseException as error:  # handed to the caller's thread, whole
            failure.append(error)

    thread = threading.Thread(target=elsewhere, name="synthgain")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


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


async def _guarded(work: Coroutine[object, object, T], on_interrupt: Callable[[], bool] | None) -> T:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    watching = on_interrupt is not None and threading.current_thread() is threading.main_thread()
    asked = False

    def interrupted() -> None:
        nonlocal asked
        if asked or on_interrupt is None or not on_interrupt():
            task.cancel()
        asked = True

    if watching:
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, interrupted)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        if watching:
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(name)
