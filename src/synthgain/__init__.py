"""synthgain: make synthetic training data for language models, and know what it adds.

import synthgain as sg
run = sg.generate("entigraph", "docs/", model="openai/my-model", out="runs/first")
print(sg.measure(run))
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgain.api import (
        advice,
        allocate,
        arms,
        audit,
        check,
        compare,
        curate,
        demo,
        evaluate,
        explain,
        export,
        first_prompts,
        generate,
        list_checks,
        list_models,
        list_recipes,
        loop,
        measure,
        plan,
        preview,
        push,
        record,
        report,
        score,
        trace,
        train,
    )
    from synthgain.models import Reach, Scripted
    from synthgain.store import Run
    from synthgain.types import (
        Anchor,
        AnotherRequest,
        BudgetReached,
        Call,
        CallFailed,
        Interrupted,
        Prompt,
        Reading,
        Recipe,
        Row,
        Sampling,
        SynthgainError,
        TooManyBroken,
        Unreachable,
        Verdict,
    )

_HOMES = {
    "synthgain.api": (
        "advice",
        "allocate",
        "arms",
        "audit",
        "check",
        "compare",
        "curate",
        "demo",
        "evaluate",
        "explain",
        "export",
        "first_prompts",
        "generate",
        "list_checks",
        "list_models",
        "list_recipes",
        "loop",
        "measure",
        "plan",
        "preview",
        "push",
        "record",
        "report",
        "score",
        "trace",
        "train",
    ),
    "synthgain.models": ("Reach", "Scripted"),
    "synthgain.store": ("Run",),
    "synthgain.types": (
        "Anchor",
        "AnotherRequest",
        "BudgetReached",
        "Call",
        "CallFailed",
        "Interrupted",
        "Prompt",
        "Reading",
        "Recipe",
        "Row",
        "Sampling",
        "SynthgainError",
        "TooManyBroken",
        "Unreachable",
        "Verdict",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Anchor",
    "AnotherRequest",
    "BudgetReached",
    "Call",
    "CallFailed",
    "Interrupted",
    "Prompt",
    "Reach",
    "Reading",
    "Recipe",
    "Row",
    "Run",
    "Sampling",
    "Scripted",
    "SynthgainError",
    "TooManyBroken",
    "Unreachable",
    "Verdict",
    "advice",
    "allocate",
    "arms",
    "audit",
    "check",
    "compare",
    "curate",
    "demo",
    "evaluate",
    "explain",
    "export",
    "first_prompts",
    "generate",
    "list_checks",
    "list_models",
    "list_recipes",
    "loop",
    "measure",
    "plan",
    "preview",
    "push",
    "record",
    "report",
    "score",
    "trace",
    "train",
]


class _Face(ModuleType):
    """Some functions (`sg.measure`) have the name of the room that they come from; the function is what users get."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in _HOME):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Names are imported when first used, so that `import synthgain` and `synthgain --help` stay fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'synthgain' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
