"""Run and loop folders as the chain leaves them, made in a moment, with plausible contents: for tests of what reads folders.

Word problems, several answers each, most of them wrong; figures and curves are made up by a seeded generator.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.store import CallMemory
from synthgain.store.rows import table
from synthgain.types import Anchor, Call, Prompt, Reading, Row, Sampling, Verdict, assistant, drop, user

PEOPLE = ("Mara", "Tomas", "Ilse", "Jonah", "Priya", "Ruben", "Wanda", "Kofi", "Edda", "Noor")
THINGS = ("pears", "marbles", "stamps", "buttons", "candles", "shells", "tickets", "walnuts", "ribbons", "coins")
MODEL = "local/smollm2-135m"
LAW = Sampling(temperature=0.7, max_tokens=32, stop=("\n\n",))
Speak = Callable[[random.Random, Anchor], str]


def problem(rng: random.Random) -> Anchor:
    """One word problem with its gold answer."""
    who, what, a, b = rng.choice(PEOPLE), rng.choice(THINGS), rng.randint(2, 12), rng.randint(2, 12)
    kind = rng.randrange(3)
    if kind == 0:
        text, gold = f"{who} has {a} {what} and finds {b} more. How many {what} does {who} have now?", a + b
    elif kind == 1:
        text, gold = f"{who} has {a + b} {what} and gives {b} away. How many {what} are left?", a
    else:
        text, gold = f"{who} fills {a} boxes with {b} {what} each. How many {what} is that in all?", a * b
    return Anchor(text, f"problems.jsonl#{rng.randrange(10**6)}", {"answer": str(gold)}, ("answer",))


def spoken(rng: random.Random, anchor: Anchor) -> str:
    """An answer as a small model gives it: often wrong, sometimes none at all."""
    gold = int(anchor.fields["answer"])
    luck = rng.random()
    if luck < 0.12:
        return rng.choice(("I would count them one by one.", "Let us think about this. The number of things is", ""))
    said = gold if luck < 0.34 else max(0, gold + rng.choice((-3, -2, -1, 1, 2, 5, 10)))
    start = rng.choice(("First we look at the numbers.", "We add what is there.", "So the total comes out at this:"))
    return f"{start} {anchor.text.split('.')[0].split('?')[0]}, which makes {said}.\nAnswer: {said}"


def judged(anchor: Anchor, answer: str, seen: set[str]) -> tuple[Verdict, ...]:
    """What the checks say."""
    if not answer.strip():
        return (drop("empty", check="empty"),)
    if "Answer:" not in answer:
        return (drop("no final answer", check="parse"),)
    said = answer.rsplit("Answer:", 1)[1].strip()
    if said != anchor.fields["answer"]:
        near = abs(int(said) - int(anchor.fields["answer"])) <= 2 if said.lstrip("-").isdigit() else False
        return (drop("off by one or two" if near else "another number", check="final_answer", score=0.0),)
    if answer in seen:
        return (drop("same text as an earlier row", check="exact_duplicate"),)
    seen.add(answer)
    return (Verdict("keep", check="final_answer", score=1.0),)


def make_rows(anchors: Sequence[Anchor], k: int, rng: random.Random, speak: Speak = spoken) -> list[Row]:
    """k candidates for each anchor, with the calls that made them."""
    rows: list[Row] = []
    seen: set[str] = set()
    for anchor in anchors:
        for draw in range(k):
            prompt = Prompt((user(f"Q: {anchor.text}\nA:"),), sampling=LAW, draw=draw)
            answer = speak(rng, anchor)
            n = max(1, len(answer.split()) * 4 // 3)
            call = Call(
                prompt.id("weights:0"),
                prompt,
                assistant(answer),
                MODEL,
                "stop" if n < 32 else "length",
                41,
                n,
                20,
                -rng.gammavariate(3, 0.25) * n,
                "softmax at T = 0.7",
                0.0,
                0.2,
            )
            rows.append(
                Row(
                    messages=(user(anchor.text), assistant(answer)),
                    calls=(call,),
                    fields={"gold": anchor.fields["answer"]},
                    verdicts=judged(anchor, answer, seen),
                    anchors=(anchor.id,),
                    recipe="rft",
                )
            )
    return rows


def run_folder(
    path: Path,
    *,
    anchors: int = 24,
    k: int = 6,
    seed: int = 0,
    rows: Sequence[Row] | None = None,
    given: Sequence[Anchor] | None = None,
    record: dict[str, Any] | None = None,
) -> Path:
    """A finished run. `rows` and `given` (anchors) replace the made ones; `record` overrides run.json's keys."""
    rng = random.Random(seed)
    real = list(given) if given is not None else [problem(rng) for _ in range(anchors)]
    made = list(rows) if rows is not None else make_rows(real, k, rng)
    write_anchors(path, real)
    (path / "rows").mkdir(parents=True)
    (path / "data").mkdir()
    for n in range(0, len(made), 100):
        pq.write_table(table(made[n : n + 100]), path / "rows" / f"part-{n // 100:05d}.parquet")
    kept = [row for row in made if row.fallen is None]
    pq.write_table(table(kept).select(["id", "messages"]), path / "data" / "part-00000.parquet")
    asyncio.run(_remember(path / "calls", [call for row in made for call in row.calls]))
    dump(path / "run.json", run_record(real, made, record or {}))
    readings = first_readings(made)
    dump(path / "readings.json", {"readings": [r.json() for r in readings]})
    return path


