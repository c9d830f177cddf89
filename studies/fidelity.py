"""How often do the fidelity checks agree with people?

    python studies/fidelity.py [--judge URI [--items 200]] [--json]

Hypothesis, written before the first run of this file: (1) rules find errors in names, numbers and dates and few others, so balanced accuracy is above
one half where people labelled such errors and near one half where sentences were joined wrongly (QAGS, FactCC); (2) `fidelity` is above `grounded`
on every set, for fewer false alarms; (3) the share of words found in the source is no worse than the rules where summaries were written freely.

Each set gives texts with their sources, and a person's label of whether the text is faithful. A check that drops says "not". Balanced accuracy is the mean of
the share of unfaithful texts that fall and the share of faithful ones that stay: 0.5 is a coin, or always "faithful". Intervals are 95 %, with the
document as the unit where several texts are on one (linearised variance between documents, Student's t). The baseline by words drops a text of whose words fewer
than a share stand in the source; the share is chosen on one half of the documents, all figures of that row are of the other half. The rules were looked at on half of
SummEdits' documents (`seen`) and on the pairs; the other sets were only counted, except that thousands parted by a blank ("235, 000") were noticed on QAGS.

The sets lie outside the project (see the licences beside them): the folder is SYNTHGAIN_DATA, or ../shared/data. With `--judge` the judge of `rephrase --set judged=1`
(`curate.entailed`) is asked too, on so many texts drawn evenly from all sets, through the embedded model or any URI; calls are remembered in runs/fidelity-judge-….
The tables in docs/fidelity.md are this file's. No model is trained here.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import synthgain as sg
from synthgain.curate.entailed import Entailed, judged
from synthgain.curate.fidelity import REASONS, compare
from synthgain.curate.grounded import Grounded
from synthgain.intervals import t_quantile
from synthgain.types import Anchor, Models, Recipe, Row
from synthgain.words import words

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data")) / "faithfulness"


class Item(NamedTuple):
    """A text with its source, whether a person calls it faithful, the document that it is on, and which edits made it (SummEdits)."""

    source: str
    text: str
    faithful: bool
    document: str
    edits: tuple[str, ...] = ()


class Accuracy(NamedTuple):
    """Of a check on a set: shares of unfaithful texts that fall and of faithful ones that stay, their mean, and its interval."""

    falls: float
    stays: float
    value: float
    low: float
    high: float


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def halves(document: str) -> int:
    return int(hashlib.md5(document.encode()).hexdigest(), 16) % 2


def sets() -> Iterator[tuple[str, list[Item]]]:
    yield (
        "FactCC",
        [Item(r["document"], r["claim"], r["label"] == 1, r["document"]) for r in lines("factcc_manual_cnndm")],
    )
    rows = lines("polytope_cnndm")
    yield "Polytope", [Item(r["document"], r["claim"], r["inaccuracy_free"] == 1, r["document"]) for r in rows]
    rows = lines("qags_cnndm")
    articles = {r["doc_id"]: r["article"] for r in rows if r.get("article")}
    yield "QAGS", [Item(articles[r["doc_id"]], r["sentence"], r["label"] == 1, r["doc_id"]) for r in rows]
    docs = {r["doc_id"]: r["doc"] for r in lines("summedits_docs")}
    edits = [
        Item(docs[r["doc_id"]], r["summary"], r["label"] == 1, r["doc_id"], tuple(r["edit_types"] or ()))
        for r in lines("summedits")
    ]
    yield "SummEdits, unseen half", [item for item in edits if halves(item.document) == 0]
    yield "SummEdits, seen half", [item for item in edits if halves(item.document) == 1]
    yield (
        "Summary pairs",
        [
            Item(r["article_sent"], r[f"{kind}_sent"], kind == "correct", str(i))
            for i, r in enumerate(lines("factual_summary_pairs"))
            for kind in ("correct", "incorrect")
        ],
    )
    yield (
        "HaluEval QA",
        [
            Item(f"{r['knowledge']}\n{r['question']}", r[f"{kind}_answer"], kind == "right", str(i))
            for i, r in enumerate(lines("halueval_qa_500"))
            for kind in ("right", "hallucinated")
        ],
    )


def accuracy(items: Sequence[Item], drops: Sequence[bool]) -> Accuracy:
    """Balanced accuracy with its interval over documents."""
    bad, good = sum(not i.faithful for i in items), sum(i.faithful for i in items)
    falls = sum(d for i, d in zip(items, drops) if not i.faithful) / bad
    stays = sum(not d for i, d in zip(items, drops) if i.faithful) / good
    sums: dict[str, float] = {}
    for item, drop in zip(items, drops):
        part = (not drop) - stays if item.faithful else drop - falls
        sums[item.document] = sums.get(item.document, 0.0) + part / (2 * (good if item.faithful else bad))
    g, value = len(sums), (falls + stays) / 2
    half = t_quantile(0.95, g - 1) * math.sqrt(g / (g - 1) * math.fsum(s * s for s in sums.values()))
    return Accuracy(falls, stays, value, max(0.0, value - half), min(1.0, value + half))


def found_words(item: Item) -> float:
    """The share of a text's words that stand in its source."""
    said, there = words(item.text), set(words(item.source))
    return sum(word in there for word in said) / len(said) if said else 1.0


