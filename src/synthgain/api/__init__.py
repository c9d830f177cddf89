"""What users import: puts the rooms together. The command line is a thin skin over these calls."""

from synthgain.api.curating import curate
from synthgain.api.examining import evaluate
from synthgain.api.giving import export, push
from synthgain.api.looking import broken, nothing_kept, record, report, trace
from synthgain.api.looping import loop
from synthgain.api.making import generate
from synthgain.api.measuring import compare, comparison_page, explain, measure, measure_students
from synthgain.api.showing import demo, demo_documents
from synthgain.api.training import train
from synthgain.api.trying import Preview, check, preview

__all__ = [
    "Preview",
    "broken",
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
    "nothing_kept",
    "preview",
    "push",
    "record",
    "report",
    "trace",
    "train",
]
