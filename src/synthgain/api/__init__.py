"""What users import: puts the rooms together. The command line is a thin skin over these calls."""

from synthgain.api.giving import export, push
from synthgain.api.making import Preview, check, curate, generate, preview
from synthgain.api.measuring import measure, report, trace
from synthgain.api.showing import demo, demo_documents
from synthgain.api.teaching import evaluate, loop, train

__all__ = [
    "Preview",
    "check",
    "curate",
    "demo",
    "demo_documents",
    "evaluate",
    "export",
    "generate",
    "loop",
    "measure",
    "preview",
    "push",
    "report",
    "trace",
    "train",
]