def write_anchors(path: Path, anchors: Sequence[Anchor]) -> None:
    """RUN/anchors."""
    (path / "anchors").mkdir(parents=True)
    columns = {
        "id": [a.id for a in anchors],
        "text": [a.text.encode("utf-8", "replace").decode() for a in anchors],
        "source": [a.source for a in anchors],
        "fields": [json.dumps(dict(a.fields)) for a in anchors],
    }
    pq.write_table(pa.table(columns), path / "anchors" / "part-00000.parquet")


def run_record(anchors: Sequence[Anchor], rows: Sequence[Row], more: dict[str, Any]) -> dict[str, Any]:
    """run.json of a run with these rows."""
    fallen = [row.fallen.check for row in rows if row.fallen is not None]
    calls = [call for row in rows for call in row.calls]
    return {
        "format": 2,
        "synthgain": "0.1.0",
        "status": "complete",
        "request": {
            "recipe": {"name": "rft", "settings": {"k": 8, "temperature": 0.7}, "version": "1"},
            "models": {"writer": {"uri": MODEL}},
        },
        "recipe": {
            "name": "rft",
            "version": "1",
            "source": "Yuan et al. 2023, arXiv 2308.01825",
            "knobs": {"k": 8, "temperature": 0.7, "shots": 2},
            "checks": [
                {"name": "empty", "settings": {}},
                {"name": "final_answer", "settings": {"field": "answer"}},
                {"name": "exact_duplicate", "settings": {}},
            ],
        },
        "models": {"writer": MODEL},
        "identities": {"writer": "weights:0"},
        "seed": 0,
        "round": 0,
        "command": "synthgain generate rft problems.jsonl -o runs/first",
        "python": "3.11.4",
        "counts": {
            "anchors": len(anchors),
            "groups": len(anchors),
            "groups_done": len(anchors),
            "calls_bought": len(calls),
            "calls_reused": 0,
            "calls_recorded": 0,
            "rows": len(rows),
            "kept": len(rows) - len(fallen),
            "dropped": len(fallen),
            "broken": 2,
        },
        "dropped_by": {name: fallen.count(name) for name in sorted(set(fallen))},
        "tokens": {
            "in": sum(c.tokens_in for c in calls),
            "out": sum(c.tokens_out for c in calls),
            "in_cached": sum(c.tokens_cached for c in calls),
        },
        "cost_usd": 0.0,
        "seconds": 211.4,
        "finished": "2026-11-20T10:31:00Z",
        **more,
    }


def first_readings(rows: Sequence[Row]) -> list[Reading]:
    """Figures with intervals, one without a value, one that nobody knows."""
    kept = sum(row.fallen is None for row in rows)
    a, n = kept / max(1, len(rows)), max(1, len(rows))
    half = 1.96 * math.sqrt(a * (1 - a) / n)
    return [
        Reading("kept_share", a, max(0, a - half), a + half, unit="prob", n=n, kind="exact", estimator="Wilson"),
        Reading("tokens_out", 22.4, 20.9, 24.1, unit="tokens/row", n=24),
        Reading("delta_I", 0.742, 0.688, 0.801, unit="nats/token", n=24, estimator="bootstrap over prompts"),
        Reading("distinct_1", 0.171, unit="prob", n=2400, kind="exact"),
        Reading("distinct_2", 0.402, unit="prob", n=2400, kind="exact"),
        Reading("copy_rate", 0.118, 0.092, 0.149, unit="prob", n=24, kind="exact"),
        Reading("dup_rate", None, note="fewer than two rows were kept"),
        Reading("proxy_gain", -0.021, -0.062, 0.019, unit="nats/token", n=100),
        Reading("an_unknown_figure", 12345.6, unit="things", n=3, note="a note that explains it"),
    ]


