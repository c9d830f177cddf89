"""What users import: puts the rooms together. The command line is a thin skin over these calls."""

from synthgain.api.making import Preview, check, curate, generate, preview
from synthgain.api.measuring import measure, report, trace
from synthgain.api.teaching import demo, evaluate, loop, train

__all__ = [
    "Preview",
    "check",
    "curate",
    "demo",
    "evaluate",
    "generate",
    "loop",
    "measure",
    "preview",
    "report",
    "trace",
    "train",
]
