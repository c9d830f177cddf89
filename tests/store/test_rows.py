"""Rows as columns, against the plain reading of the same rows; shards put in place."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.store.rows import ROWS, table
from synthgain.store.staged import Staged
from synthgain.types import Call, Prompt, Row, Verdict, assistant, drop, keep, system, user


def odd_rows(n: int, seed: int) -> list[Row]:
    """Rows of every kind: chats, texts, no turns at all, characters that no file can hold, several calls, verdicts."""
    rng = random.Random(seed)

    def text() -> str:
        return "".join(rng.choices('ab "\\\n漢é😀\ud800', k=rng.randint(0, 9)))

    def call() -> Call:
        prompt = Prompt((user(text()),), draw=rng.randrange(10**6))
        logprob = rng.choice([None, -1.5, -2.25])
        return Call(
            prompt.id("m"),
            prompt,
            assistant(text()),
            "m",
            tokens_out=rng.randint(0, 9),
            logprob=logprob,
            law=text()[:0],
        )

    rows = []
    for _ in range(n):
        turns = tuple(rng.choice([user, assistant, system])(text()) for _ in range(rng.randint(0, 3)))
        verdicts = rng.choice([(), (drop("wrong", 0.25, "mine"),), (keep(0.5),), (keep(0.5), drop("late", check="b"))])
        rows.append(
            Row(
                *((turns, None) if rng.random() < 0.6 else (None, text())),
                calls=tuple(call() for _ in range(rng.randint(0, 2))),
                fields=rng.choice([{}, {"n": 1, "s": "\ud800"}]),
                verdicts=verdicts,
                anchors=("a", "b")[: rng.randint(0, 2)],
                recipe="r",
                round=rng.randint(0, 2),
            )
        )
    return rows


def whole(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode()


NOTHING = dict.fromkeys(("tool_calls", "tool_call_id", "name", "reasoning", "learn"))


def plainly(row: Row) -> dict[str, object]:
    """One row as CONTRACT writes it, the slow way."""
    fell = [v for v in row.verdicts if v.outcome == "drop"]
    scored = fell[:1] or list(row.verdicts[-1:])
    only = row.calls[0] if len(row.calls) == 1 else None
    return {
        "id": row.id,
        "kept": not fell,
        "outcome": "drop" if fell else "keep",
        "check": fell[0].check if fell else "",
        "reason": fell[0].reason if fell else "",
        "score": scored[0].score if scored else None,
        "recipe": "r",
        "round": row.round,
        "messages": None
        if row.messages is None
        else [{"role": m["role"], "content": whole(m["content"]), **NOTHING} for m in row.messages],
        "text": whole(row.text),
        "rejected": None,
        "tools": None,
        "anchor_ids": list(row.anchors),
        "call_ids": [c.id for c in row.calls],
        "logprob": only.logprob if only else None,
        "tokens_out": sum(c.tokens_out for c in row.calls),
        "law": only.law
        if only
        else f"the row came from {len(row.calls)} calls"
        if row.calls
        else "no model wrote this row",
    }


def test_columns_say_what_the_rows_say() -> None:
    for rows in (odd_rows(300, 1), [r for r in odd_rows(60, 2) if r.messages is None], odd_rows(1, 3), []):
        found = table(rows)
        assert found.schema.equals(ROWS)
        found.validate(full=True)
        for row, stored in zip(rows, found.to_pylist(), strict=True):
            fields, verdicts = json.loads(stored.pop("fields")), json.loads(stored.pop("verdicts"))
            assert stored == plainly(row)
            assert fields == {k: whole(v) if isinstance(v, str) else v for k, v in row.fields.items()}
            assert [(v["outcome"], v["score"], v["reason"], v["check"]) for v in verdicts] == [
                (v.outcome, v.score, v.reason, v.check)
                for v in row.verdicts
                if v.outcome == "drop" or v.score is not None
            ]


def test_shards_are_put_in_place_with_the_verdicts_on_their_own_rows(tmp_path: Path) -> None:
    rng, rows = random.Random(5), odd_rows(90, 4)
    fallen: dict[int, Verdict] = {
        i: drop("again", check="twice") for i in rng.sample(range(60), 20)
    }  # the last shard: none
    staged = Staged(tmp_path / "staged")
    for at in range(0, 90, 30):
        staged.write(rows[at : at + 30])
    kept = [row.id for i, row in enumerate(rows) if row.fallen is None and i not in fallen]
    assert staged.place(fallen, tmp_path, with_groups=True) == len(kept)
    stored = pa.concat_tables(pq.read_table(file) for file in sorted((tmp_path / "rows").iterdir()))
    assert stored.schema.equals(ROWS)
    assert stored.column("id").to_pylist() == [row.id for row in rows]
    assert [c == "twice" for c in stored.column("check").to_pylist()] == [i in fallen for i in range(90)]
    assert pq.read_table(tmp_path / "data").column("id").to_pylist() == kept
    assert not (tmp_path / "staged").exists()
