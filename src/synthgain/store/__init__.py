"""A run folder on disk: the memory of calls, rows, and run.json. The only room that knows where things lie."""

from synthgain.store.calls import CallMemory
from synthgain.store.rows import Staged
from synthgain.store.run import Run, atomic_write, write_readings

__all__ = ["CallMemory", "Run", "Staged", "atomic_write", "write_readings"]
