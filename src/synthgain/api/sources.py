"""What the meter reads: a run, or a data set that anybody made, as `measure.Data`."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.anchors import load as load_anchors
from synthgain.anchors.columns import CHATS, BadRow, turns_of
from synthgain.measure.data import BATCH, Batches, Data, Step
from synthgain.store import Run
from synthgain.types import Anchor, SynthgainError

ASKED = ("instruction", "prompt", "question", "problem", "query")
ANSWERED = ("output", "response", "completion", "answer", "solution", "chosen")
SCHEMA = pa.schema(
    [
        ("id", pa.string()), ("text", pa.string()), ("answer", pa.string()), ("prompt", pa.string()),
        ("anchor_ids", pa.list_(pa.string())), ("logprob", pa.float64()), ("tokens_out", pa.int32()), ("law", pa.string()),
    ]
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- a run


def data_of_run(run: Run, *, target: str | Path | None = None, seed: int = 0) -> Data:
    """A finished run's kept rows beside its own anchors."""
    record = run.record
    counts = record.get("counts")
    if counts is None:
        raise SynthgainError(
            f"this run is {record.get('status', 'not begun')}",
            where=str(run.path),
            next="finish it first: run its command again",
        )
    if counts["rows"] and not any(run.rows.glob("*.parquet")):
        raise SynthgainError(
            f"run.json counts {counts['rows']:,} rows, and RUN/rows holds none", where=str(run.path),
            next="run its command again: rows are made anew from the calls, which are not bought twice",
        )  # fmt: skip

    def anchors(names: Sequence[str]) -> Iterator[pa.Table]:
        for part in sorted((run.path / "anchors").glob("*.parquet")):
            yield pq.read_table(part, columns=list(names))

    data = Data(
        run.kept, counts["kept"], anchors, counts["anchors"], linked=True, ledger=ledger(record), seed=seed,
    )  # fmt: skip
    return data if target is None else data.with_target(*real_texts(target))


def ledger(record: Mapping[str, Any]) -> tuple[Step, ...]:
    """What each check saw and let through, in the order the checks were asked; drafts' own refusals come first."""
    fallen = dict(record.get("dropped_by") or {})
    order = [str(name).partition("(")[0] for name in record["recipe"]["checks"]]
    asked = [name for name in fallen if _slug(name) in map(_slug, order)]
    asked.sort(key=lambda name: [_slug(o) for o in order].index(_slug(name)))
    last = [name for name in fallen if name == "accept"]
    first = [name for name in fallen if name not in asked and name not in last]
    steps, seen = [], int(record["counts"]["rows"])
    for name in (*first, *asked, *last):
        steps.append(Step(name, seen, seen - fallen[name]))
        seen -= fallen[name]
    return tuple(steps) or (Step("none", seen, seen),)


def _slug(name: str) -> str:
    """A check's class and its name for people agree in this."""
    return "".join(c for c in name.lower() if c.isalnum())


# ---------------------------------------------------------------------------------------------- anybody's data set


def data_of_files(
    source: str | Path, anchors: str | Path | None, *, target: str | Path | None = None, text_field: str | None = None, seed: int = 0
) -> Data:  # fmt: skip
    """A data set that somebody else made. Columns `logprob`, `tokens_out`, `law` and `anchor_ids` are used where it has them."""
    rows = _Columns(source, text_field)
    linked = rows.linked
    real: tuple[Batches, int] = (_none, 0) if anchors is None else real_texts(anchors)
    data = Data(rows.batches, rows.n, *real, linked=linked, seed=seed)
    return data if target is None else data.with_target(*real_texts(target))


def real_texts(source: str | Path) -> tuple[Batches, int]:
    """Real text as batches of `id` and `text` (whole conversations where there are such), and how many."""
    held = _Columns(source, None)
    return held.batches, held.n


def _none(names: Sequence[str]) -> Iterator[pa.Table]:
    return iter(())


class _Columns:
    """The columns that the meter reads of some files, spooled to disk so that they can be read again and again."""

    def __init__(self, source: str | Path, text_field: str | None) -> None:
        loaded = load_anchors(str(source), text_field=text_field, repeats=True)
        asked = {name.partition(" ")[0] for name in loaded.summary.text_fields}
        self._folder = Path(tempfile.mkdtemp(prefix="synthgain-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self.n, self.linked = len(loaded), False
        waiting: list[dict[str, Any]] = []
        with pq.ParquetWriter(self._folder / "rows.parquet", SCHEMA, compression="zstd") as out:
            for anchor in loaded:
                waiting.append(_row(anchor, asked))
                self.linked = self.linked or bool(waiting[-1]["anchor_ids"])
                if len(waiting) == BATCH:
                    out.write_table(pa.Table.from_pylist(waiting, SCHEMA))
                    waiting.clear()
            out.write_table(pa.Table.from_pylist(waiting, SCHEMA))

    def batches(self, names: Sequence[str]) -> Iterator[pa.Table]:
        file = pq.ParquetFile(self._folder / "rows.parquet")
        with file:
            for batch in file.iter_batches(BATCH, columns=list(names)):
                yield pa.Table.from_batches([batch]).select(list(names))


def _row(anchor: Anchor, asked: set[str]) -> dict[str, Any]:
    """What a student would read of one row, what was asked, and what was answered."""
    fields = anchor.fields
    prompt, answer, text = "", anchor.text, anchor.text
    chat = next((fields[name] for name in CHATS if fields.get(name)), None)
    said = next((fields[name] for name in ANSWERED if isinstance(fields.get(name), str)), None)
    if chat is not None:
        try:
            turns = turns_of(chat)
        except BadRow as error:
            raise SynthgainError(str(error), where=anchor.source, next="mend or remove the row") from error
        text = "\n\n".join(content for _, content in turns)
        prompt = next((c for role, c in reversed(turns) if role == "user"), "")
        answer = next((c for role, c in reversed(turns) if role == "assistant"), "")
    elif said is not None and asked & set(ASKED):
        more = fields.get("input")
        prompt = f"{anchor.text}\n\n{more}" if isinstance(more, str) and more.strip() else anchor.text
        answer, text = said, f"{prompt}\n\n{said}"
    ids = fields.get("anchor_ids")
    logprob, tokens = fields.get("logprob"), fields.get("tokens_out")
    return {
        "id": anchor.id, "text": text, "answer": answer, "prompt": prompt,
        "anchor_ids": [str(i) for i in ids] if isinstance(ids, list) else [],
        "logprob": float(logprob) if isinstance(logprob, int | float) else None,
        "tokens_out": int(tokens) if isinstance(tokens, int) else 0,
        "law": str(fields.get("law") or ("" if logprob is not None else "the data set has no column `logprob`")),
    }  # fmt: skip
