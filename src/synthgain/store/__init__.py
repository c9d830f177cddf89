"""A run folder on disk: anchors, groups, the memory of calls, rows, and run.json. The only room that knows where things lie."""

from synthgain.store.calls import CallMemory
from synthgain.store.corpus import Corpus
from synthgain.store.lock import writing
from synthgain.store.met import Met
from synthgain.store.rows import chat
from synthgain.store.run import Run, atomic_write, intact, kind_of, read_readings, write_readings
from synthgain.store.staged import Accepted, Staged

__all__ = [
    "Accepted",
    "CallMemory",
    "Corpus",
    "Met",
    "Run",
    "Staged",
    "atomic_write",
    "chat",
    "intact",
    "kind_of",
    "read_readings",
    "write_readings",
    "writing",
]
