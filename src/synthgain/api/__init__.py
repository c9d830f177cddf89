"""What users import: puts the rooms together. The command line is a thin skin over these calls."""

from synthgain.api.giving import export, push
from synthgain.api.looking import report, trace
from synthgain.api.making import Preview, check, curate, generate, preview
from synthgain.api.measuring import compare, comparison_page, explain, measure, measure_students
from synthgain.api.showing import demo, demo_documents
from synthgain.api.teaching import evaluate, loop, train

__all__ = [
    "Preview",
    "check",
    "compare",
    "comparison_page",
    "curate",
    "demo",
    "demo_documents",
    "evaluate",
    "explain",
    "export",
    "generate",
    "loop",
    "measure",
    "measure_students",
    "preview",
    "push",
    "report",
    "trace",
    "train",
]
