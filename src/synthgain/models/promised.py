"""An answer that a thread gives to who awaits it in an event loop."""

from __future__ import annotations

import asyncio
import contextlib

from synthgain.types import Call


def settle(answer: asyncio.Future[Call], what: Call | Exception) -> None:
    """Gives the call, or what went wrong, to whoever awaits `answer`; from any thread. Whoever has left gets nothing."""

    def give() -> None:
        if answer.done():
            return
        if isinstance(what, Exception):
            answer.set_exception(what)
        else:
            answer.set_result(what)

    with contextlib.suppress(RuntimeError):  # its loop is gone, and nobody waits
        answer.get_loop().call_soon_threadsafe(give)