def by_words(items: Sequence[Item]) -> Accuracy:
    """The threshold is chosen on the documents of one half, the figures are of the other."""
    shares = [found_words(item) for item in items]
    parts = [[i for i, item in enumerate(items) if halves(f"{item.document} half") == h] for h in (0, 1)]

    def judged_at(limit: float, part: list[int]) -> Accuracy:
        return accuracy([items[i] for i in part], [shares[i] < limit for i in part])

    best = max(sorted({shares[i] for i in parts[0]}), key=lambda limit: judged_at(limit, parts[0]).value)
    return judged_at(best, parts[1])


def one(name: str, items: list[Item]) -> dict[str, Any]:
    compared = [compare(item.text, item.source) for item in items]
    checks: dict[str, Callable[[int], bool]] = {
        "grounded": lambda i: not Grounded()(Row(text=items[i].text), [Anchor(items[i].source)]).keeps,
        "fidelity": lambda i: any(compared[i][kind].strange for kind in REASONS),
    }
    for kind in REASONS:
        checks[kind] = lambda i, kind=kind: bool(compared[i][kind].strange)  # type: ignore[misc]
    found: dict[str, Any] = {
        check: accuracy(items, [drops(i) for i in range(len(items))])._asdict() for check, drops in checks.items()
    }
    found["words found"] = by_words(items)._asdict()
    edits = {
        kind: [i for i, item in enumerate(items) if kind in item.edits]
        for kind in dict.fromkeys(e for item in items for e in item.edits)
    }
    return {
        "set": name,
        "texts": len(items),
        "unfaithful": sum(not item.faithful for item in items),
        "documents": len({item.document for item in items}),
        "checks": found,
        "edits": {
            kind: {"n": len(at), "falls": sum(checks["fidelity"](i) for i in at) / len(at)}
            for kind, at in edits.items()
        },
    }


def asked(uri: str, most: int) -> dict[str, Any]:
    """What the judge says of texts drawn evenly from all sets: source and text short enough for its context."""
    pool = [(name, item) for name, items in sets() for item in items if len(item.source) < 6_000]
    by_label = [[x for x in pool if x[1].faithful is label] for label in (True, False)]
    drawn = [x for part in by_label for x in random.Random(0).sample(part, most // 2)]
    anchors = [Anchor(item.source, fields={"text": item.text, "place": i}) for i, (_, item) in enumerate(drawn)]

    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        calls, stated = await judged(models, anchor.text, anchor.fields["text"])
        yield Row(text=anchor.fields["text"], calls=calls, fields={"stated": stated, "place": anchor.fields["place"]})

    recipe = Recipe("fidelity-judge", "1", draft, roles=("judge",), needs=("text", "place"))
    run = sg.generate(
        recipe, anchors, model=uri, out=Path("runs") / f"fidelity-judge-{uri.replace('/', '-')}", without=["all"]
    )
    told: dict[int, Row] = {}
    for shard in run.shards(("text", "fields")):
        for row in shard.to_pylist():
            fields = json.loads(row["fields"])
            told[fields["place"]] = Row(text=row["text"], fields=fields)
    places = sorted(told)
    items = [drawn[i][1]._replace(document=drawn[i][1].source[:200]) for i in places]
    verdicts = [Entailed()(told[i], ()) for i in places]
    unread = sum(v.reason == "the judge's verdict could not be read" for v in verdicts)
    same = [i for i, _ in enumerate(items)]
    others = {
        "judge": accuracy(items, [not v.keeps for v in verdicts])._asdict(),
        "fidelity": accuracy(
            items, [any(c.strange for c in compare(items[i].text, items[i].source).values()) for i in same]
        )._asdict(),
    }
    words_said = [word for row in told.values() for word in row.fields["stated"]]
    return {
        "judge": uri,
        "texts": len(items),
        "unread": unread,
        "yes": sum(w is True for w in words_said),
        "sentences": len(words_said),
        "checks": others,
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    def told(a: dict[str, float]) -> str:
        return f"{a['value']:.2f} [{a['low']:.2f}, {a['high']:.2f}]"

    rows = [
        "| set | texts (unfaithful) | documents | always faithful | words found, other half | `grounded` | `fidelity` | unfaithful that fall | faithful that fall |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        c = r["checks"]
        rows.append(
            f"| {r['set']} | {r['texts']:,} ({r['unfaithful']:,}) | {r['documents']:,} | 0.50 | {told(c['words found'])} | {told(c['grounded'])} "
            f"| {told(c['fidelity'])} | {c['fidelity']['falls']:.3f} | {1 - c['fidelity']['stays']:.3f} |"
        )
    rows += ["", "| set | " + " | ".join(REASONS) + " |", "|---|" + "---|" * len(REASONS)]
    for r in results:
        cells = [f"{r['checks'][k]['falls']:.3f} / {1 - r['checks'][k]['stays']:.3f}" for k in REASONS]
        rows.append(f"| {r['set']} | {' | '.join(cells)} |")
    for r in results:
        if r["edits"]:
            told_edits = ", ".join(
                f"{kind.replace('_', ' ')} {e['falls']:.2f} of {e['n']}" for kind, e in r["edits"].items()
            )
            rows += ["", f"{r['set']}, what fell by kind of edit: {told_edits}."]
    return "\n".join(rows)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--judge", default="")
    options.add_argument("--items", type=int, default=200)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    if chosen.judge:
        print(json.dumps(asked(chosen.judge, chosen.items), indent=1))
        return
    results = [one(name, items) for name, items in sets()]
    (HERE / "fidelity.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(json.dumps(results) if chosen.json else table(results))


if __name__ == "__main__":
    main()
