"""What is wrong with five public instruction sets, by `synthgain audit`?

Hypothesis, written before the first run: (1) every set has rows that should go, under 1 % in those that people wrote or a judge read, more
in those that were made and left; (2) near-duplicates are the largest fault of sets that were made from templates (GPTeacher's tool use);
(3) Alpaca holds items of Self-Instruct's seed tasks, from which it was written; (4) no set holds items of GSM8K, ARC or MMLU.

The sets and the evaluation sets lie outside the project (see the licences beside them): the folder is SYNTHGAIN_DATA, or ../shared/data.
Run it without arguments; it writes `audits.json` beside itself and prints the tables of `audits.md`. No model is called.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import synthgain as sg

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data"))
SETS = {
    "Alpaca (random 9k)": "alpaca_random9k",
    "Code Alpaca (2k)": "code_alpaca_2k",
    "Dolly (judged 3k)": "dolly_3k",
    "GPTeacher, code": "gpteacher_codegen",
    "GPTeacher, tools": "gpteacher_toolformer",
}
EVALS = (
    "instructions/self_instruct_seed_tasks", "instructions/alpaca_eval_805", "instructions/ifeval_even", "instructions/koala_180",
    "instructions/user_oriented_252", "code/humaneval", "code/mbpp_prompt_val_train", "reasoning/gsm8k_test_first_half", "reasoning/svamp",
    "qa/arc_easy_test", "qa/mmlu_test", "qa/openbookqa_test", "qa/truthfulqa_a",
)  # fmt: skip
KEPT = (
    "rows",
    "verdict",
    "sentence",
    "rows_with_faults",
    "same_question",
    "lengths",
    "languages",
    "seconds",
    "cpu_seconds",
    "seconds_by",
)


def audited(name: str, out: Path) -> dict[str, Any]:
    """One set; people's instructions (Dolly's) are the meter's anchors, of Dolly itself the seed tasks."""
    anchors = "instructions/self_instruct_seed_tasks" if name == "dolly_3k" else "instructions/dolly_3k"
    return sg.audit(
        DATA / "instructions" / f"{name}.jsonl.gz",
        against=[DATA / f"{evals}.jsonl.gz" for evals in EVALS],
        anchors=DATA / f"{anchors}.jsonl.gz",
        out=out / name,
    )


def told(found: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an audit: figures and reasons, no text of the sets."""
    faults = {name: {"rows": held["rows"], "reasons": held["reasons"]} for name, held in found["faults"].items()}
    leaks = [{k: v for k, v in leak.items() if k != "examples"} for leak in found["leaks"]]
    return {k: found[k] for k in KEPT} | {"faults": faults, "leaks": leaks, "readings": found["readings"]}


def tables(found: dict[str, dict[str, Any]]) -> str:
    names = sorted({name for one in found.values() for name in one["faults"]})
    lines = ["| fault | " + " | ".join(found) + " |", "|---|" + "---:|" * len(found)]
    lines += [f"| rows | {' | '.join(format(one['rows'], ',') for one in found.values())} |"]
    for name in names:
        cells = [_share(one["faults"].get(name, {}).get("rows", 0), one["rows"]) for one in found.values()]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    sets = [leak["set"] for leak in next(iter(found.values()))["leaks"]]
    lines += ["", "| items found of | " + " | ".join(found) + " |", "|---|" + "---:|" * len(found)]
    for name in sorted(sets):
        leaks = [next(leak for leak in one["leaks"] if leak["set"] == name) for one in found.values()]
        lines.append(f"| {name} ({leaks[0]['items']:,}) | {' | '.join(str(leak['items_found']) for leak in leaks)} |")
    lines += [
        "",
        "| | processor, s | clock, s | of these: the meter | leaks | near-duplicate | language |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for title, one in found.items():
        by = one["seconds_by"]
        parts = [f"{by.get(part, 0):.1f}" for part in ("the meter", "leaks", "near-duplicate", "language")]
        lines.append(f"| {title} | {one['cpu_seconds']:.1f} | {one['seconds']:.1f} | {' | '.join(parts)} |")
    return "\n".join(lines)


def _share(n: int, rows: int) -> str:
    return f"{n:,} ({100 * n / rows:.2f} %)" if n else "–"


def main() -> None:
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for title, name in SETS.items():
            found[title] = told(audited(name, Path(place)))
            print(f"- **{title}.** {found[title]['sentence']}", flush=True)
    (HERE / "audits.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"\n{tables(found)}")


if __name__ == "__main__":
    main()
