"""How often do the verifiers that need no model agree with labels?

Expected, written before the first run: (1) `final-answer` makes no error on GSM8K's labelled solutions, whose answers are plain numbers, and few on MATH;
(2) `equations` sees nearly every changed result, and says little of whether a solution is right; (3) a majority of four answers by four models is precise
and loses recall; (4) `instructions` decides as IFEval's own code on 99 of 100 instructions; (5) `json-schema` makes no error.

"By construction" means that nobody labelled: right rows are the data set's own, wrong ones are made from them as said beside each. Data lie outside the project: the
folder is SYNTHGAIN_DATA, or ../shared/data. Labels of IFEval's own code are a JSONL file named by SYNTHGAIN_IFEVAL (fields prompt, response, instruction_id_list, kwargs, and
`strict` and `loose`: true or false for each instruction, as that code says). What is absent is skipped, and said.

Run it without arguments; it writes `verifiers.json` beside itself and prints the table of docs/verifiers.md. A minute on one core, without a model.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthgain.curate.answers import same_answer
from synthgain.curate.arithmetic import equations
from synthgain.curate.equations import Equations
from synthgain.curate.final_answer import FinalAnswer
from synthgain.curate.instructions import broken
from synthgain.curate.json_schema import JsonSchema
from synthgain.curate.majority import Majority
from synthgain.measure.agreement import Confusion
from synthgain.numbers import interval
from synthgain.types import Anchor, Row, SynthgainError

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data"))
IFEVAL = os.environ.get("SYNTHGAIN_IFEVAL", "")
Judged = tuple[list[bool], list[bool], list[str]]  # kept, right, cluster


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def solutions() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for row in lines("reasoning/gsm8k_model_solutions_first_half"):
        for solution in row["solutions"]:
            yield row["id"], row, solution


def judged(found: Iterator[tuple[bool, bool, str]]) -> Judged:
    kept, right, cluster = zip(*found)
    return list(kept), list(right), list(cluster)


# ---------------------------------------------------------------------------------------------- what is judged


def answers_gsm8k() -> Iterator[tuple[bool, bool, str]]:
    for question, row, solution in solutions():
        gold = Anchor(row["question"], fields={"answer": row["ground_truth"]})
        yield FinalAnswer()(Row(text=solution["solution"]), [gold]).keeps, solution["is_correct"], question


def answers_math() -> Iterator[tuple[bool, bool, str]]:
    rng, rows = random.Random("math"), lines("reasoning/math_test_minus500")
    for row in rows:
        yield same_answer(row["solution"], row["answer"]), True, row["id"]
        places = [i for i, c in enumerate(row["answer"]) if c.isdigit()]
        if places:
            at = rng.choice(places)
            digit = str((int(row["answer"][at]) + rng.randint(1, 9)) % 10)
            changed = row["answer"][:at] + digit + row["answer"][at + 1 :]
            yield same_answer(f"Answer: {changed}", row["answer"]), False, row["id"]


def calculations(annotated: bool) -> Iterator[tuple[bool, bool, str]]:
    """Worked solutions as they are, and with the result of one calculation changed, wherever it is written on that line."""
    rng, check = random.Random("equations"), Equations()
    for row in lines("reasoning/gsm8k_train"):
        text = row["answer"].partition("####")[0]
        text = text if annotated else re.sub(r"<<[^<>]*>>", "", text)
        found = [one for one in re.finditer(r"=\s?\$?(\d+)(?=[>\s.]|\Z)", text) if one[1] != "0"]
        if not found or not equations(text):
            continue
        yield check(Row(text=text), ()).keeps, True, row["id"]
        one = rng.choice(found)
        wrong = str(int(one[1]) + rng.choice([-1, 1, 10]))
        changed = text[: one.start(1)] + wrong + text[one.end(1) :]
        yield check(Row(text=changed), ()).keeps, False, row["id"]


def calculations_and_answers() -> Iterator[tuple[bool, bool, str]]:
    for question, _, solution in solutions():
        yield Equations()(Row(text=solution["solution"]), ()).keeps, solution["is_correct"], question


def votes(check: Majority) -> Iterator[tuple[bool, bool, str]]:
    rows = list(solutions())
    table = pa.table(
        {
            "answer": [solution["solution"] for _, _, solution in rows],
            "anchor_ids": [[question] for question, _, _ in rows],
            "fields": ["{}"] * len(rows),
        }
    )
    for verdict, (question, _, solution) in zip(check.begin()(table), rows):
        yield verdict.keeps, solution["is_correct"], question


def instructions(loose: bool) -> Iterator[tuple[bool, bool, str]]:
    with open(IFEVAL, encoding="utf-8") as file:
        for row in map(json.loads, file):
            labels = row["loose" if loose else "strict"]
            for kind, said, label in zip(row["instruction_id_list"], row["kwargs"], labels):
                yield broken(kind, said, row["response"], loose) == "", label, row["prompt"]


STANDARD = {"dict": "object", "float": "number", "tuple": "array", "list": "array", "any": None}


def standard(schema: Any) -> Any:
    """The names of types that BFCL writes as JSON Schema has them."""
    if isinstance(schema, list):
        return [standard(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    known = STANDARD.get(kind, kind) if isinstance(kind, str) else None
    held = {name: standard(value) for name, value in schema.items() if name != "type" or not isinstance(kind, str)}
    return held | ({"type": known} if known else {})


def calls() -> Iterator[tuple[bool, bool, str]]:
    """Arguments that BFCL accepts, for their function's own schema; and the same without one that is required, or with one of another kind."""
    rng = random.Random("calls")
    for row in lines("tools/bfcl_nonlive"):
        functions = {one["name"]: one for one in row["function"] or []}
        truth = row["ground_truth"] if isinstance(row["ground_truth"], list) else []
        for name, accepted in (pair for one in truth if isinstance(one, dict) for pair in one.items()):
            if name not in functions:
                continue
            schema = standard(functions[name]["parameters"])
            given = {key: values[0] for key, values in accepted.items() if values and values[0] != ""}
            typed = {
                key for key, one in schema.get("properties", {}).items() if one.get("type") not in (None, "object")
            }
            required = [key for key in schema.get("required", []) if key in given and key in typed]
            if not required or any(isinstance(value, dict) for value in given.values()):
                continue  # inside an object BFCL lists accepted values, too
            try:
                check = JsonSchema(json.dumps(schema))
            except SynthgainError:
                continue  # types of Java and JavaScript ("HashMap") are no JSON Schema
            yield check(Row(text=json.dumps(given)), ()).keeps, True, row["id"]
            key = rng.choice(required)
            wrong = {k: v for k, v in given.items() if k != key} if rng.random() < 0.5 else given | {key: {"not": "it"}}
            yield check(Row(text=json.dumps(wrong)), ()).keeps, False, row["id"]


