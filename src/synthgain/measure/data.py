"""What the meter reads: synthetic rows and real text, column by column, in batches, as often as a figure asks.

A figure never holds a whole run: it counts batch by batch, or takes an even sample of fixed size.
The independent unit is the prompt (the anchors a row was made from), never the row and never the token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from synthgain.types import Reading, ReadingClass

Batches = Callable[[Sequence[str]], Iterator[pa.Table]]  # column names → tables of some thousand rows, in a fixed order

BATCH = 2_048


@dataclass(frozen=True)
class Step:
    """One line of the curation ledger: what a check saw, and what it let through.

    Candidates of one prompt are alike: `prompts` says of how many prompts those seen are, and `size` how many independent candidates
    would say as much about the share let through (`intervals.effective_size`). 0: not known. `verifies`: what it let through it found right.
    """

    check: str
    seen: int
    kept: int
    prompts: int = 0
    size: float = 0.0
    verifies: bool = False


@dataclass(frozen=True)
class Data:
    """S_gen, S_anchor and the held-out target, ready to be measured.

    `rows` gives the kept rows' columns: `id`, `text` (what a student would read), `answer` (what the model
    wrote), `prompt` (the last user turn, "" where there is none), `anchor_ids` (list, empty where not
    known), `logprob` (nats, the answer's sum under the law sampled from, or null), `tokens_out` (0:
    not known), `law` (what the log-probability is of, or why there is none). `anchors` and `target`
    give `id` and `text`; `target` is real text that nothing was made from, None where there is none.
    `linked` says whether rows name the anchors they were made from. `ledger` has a line for each check in the order in which they
    judged; `judged` is one line for all of them but "accept" together, None where the rows are not known one by one.
    """

    rows: Batches
    n_rows: int
    anchors: Batches
    n_anchors: int
    target: Batches | None = None
    n_target: int = 0
    linked: bool = False
    ledger: tuple[Step, ...] = ()
    judged: Step | None = None
    seed: int = 0

    @staticmethod
    def of(
        rows: Sequence[str] | Sequence[Mapping[str, Any]],
        anchors: Sequence[str | Mapping[str, Any]] = (),
        *,
        target: Sequence[str | Mapping[str, Any]] | None = None,
        ledger: Sequence[Step] = (),
        seed: int = 0,
    ) -> Data:
        """Data held in memory. Whatever it is of, one is a text, or columns by name; the id of an anchor, and of a row that has none, is its place in its list ("0", "1", …)."""
        told: list[Mapping[str, Any]] = [{"text": r} if isinstance(r, str) else r for r in rows]
        table = pa.table(
            {
                "id": pa.array([str(r.get("id", i)) for i, r in enumerate(told)], pa.string()),
                "text": pa.array([r["text"] for r in told], pa.string()),
                "answer": pa.array([r.get("answer", r["text"]) for r in told], pa.string()),
                "prompt": pa.array([r.get("prompt", "") for r in told], pa.string()),
                "anchor_ids": pa.array([list(r.get("anchor_ids", ())) for r in told], pa.list_(pa.string())),
                "logprob": pa.array([r.get("logprob") for r in told], pa.float64()),
                "tokens_out": pa.array([r.get("tokens_out", 0) for r in told], pa.int32()),
                "law": pa.array([r.get("law", "") for r in told], pa.string()),
                **_pairs([{"asked": r.get("prompt") or None, "answered": r.get("answer"), **r} for r in told]),
            }
        )
        return Data(
            batched(table),
            len(told),
            texts(anchors),
            len(anchors),
            target=None if target is None else texts(target),
            n_target=len(target or ()),
            linked=any(r.get("anchor_ids") for r in told),
            ledger=tuple(ledger),
            seed=seed,
        )

    def with_target(self, target: Batches, n: int) -> Data:
        """The same data against this held-out text."""
        return replace(self, target=target, n_target=n)


def batched(table: pa.Table, size: int = BATCH) -> Batches:
    """A table in memory as batches."""

    def read(names: Sequence[str]) -> Iterator[pa.Table]:
        chosen = table.select(list(names))
        return (chosen.slice(start, size) for start in range(0, len(chosen), size))

    return read


def texts(found: Sequence[str | Mapping[str, Any]]) -> Batches:
    """Texts in memory, or columns by name, as batches of `id` (their place), `text`, `asked` and `answered`."""
    told: list[Mapping[str, Any]] = [{"text": t} if isinstance(t, str) else t for t in found]
    ids = pa.array([str(i) for i in range(len(told))], pa.string())
    return batched(pa.table({"id": ids, "text": pa.array([t["text"] for t in told], pa.string()), **_pairs(told)}))


def _pairs(told: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    """`asked` and `answered`, null where one of them is missing."""
    both = [(t.get("asked"), t.get("answered")) for t in told]
    both = [pair if None not in pair else (None, None) for pair in both]
    return {name: pa.array([pair[i] for pair in both], pa.string()) for i, name in enumerate(("asked", "answered"))}


def even_sample(batches: Batches, names: Sequence[str], total: int, most: int, seed: int = 0) -> pa.Table:
    """At most `most` rows out of `total`, drawn without replacement, in their order; one pass, flat memory."""
    empty = pa.table({name: pa.array([]) for name in names})
    wanted = None
    if total > most:
        wanted = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    start, parts = 0, []
    for table in batches(names):
        if wanted is None:
            parts.append(table)
        else:
            low, high = np.searchsorted(wanted, (start, start + len(table)))
            if high > low:
                parts.append(table.take(pa.array(wanted[low:high] - start)))
        start += len(table)
    return pa.concat_tables(parts).combine_chunks() if parts else empty


def units(table: pa.Table, start: int = 0) -> list[str]:
    """The independent unit of each row: its anchors, else its prompt, else the row itself.

    The table has `anchor_ids` and `prompt`; `start` is the place of its first row among all rows.
    """
    ids, prompts = table.column("anchor_ids").to_pylist(), table.column("prompt").to_pylist()
    return [
        " ".join(mine) if mine else hashlib.sha256(prompt.encode()).hexdigest()[:24] if prompt else f"row {i}"
        for i, (mine, prompt) in enumerate(zip(ids, prompts), start)
    ]


def fold_of(id: str, folds: int, seed: int = 0) -> int:
    """The fold of an anchor, by its identity alone: the same in every pass and every run."""
    return int.from_bytes(hashlib.sha256(f"{seed} {id}".encode()).digest()[:8], "big") % folds


def nothing(name: str, why: str, *, unit: str = "", kind: ReadingClass = "estimate", n: int = 0) -> Reading:
    """A figure that cannot be computed, with the reason."""
    return Reading(name, None, unit=unit, kind=kind, n=n, note=why)
