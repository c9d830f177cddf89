from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from doubles.server import Planned, Server, served


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    with served() as server:
        yield server


@pytest.fixture
def planned(one_server: Server) -> Planned:
    """A server with this plan and zero counts, without the half second that a new process takes."""

    def become(**plan: Any) -> AbstractContextManager[Server]:
        one_server.become(**plan)
        return nullcontext(one_server)

    return become
