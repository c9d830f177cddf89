"""This process: one event loop, also from a notebook whose own loop is running."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")


def run(work: Coroutine[object, object, T], on_interrupt: Callable[[], bool] | None = None) -> T:
    """The coroutine's result.

    The first Ctrl-C calls `on_interrupt` (end cleanly: True when it could be asked to); the second cancels.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_guarded(work, on_interrupt))
    result: list[T] = []
    failure: list[BaseException] = []

    def elsewhere() -> None:
        try:
            result.append(asyncio.run(_guarded(work, None)))
        except BaseException as error:  # handed to the caller's thread, whole
            failure.append(error)

    thread = threading.Thread(target=elsewhere, name="synthgain")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


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
