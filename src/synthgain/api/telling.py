"""What a person should know before anything is bought."""

from __future__ import annotations

import sys
from collections.abc import Callable

Say = Callable[[str], None]  # hears a line for people


def remark(line: str) -> None:
    """What a person should know before anything is bought, on standard error."""
    print(f"synthgain: {line}", file=sys.stderr, flush=True)
