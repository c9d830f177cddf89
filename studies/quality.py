"""Stories of QuALITY: what a 135M student learns of them by reading them again, by questions-and-answers, and by rephrasing.

Registered in `quality.md`. Without arguments; about three hours of two slow cores, and it goes on where it was stopped (each learning rate is written down
when it is done). It needs ../shared/data/quality (SYNTHGAIN_DATA) and writes `quality.json` beside itself.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

import synthgain as sg
from synthgain.loop import Arm, Part

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]
from documents_learned import table  # noqa: E402
from results import write  # noqa: E402

RUNS = Path(os.environ.get("SYNTHGAIN_RUNS", HERE.parent / "runs")) / "quality"
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data")) / "quality"
WRITER, STUDENT = "local/qwen2.5-coder-1.5b", "local/smollm2-135m"
STORIES, RATES = 4, (4e-4, 1.3e-4, 4e-5)
RECIPES: dict[str, dict[str, Any]] = {
    "document-qa": {"kinds": ("plain", "doings")},
    "rephrase": {"styles": ("medium",), "chunk": 450, "temperature": 0.7, "max_tokens": 500},
}
SETTINGS = {"tokens": 40_000, "students": 1, "equal": "tokens", "batch": 1, "length": 256, "headline": "answer_margin"}


def stories() -> list[dict[str, Any]]:
    """The shortest whole ones."""
    with gzip.open(DATA / "quality_mc2_gutenberg.jsonl.gz", "rt", encoding="utf-8") as lines:
        whole = [one for line in lines if not (one := json.loads(line))["truncated"]]
    return sorted(whole, key=lambda one: int(one["n_words"]))[:STORIES]


def written() -> tuple[Path, Path]:
    """Documents and questions, contextualised by title and author."""
    documents, questions = [], []
    for story in stories():
        title = f"{story['title']} by {story['author']}"
        documents.append({"slug": story["article_id"], "title": title, "text": story["article"]})
        for one in story["questions"]:
            asked = {"id": one["qid"], "question": one["question"], "options": one["options"], "gold": one["gold"]}
            questions.append({**asked, "title": title, "document": story["article_id"]})
    return write(RUNS / "documents.jsonl", documents), write(RUNS / "questions.jsonl", questions)


def main() -> None:
    documents, questions = written()
    for recipe, knobs in RECIPES.items():
        run = sg.generate(
            recipe,
            str(documents),
            out=RUNS / recipe,
            model=WRITER,
            knobs=knobs,
            text_field="text",
            reach=sg.Reach(concurrency=16),
        )
        (RUNS / f"{recipe}-readings.json").write_text(
            json.dumps({r.name: [r.value, r.low, r.high] for r in sg.measure(run)}, indent=1), "utf-8"
        )
    real = Part(str(RUNS / "document-qa"), take="anchors")
    arms = [
        Arm("base"),
        Arm("open-book", exam="open-book"),
        Arm("retrieval", exam="retrieval"),
        Arm("repeated", (real,)),
        *(Arm(recipe, (real, Part(str(RUNS / recipe)))) for recipe in RECIPES),
    ]
    found: dict[str, Any] = {}
    for n in range(1, len(RATES) + 1):
        found = sg.arms(arms, out=RUNS / "arms", on=questions, base=STUDENT, settings={**SETTINGS, "rates": RATES[:n]})
        kept = {key: found[key] for key in ("arms", "differences", "by_rate", "verdict")}
        readings = {name: json.loads((RUNS / f"{name}-readings.json").read_text("utf-8")) for name in RECIPES}
        (HERE / "quality.json").write_text(json.dumps({**kept, "readings": readings}, indent=1) + "\n", "utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
