"""What the final-answer check dropped, with what it found and what it wanted, so that a person sees who is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from synthgain.curate.answers import found_answer, gold_of
from synthgain.store import Run
from synthgain.store.rows import chat
from synthgain.types import Row, SynthgainError

NAME = "final-answer"
COLUMNS = ("id", "check", "reason", "messages", "text", "anchor_ids", "fields")


def misses(run: str | Path | Run, most: int = 20) -> list[dict[str, Any]]:
    """The first `most` rows that fell by final-answer: {"id", "reason", "prompt", "text", "found", "gold"}.

    `found` is the answer that was read in the text (None: none was), `gold` the answers that it was compared with.
    """
    here = run if isinstance(run, Run) else Run.at(run)
    field = _gold_field(here)
    fallen = list(islice(_fallen(here), most))
    parents = here.parents({id for held in fallen for id in held["anchor_ids"]})
    told = []
    for held in fallen:
        row = Row(messages=chat(held["messages"]), text=held["text"])
        asked = [parents[id] for id in held["anchor_ids"] if id in parents]
        golds = [anchor.fields[field] for anchor in asked if field in anchor.fields]
        golds = golds or ([held["fields"][field]] if field in held["fields"] else [])
        said = [turn["content"] for turn in row.messages or () if turn["role"] == "user"]
        told.append(
            {
                "id": held["id"],
                "reason": held["reason"],
                "prompt": said[-1] if said else "\n\n".join(anchor.text for anchor in asked),
                "text": row.answer,
                "found": found_answer(row.answer),
                "gold": [one for gold in golds for one in gold_of(gold)],
            }
        )
    return told


def _gold_field(run: Run) -> str:
    """The field that holds the gold answers. SynthgainError where the run was not judged by final-answer."""
    checks = {check.get("name"): check.get("settings") or {} for check in run.record["recipe"]["checks"]}
    if NAME not in checks:
        raise SynthgainError(
            f"there are no misses: the check {NAME} did not judge this run",
            where=str(run.path),
            next=f"add it: synthgain curate {run.path} --with {NAME}:gold=FIELD",
        )
    return str(checks[NAME].get("gold", "answer"))


def _fallen(run: Run) -> Iterator[dict[str, Any]]:
    for batch in run.batches("rows", COLUMNS):
        for row in batch.to_pylist():
            if row["check"] == NAME:
                yield row | {"fields": json.loads(row["fields"] or "{}"), "anchor_ids": row["anchor_ids"] or []}
