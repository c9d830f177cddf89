"""How far does a judge agree with people?

Pairs that people judged (PandaLM, where all three annotators agree and none says tie; LLMBar's natural pairs, whose better answer is objective) are put to a model in both orders,
under the house's rubric. Figures: agreement with the label of what both orders come to (a contradiction is a tie and counts as wrong), kappa, how often both orders agree, and what it gives to a place.

Expected, written before the first run: the embedded model of 135 million parameters is no judge: kappa's interval covers 0, and most of its verdicts follow the place.

Found so far (2026-11-28): eleven pairs of PandaLM in four minutes on a crowded machine; three of 22 verdicts could be read, one pair in both orders. The study has not been run to its end.

Data: SYNTHGAIN_DATA, or ../shared/data. The model is SYNTHGAIN_JUDGE (a URI; default local/smollm2-135m), pairs a set SYNTHGAIN_PAIRS (default 50). Run it without arguments;
answers are remembered in runs/judges, and it writes `judges.json` beside itself.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import synthgain as sg
from synthgain.curate.judges import Rubric, settled
from synthgain.measure.agreement import cohen_kappa, place_readings
from synthgain.measure.resample import share_interval
from synthgain.numbers import interval
from synthgain.types import Anchor, Models, Recipe, Row

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data")) / "judges"
JUDGE = os.environ.get("SYNTHGAIN_JUDGE", "local/smollm2-135m")
PAIRS = int(os.environ.get("SYNTHGAIN_PAIRS", "50"))
RUBRIC = Rubric(reasons=False, max_tokens=16)


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def pandalm() -> list[dict[str, Any]]:
    rows = lines("pandalm_999")
    agreed = [row for row in rows if row["annotator1"] == row["annotator2"] == row["annotator3"] != 0]
    return [
        {
            "question": f"{row['instruction']}\n\n{row['input']}".strip(),
            "one": row["response1"],
            "other": row["response2"],
            "label": row["annotator1"],
        }
        for row in agreed
    ]


def llmbar() -> list[dict[str, Any]]:
    rows = [row for row in lines("llmbar_natural_neighbor_gptinst") if row["subset"] == "Natural"]
    return [
        {"question": row["input"], "one": row["output_1"], "other": row["output_2"], "label": row["label"]}
        for row in rows
    ]


async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    said = anchor.fields
    prompts = RUBRIC.pair_prompts(said["question"], said["one"], said["other"])
    calls = [call async for call in models.each(prompts)]
    if len(calls) == 2:
        one, other = (RUBRIC.choice(call.text) for call in calls)
        yield Row(
            text=said["question"], calls=tuple(calls), fields={"one": one, "other": other, "label": said["label"]}
        )


RECIPE = Recipe("judge-pairs-study", "1", draft, roles=("judge",), needs=("question", "one", "other", "label"))


def judged(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    rows = random.Random(name).sample(rows, min(PAIRS, len(rows)))
    anchors = [Anchor(row["question"], f"{name}#{i}", row) for i, row in enumerate(rows)]
    out = Path("runs") / "judges" / f"{name}-{JUDGE.replace('/', '-')}"
    run = sg.generate(RECIPE, anchors, model=JUDGE, out=out, replace=True)
    told = pa.concat_tables(
        [pq.read_table(file, columns=["fields"]) for file in sorted((run.path / "rows").glob("*.parquet"))]
    )
    found = [json.loads(fields) for fields in told.column("fields").to_pylist()]
    read = [one for one in found if one["one"] and one["other"]]
    result: dict[str, Any] = {"data": name, "judge": JUDGE, "pairs": len(rows), "read": len(read), "readings": []}
    if read:
        labels = ["first" if one["label"] == 1 else "second" for one in read]
        verdicts = [settled(one["one"], one["other"]) for one in read]
        right = [float(verdict == label) for verdict, label in zip(verdicts, labels)]
        share = share_interval(right, [1.0] * len(right))
        readings = [
            sg.Reading(
                "agreement", share.value, share.low, share.high, unit="prob", n=len(right), estimator=share.method
            )
        ]
        readings.append(cohen_kappa(verdicts, labels))
        readings += place_readings([one["one"] for one in read], [one["other"] for one in read])
        result["readings"] = [reading.json() for reading in readings]
    return result


def main() -> None:
    results = []
    for name, rows in (("pandalm", pandalm), ("llmbar", llmbar)):
        try:
            results.append(judged(name, rows()))
        except FileNotFoundError as error:
            print(f"{name}: {error.filename} is not here")
            continue
        print(name, JUDGE, f"{results[-1]['read']} of {results[-1]['pairs']} pairs read")
        for r in results[-1]["readings"]:
            print("   ", r["name"], "–" if r["value"] is None else interval(r["value"], r["low"], r["high"]), r["note"])
    (HERE / "judges.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
