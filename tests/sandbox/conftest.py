"""A sandbox for the tests; they are skipped where this machine allows none."""

from collections.abc import Iterator

import pytest

from synthgain.sandbox import Sandbox
from synthgain.types import SynthgainError


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(1)
    try:
        made.ready()
    except SynthgainError as error:
        pytest.skip(error.what)
    yield made
    made.close()
