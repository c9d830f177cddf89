"""Which leaks of evaluation items are found in rows, by kind of change, and what is found where nothing leaks?

    python studies/decontamination.py [--json]

Hypothesis, written before the first run of this file (after trials on the planted set and the five public sets below, on which the steps of `curate.aligned` were
chosen; GSM-Symbolic and MRPC were not looked at): (1) laid beside a text word by word, items with words or numbers changed are found in nine of ten,
where runs of 13 words and nearness find fewer than half; (2) of 1,200 documents without an item at most two are taken for leaking; (3) static word vectors do not
part paraphrases from other sentences on the same matter well enough to drop rows by them.

Planted: 1,500 documents of `dedup/planted_contamination`, 300 with one item of ARC-Easy, MMLU or half of GSM8K's test questions, sought among all 11,335 items of the three. A
row counts as found where the item that was planted is named. (MMLU's items are numbered otherwise there: the item of the same subject with the most words in common
is meant.) GSM-Symbolic P2: template variants of GSM8K test questions with other names and numbers and two clauses more, sought among GSM8K's. Real sets: rows in which any
item is found; the first of each are shown to be read. MRPC: second sentences sought among the first ones by cosine.

Intervals: 95 %, Wilson; for GSM-Symbolic the template is the unit. The sets lie outside the project: the folder is SYNTHGAIN_DATA, or ../shared/data.
The tables in docs/decontamination.md are this file's.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthgain.curate.against import Against, inside_rows, near_rows
from synthgain.curate.aligned import Aligned
from synthgain.intervals import clustered, wilson
from synthgain.measure.leaks import Leaks
from synthgain.models.embedders import open_embedder
from synthgain.words import words

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data"))
EVALS = ("qa/arc_easy_test", "qa/mmlu_test", "reasoning/gsm8k_test_first_half")
REAL = (
    "reasoning/gsm8k_train",
    "qa/arc_easy_train",
    "instructions/alpaca_random9k",
    "instructions/dolly_3k",
    "instructions/gpteacher_codegen",
)
WAYS = ("runs of 13", "near", "word by word", "any")
COSINES = (0.7, 0.8, 0.9, 0.95)


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def items_of() -> list[tuple[str, str]]:
    """(set and id, question)."""
    found = []
    for name in EVALS:
        for i, row in enumerate(lines(name)):
            found.append((f"{name.split('/')[1]}/{row.get('id') or row['subject']}#{i}", row["question"]))
    return found


def table_of(texts: Sequence[str]) -> pa.Table:
    return pa.table({"text": list(texts), "prompt": [""] * len(texts), "answer": [""] * len(texts)})


def ways_of(
    items: Sequence[tuple[str, str]], texts: Sequence[str]
) -> tuple[list[dict[str, set[int]]], dict[str, float]]:
    """For each text the items that each way finds in it, and the CPU seconds that it took."""
    found: list[dict[str, set[int]]] = [{way: set() for way in WAYS} for _ in texts]
    seconds: dict[str, float] = {}
    began = time.process_time()
    leaks = Leaks(text for _, text in items)
    for mine, runs in zip(found, leaks.find(texts)):
        mine["runs of 13"] |= {item for item, share in runs.items() if share >= leaks.enough[item]}
    seconds["runs of 13"] = time.process_time() - began
    began = time.process_time()
    look = near_rows(Against(("x",)), [(str(i), text) for i, (_, text) in enumerate(items)])
    for mine, verdict in zip(found, look(table_of(texts))):
        mine["near"] |= set() if verdict.keeps else {int(verdict.reason.removeprefix("close to "))}
    seconds["near"] = time.process_time() - began
    began = time.process_time()
    for mine, hits in zip(found, Aligned(text for _, text in items).find(texts)):
        mine["word by word"] |= {hit.item for hit in hits}
    seconds["word by word"] = time.process_time() - began
    for mine in found:
        mine["any"] = mine["runs of 13"] | mine["near"] | mine["word by word"]
    return found, seconds


def meant(row: dict[str, Any], items: Sequence[tuple[str, str]], said: Sequence[frozenset[str]]) -> set[int]:
    """The items that were planted into a row: equal texts are one item."""
    subject = row["item_id"].rpartition("-")[0] if row["eval_set"] == "mmlu_test" else ""
    start = f"{row['eval_set']}/{subject or row['item_id']}#"
    mine = frozenset(words(row["inserted"]))
    some = [i for i, (name, _) in enumerate(items) if name.startswith(start)]
    best = max(some, key=lambda i: len(mine & said[i]) / (len(mine | said[i]) or 1))
    return {i for i in some if items[i][1] == items[best][1]}


def planted(items: Sequence[tuple[str, str]]) -> dict[str, Any]:
    rows = lines("dedup/planted_contamination")
    found, seconds = ways_of(items, [row["text"] for row in rows])
    said = [frozenset(words(text)) for _, text in items]
    kinds: dict[str, list[dict[str, bool]]] = defaultdict(list)
    strange = []
    for row, mine in zip(rows, found):
        if row["contaminated"]:
            truth = meant(row, items, said)
            kinds[row["kind"]].append({way: bool(mine[way] & truth) for way in WAYS})
        else:
            kinds["no item"].append({way: bool(mine[way]) for way in WAYS})
            strange += [{"row": row["id"], "item": items[i][0]} for i in sorted(mine["any"])[:1]]
    leaking = [
        {
            "row": row["id"],
            "kind": row["kind"],
            "item": items[min(mine["any"])][0],
            "found": [way for way in WAYS[:3] if mine[way]],
        }
        for row, mine in zip(rows, found)
        if mine["any"]
    ]
    counted = {
        kind: {way: [sum(r[way] for r in results), len(results)] for way in WAYS} for kind, results in kinds.items()
    }
    return {
        "kinds": counted,
        "not planted": strange,
        "cpu seconds": seconds,
        "words": sum(len(r["text"].split()) for r in rows),
        "leaking": leaking,
    }


def symbolic() -> dict[str, Any]:
    items = [(f"gsm8k#{i}", row["question"]) for i, row in enumerate(lines(EVALS[2]))]
    numbers = {int(row["id"].rsplit("-", 1)[1]): i for i, row in enumerate(lines(EVALS[2]))}
    rows = [row for row in lines("dedup/gsm_symbolic_p2_a") if row["original_id"] in numbers]
    found, _ = ways_of(items, [row["question"] for row in rows])
    told: dict[str, Any] = {"rows": len(rows), "templates": len({row["original_id"] for row in rows})}
    for way in WAYS:
        by: dict[int, list[bool]] = defaultdict(list)
        for row, mine in zip(rows, found):
            by[row["original_id"]].append(numbers[row["original_id"]] in mine[way])
        told[way] = clustered([sum(hits) / len(hits) for hits in by.values()], len(rows) // max(1, len(by)))
    wrong = sum(bool(mine["any"] - {numbers[row["original_id"]]}) for row, mine in zip(rows, found))
    return told | {"another item too": wrong}


def real(items: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    look, places = inside_rows([(str(i), text) for i, (_, text) in enumerate(items)]), []
    for name in REAL:
        rows = lines(name)
        asked = [
            row.get("question")
            or f"{row['instruction']}\n{row.get('input') or ''}\n{row.get('output') or row.get('response') or ''}"
            for row in rows
        ]
        hits = [(i, verdict) for i, verdict in enumerate(look(table_of(asked))) if not verdict.keeps]
        shown = []
        for i, verdict in hits:
            number, _, how = verdict.reason.removeprefix("holds ").partition(" ")
            shown.append(
                {
                    "row": i + 1,
                    "text": asked[i][:300],
                    "item": items[int(number)][0],
                    "asks": items[int(number)][1][:300],
                    "how": how or "whole",
                    "share": verdict.score,
                }
            )
        places.append({"set": name, "rows": len(rows), "found": len(hits), "shown": shown})
    return places


def paraphrases() -> list[dict[str, float]]:
    """At each cosine: how many paraphrases and how many other pairs are found, and the share of rows whose nearest item is not theirs and yet that close."""
    rows = lines("dedup/mrpc")
    embed = open_embedder("words")
    first, second = embed([row["text1"] for row in rows]), embed([row["text2"] for row in rows])
    own = (first * second).sum(axis=1)
    told = []
    for cosine in COSINES:
        same, other = ([own[i] >= cosine for i, row in enumerate(rows) if row["label"] == label] for label in (1, 0))
        wrong = 0
        for start in range(0, len(rows), 1_024):
            near = second[start : start + 1_024] @ first.T
            best = near.argmax(axis=1)
            wrong += sum(
                bool(near[i, b] >= cosine) and rows[start + i]["text1"] != rows[b]["text1"]
                for i, b in enumerate(best.tolist())
            )
        told.append(
            {
                "cosine": cosine,
                "same": int(sum(same)),
                "of same": len(same),
                "other": int(sum(other)),
                "of other": len(other),
                "nearest is another": wrong,
                "rows": len(rows),
            }
        )
    return told


def share(k: int, n: int) -> str:
    low, high = wilson(k, n)
    return f"{k} of {n}: {k / n:.2f} [{low:.2f}, {high:.2f}]"


def page(found: dict[str, Any]) -> str:
    rows = [f"| kind of change | {' | '.join(WAYS)} |", "|---|" + "---|" * len(WAYS)]
    for kind, ways in sorted(found["planted"]["kinds"].items(), key=lambda k: k[0] == "no item"):
        rows.append(f"| {kind.replace('_', ' ')} | " + " | ".join(share(*ways[way]) for way in WAYS) + " |")
    s = found["symbolic"]
    told = ", ".join(f"{way} {s[way][0]:.2f} [{s[way][1]:.2f}, {s[way][2]:.2f}]" for way in WAYS)
    rows += [
        "",
        f"GSM-Symbolic P2 ({s['rows']} rows, {s['templates']} templates): {told}; another item was named for {s['another item too']} rows.",
        "",
    ]
    rows += ["| real set | rows | rows with an item | share |", "|---|---|---|---|"]
    rows += [f"| {r['set']} | {r['rows']:,} | {r['found']} | {r['found'] / r['rows']:.4f} |" for r in found["real"]]
    rows += [
        "",
        "| cosine from | paraphrases found | other pairs taken for one | rows whose nearest is another sentence |",
        "|---|---|---|---|",
    ]
    rows += [
        f"| {p['cosine']} | {share(p['same'], p['of same'])} | {share(p['other'], p['of other'])} | {share(p['nearest is another'], p['rows'])} |"
        for p in found["paraphrases"]
    ]
    return "\n".join(rows)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    items = items_of()
    found = {
        "items": len(items),
        "planted": planted(items),
        "symbolic": symbolic(),
        "real": real(items),
        "paraphrases": paraphrases(),
    }
    (HERE / "decontamination.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(found) if chosen.json else page(found))


if __name__ == "__main__":
    main()
