"""What do public instruction sets add to human-written instructions, by the meter?

Hypothesis, written before the first run: (1) sets that imitate the same kind of task as the anchors (Alpaca, and
Alpaca filtered by a judge) add more per token, by `proxy_gain`, than sets of another kind (GPTeacher's
role play and tool use, Code Alpaca); (2) filtering Alpaca by a judge does not lower the gain per token;
(3) every set is told from human text by a classifier (`tv_lower` above 0).

Anchors: Dolly (2,996 human-written rows kept by a judge) and the 175 seed tasks of Self-Instruct. Each set is cut to the same
number of rows (a fixed random sample), so that sizes do not decide. Koala's set is real users' prompts
without answers, so instructions alone are measured too, for all sets.

The sets lie outside the project (see the licences beside them): the folder is SYNTHGAIN_DATA, or ../shared/data.
Run it without arguments; it writes `instruction_sets.json` beside itself and prints the tables of `instruction_sets.md`. It says nothing about students: no
model is trained here.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import synthgain as sg

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data")) / "instructions"
ROWS = 1_900
SETS = {
    "Alpaca": "alpaca_random9k",
    "Alpaca, judged": "alpaca_claude_filtered",
    "GPTeacher, code": "gpteacher_codegen",
    "GPTeacher, roles": "gpteacher_roleplay",
    "GPTeacher, tools": "gpteacher_toolformer",
    "Code Alpaca": "code_alpaca_2k",
    "Koala": "koala_180",
}
SHOWN = (
    "proxy_gain",
    "proxy_gain_1",
    "target_fit",
    "tv_lower",
    "vendi",
    "vendi_anchors",
    "dup_rate",
    "dup_rate_anchors",
    "distinct_2",
    "distinct_2_anchors",
    "copy_rate",
    "copy_rate_any",
    "nhsic",
)


def lines(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def chat(row: dict[str, Any]) -> dict[str, str]:
    """Instruction, input and answer under one set of names; Koala has prompts only."""
    return {
        "instruction": str(row.get("instruction") or row.get("prompt")),
        "input": str(row.get("input") or ""),
        "output": str(row.get("output") or row.get("response") or ""),
    }


def asked(row: dict[str, Any]) -> dict[str, str]:
    whole = chat(row)
    return {"text": "\n\n".join(filter(None, (whole["instruction"], whole["input"])))}


def seeds() -> Iterator[dict[str, Any]]:
    for task in lines("self_instruct_seed_tasks"):
        first = task["instances"][0]
        yield {"instruction": task["instruction"], "input": first["input"], "output": first["output"]}


def written(folder: Path, name: str, rows: list[dict[str, str]], most: int | None) -> Path:
    if most is not None and len(rows) > most:
        rows = random.Random("instruction sets").sample(rows, most)
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows if any(row.values())), "utf-8")
    return file


def measured(
    form: Callable[[dict[str, Any]], dict[str, str]], names: dict[str, str]
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """The readings of each set, and what the comparison of Alpaca with its judged part says."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        anchors = written(folder, "anchors", [form(r) for r in [*lines("dolly_3k"), *seeds()]], None)
        found = {}
        for title, name in names.items():
            file = written(folder, name, [form(r) for r in lines(name)], ROWS)
            found[title] = [r.json() for r in sg.measure(file, anchors=anchors)]
            print(
                title,
                *(f"{r['name']} {r['value']}" for r in found[title] if r["name"] in SHOWN),
                sep="\n  ",
                flush=True,
            )
        pair = [folder / f"{names[title]}.jsonl" for title in ("Alpaca", "Alpaca, judged")]
        return found, sg.compare(pair, anchors=anchors)["sentences"]


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    head = ["reading", *found]
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in SHOWN:
        cells = []
        for readings in found.values():
            r = next((r for r in readings if r["name"] == name), None)
            cells.append("–" if r is None or r["value"] is None else said(r))
        out.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(out)


def said(r: dict[str, Any]) -> str:
    low, high = r["low"], r["high"]
    return f"{r['value']:.3g}" + ("" if low is None else f" [{low:.3g}, {'' if high is None else format(high, '.3g')}]")


def main() -> None:
    whole, said = measured(chat, {k: v for k, v in SETS.items() if k != "Koala"})
    prompts, said_of_prompts = measured(asked, SETS)
    (HERE / "instruction_sets.json").write_text(json.dumps({"whole": whole, "instructions": prompts}, indent=1) + "\n")
    print(
        f"## Whole rows (instruction, input, answer), {ROWS:,} of each set\n\n{table(whole)}\n\n"
        + "".join(f"- {line}\n" for line in said)
        + "\n"
        + f"## Instructions alone (Koala: all 180)\n\n{table(prompts)}\n\n"
        + "".join(f"- {line}\n" for line in said_of_prompts)
    )


if __name__ == "__main__":
    main()