async def _remember(folder: Path, calls: Sequence[Call]) -> None:
    memory = CallMemory(folder)
    try:
        await asyncio.gather(*{memory.put(call, "weights:0") for call in calls})
    finally:
        memory.close()


# ---------------------------------------------------------------------------------------------- loops


def share_reading(name: str, value: float, n: int) -> dict[str, Any]:
    """A share with its Wilson interval, as JSON."""
    z = 1.96
    middle, half = (
        (value + z * z / (2 * n)) / (1 + z * z / n),
        z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n)) / (1 + z * z / n),
    )
    return Reading(name, value, middle - half, middle + half, unit="prob", n=n, estimator="Wilson").json()


def arms(gain: float = 0.0) -> dict[str, Any]:
    """arms.json of a demo."""
    given = {
        "base": (0.0, 0.0, 0.03),
        "base-few-shot": (0.19, 0.45, 0.81),
        "unfiltered": (0.14, 0.38, 0.97),
        "filtered": (0.62 + gain, 0.83, 1.0),
    }
    return {
        "arms": [
            {
                "name": name,
                "rows": 0 if name.startswith("base") else 114,
                "tokens": 0 if name.startswith("base") else 25_800,
                "seeds": [0, 1] if not name.startswith("base") else [0],
                "readings": [
                    share_reading("accuracy", right, 100),
                    share_reading("pass_at_4", any_right, 100),
                    share_reading("parsable", read, 400),
                ],
            }
            for name, (right, any_right, read) in given.items()
        ],
        "differences": [
            {
                "a": "filtered",
                "b": name,
                **Reading(
                    "accuracy",
                    0.62 + gain - given[name][0],
                    0.51 + gain - given[name][0],
                    0.73 + gain - given[name][0],
                    unit="prob",
                    n=100,
                ).json(),
            }
            for name in ("base", "base-few-shot", "unfiltered")
        ],
    }


def student(path: Path, *, seed: int, rows: int = 114) -> None:
    """A student folder's record."""
    rng = random.Random(seed)
    curve = [
        {"step": s, "loss": 2.1 * math.exp(-s / 18) + 0.35 + rng.gauss(0, 0.04), "tokens": 610 * s, "lr": 1e-4}
        for s in range(1, 44)
    ]
    record = {
        "synthgain": "0.1.0",
        "base": MODEL,
        "base_identity": "weights:0",
        "method": "sft",
        "adapter": "full",
        "rows": rows,
        "tokens_per_epoch": 8_600,
        "tokens_seen": 25_800,
        "epochs": 3,
        "steps": 43,
        "seed": seed,
        "learning_rate": 1e-4,
        "batch": 8,
        "replay": None,
        "data_digest": "d" * 64,
        "seconds": 98.2,
        "curve": curve,
    }
    dump(path / "student.json", record)


def loop_folder(path: Path, *, rounds: int = 1, anchors: int = 24, k: int = 6) -> Path:
    """A finished demo or loop."""
    listed = []
    for n in range(rounds):
        run_folder(path / f"round-{n}" / "run", anchors=anchors, k=k, seed=n, record={"round": n})
        dump(path / f"round-{n}" / "arms.json", arms(0.06 * n))
        names = ("unfiltered", "filtered")
        for i, name in enumerate(names):
            student(path / f"round-{n}" / "students" / name, seed=10 * n + i)
        listed.append(
            {
                "round": n,
                "run": f"round-{n}/run",
                "arms": f"round-{n}/arms.json",
                "students": {name: f"round-{n}/students/{name}" for name in names},
            }
        )
    dump(path / "arms.json", arms(0.06 * (rounds - 1)))
    note = "A model of 135 million parameters and one-step word problems: small on purpose."
    dump(
        path / "loop.json",
        {
            "synthgain": "0.1.0",
            "recipe": "rft",
            "rounds": listed,
            "note": note,
            "settings": {"seed": 0, "rounds": rounds, "questions": 100},
        },
    )
    return path


def dump(file: Path, data: object) -> None:
    """JSON to a file, folders made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data), "utf-8")
