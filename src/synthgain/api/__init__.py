"""What users import: puts the rooms together. The command line is a thin skin over these calls."""

from synthgain.api.allocating import allocate
from synthgain.api.auditing import audit
from synthgain.api.comparing import compare, comparison_page
from synthgain.api.comparing_arms import arms
from synthgain.api.curating import curate
from synthgain.api.examining import evaluate
from synthgain.api.giving import export, push
from synthgain.api.listing import list_checks, list_models, list_recipes
from synthgain.api.looking import broken, nothing_kept, record, report, rows, thought, trace
from synthgain.api.looping import loop
from synthgain.api.making import generate
from synthgain.api.measuring import advice, explain, headline, measure
from synthgain.api.measuring_students import measure_students
from synthgain.api.misses import misses
from synthgain.api.planning import plan, plan_page
from synthgain.api.previewing import Preview, preview
from synthgain.api.scoring import score
from synthgain.api.showing import demo
from synthgain.api.showing_documents import demo_documents
from synthgain.api.training import train
from synthgain.api.trying import check, first_prompts

__all__ = [
    "Preview",
    "advice",
    "allocate",
    "arms",
    "audit",
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
    "first_prompts",
    "generate",
    "headline",
    "list_checks",
    "list_models",
    "list_recipes",
    "loop",
    "measure",
    "measure_students",
    "misses",
    "nothing_kept",
    "plan",
    "plan_page",
    "preview",
    "push",
    "record",
    "report",
    "rows",
    "score",
    "thought",
    "trace",
    "train",
]
