"""The sandbox: runs programs that a model wrote, or refuses. decisions/2026-11-28-sandbox.md says what it promises.

`shared().run(program)` runs one, `shared().examine(program, tests)` says whether it passes tests; `shared().ready()` raises where this machine
allows no sandbox.
"""

from synthgain.sandbox.jobs import Compared, Examined, Limits, Ran
from synthgain.sandbox.pool import Sandbox, shared

__all__ = ["Compared", "Examined", "Limits", "Ran", "Sandbox", "shared"]