STUDIES: list[tuple[str, str, str, Callable[[], Iterator[tuple[bool, bool, str]]]]] = [
    ("final-answer", "GSM8K, solutions of four models", "labelled", answers_gsm8k),
    ("final-answer", "MATH, answers with one digit changed", "by construction", answers_math),
    ("equations", "GSM8K, annotated, one result changed", "by construction", lambda: calculations(True)),
    ("equations", "GSM8K, plain, one result changed", "by construction", lambda: calculations(False)),
    ("equations", "GSM8K, solutions of four models (is the answer right?)", "labelled", calculations_and_answers),
    ("majority", "GSM8K, four draws", "labelled", lambda: votes(Majority())),
    ("majority:share=0.75", "GSM8K, four draws", "labelled", lambda: votes(Majority(share=0.75))),
    ("instructions", "IFEval, answers of GPT-4", "IFEval's code", lambda: instructions(False)),
    ("instructions:loose=true", "IFEval, answers of GPT-4", "IFEval's code", lambda: instructions(True)),
    ("json-schema", "BFCL, arguments of calls", "by construction", calls),
]


def main() -> None:
    rows, skipped = [], []
    for check, data, labels, make in STUDIES:
        try:
            kept, right, clusters = judged(make())
        except FileNotFoundError as error:
            skipped.append(f"{check} on {data}: {error.filename or 'SYNTHGAIN_IFEVAL'} is not here")
            continue
        table = Confusion(kept, right, clusters)
        readings = {r.name: r.json() for r in table.readings()}
        rows.append({"check": check, "data": data, "labels": labels, **table.table, "readings": readings})
        print(check, data, table.table, flush=True)
    (HERE / "verifiers.json").write_text(json.dumps({"rows": rows, "skipped": skipped}, indent=1) + "\n", "utf-8")
    print("\n" + written(rows), *skipped, sep="\n")


def written(rows: list[dict[str, Any]]) -> str:
    names = ("precision", "recall", "specificity", "balanced_accuracy")
    out = [
        "| check | data | labels | right: kept, dropped | wrong: kept, dropped | precision | recall | specificity | balanced accuracy |"
    ]
    out.append("|" + "---|" * 9)
    for row in rows:
        counts = [f"{row[f'{label}_kept']:,}, {row[f'{label}_dropped']:,}" for label in ("right", "wrong")]
        found = [row["readings"][name] for name in names]
        figures = [interval(r["value"], r["low"], r["high"]) if r["value"] is not None else "–" for r in found]
        out.append("| " + " | ".join([f"`{row['check']}`", row["data"], row["labels"], *counts, *figures]) + " |")
    return "\n".join(out)


if __name__ == "__main__":
    main()
