"""What the meter reads: a run, or a data set that anybody made, as `measure.Data`."""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from synthgain.anchors import load as load_anchors
from synthgain.api.pairs import of_row, pair_of, with_pairs
from synthgain.curate.chosen import number
from synthgain.intervals import effective_size
from synthgain.measure.compare import first_contents
from synthgain.measure.curation import SURPLUS
from synthgain.measure.data import BATCH, Batches, Data, Step, fold_of
from synthgain.measure.words import content
from synthgain.report.verdict import verifiers
from synthgain.store import Run
from synthgain.turns import ANSWERED, Content, answer_column, content_of, readable, turn_text
from synthgain.types import Anchor, SynthgainError

ANSWERS = (*ANSWERED, "chosen")
ASKED = ("instruction", "prompt", "question", "problem", "query")
MOST_TOKENS = 2**31 - 1  # of a row; a count beyond is no count
PROMPTS = 1 << 16  # prompts that the ledger's intervals tell apart
NAMED = 4_096  # different anchors' ids of the rows by which the anchors' ids are known
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("own_id", pa.string()),
        ("text", pa.string()),
        ("answer", pa.string()),
        ("prompt", pa.string()),
        ("anchor_ids", pa.list_(pa.string())),
        ("logprob", pa.float64()),
        ("tokens_out", pa.int32()),
        ("law", pa.string()),
        ("asked", pa.string()),
        ("answered", pa.string()),
    ]
)


Tell = Callable[[str], None]

# ---------------------------------------------------------------------------------------------- a run


def data_of_run(
    run: Run, *, anchors: str | Path | None = None, target: str | Path | None = None, seed: int = 0
) -> Data:
    """A finished run's kept rows beside its own anchors, or beside other real text (`anchors`)."""
    _allowed(seed)
    record, counts = run.record, _counts(run)
    _all_there(run, "rows", counts["rows"])
    try:
        steps, judged = by_prompt(ledger(record), _ends(run))
    except ValueError as error:
        raise SynthgainError(
            f"run.json and RUN/rows do not agree: {error}",
            where=str(run.path),
            next="run its command again: rows are made anew from the calls, which are not bought twice",
        ) from error
    real, n_real = _anchors_of(run) if anchors is None else real_texts(anchors)
    linked = "given" not in record or any(
        pc.any(pc.greater(pc.list_value_length(t.column(0)), 0)).as_py() for t in run.kept(["anchor_ids"])
    )
    rows = with_pairs(run.kept, ("text", "prompt", "answer", "fields"), of_row)
    data = Data(rows, counts["kept"], real, n_real, linked=linked, ledger=steps, judged=judged, seed=seed)
    return data if target is None else data.with_target(*real_texts(target))


def _allowed(seed: int) -> None:
    if seed < 0:
        raise SynthgainError(f"the seed is {seed}", where="--seed", next="give 0 or more")


def _counts(run: Run) -> dict[str, int]:
    record = run.record
    counts, ended = record.get("counts"), record.get("status") in ("complete", "stopped")
    if counts is None or not (ended or run.files("rows")):
        raise SynthgainError(
            f"this run is {record.get('status', 'not begun')}",
            where=str(run.path),
            next="finish it first: run its command again",
        )
    recipe = record.get("recipe")
    whole = isinstance(counts, dict) and all(isinstance(counts.get(name), int) for name in ("rows", "kept", "anchors"))
    if not whole or not isinstance(recipe, dict) or not isinstance(recipe.get("checks"), list):
        raise SynthgainError(
            "run.json is damaged (no counts of rows, kept and anchors, or no recipe)",
            where=str(run.run_json),
            next="delete this one file and run the same command again: calls are kept apart and are not bought twice",
        )
    return dict(counts)


def _anchors_of(run: Run) -> tuple[Batches, int]:
    counted = _counts(run)["anchors"]
    _all_there(run, "anchors", counted)

    return with_pairs(lambda names: run.batches("anchors", names), ("text", "fields"), pair_of), counted


def made_from(source: Path) -> frozenset[int]:
    """What a run's rows were made from, kept or fallen (`first_contents`), whatever it is measured beside: with --limit that is not all that was read.
    Empty where `source` is neither a run nor RUN/data."""
    run = _run_of(source)
    if run is None:
        return frozenset()
    used = run.anchor_ids_used()
    columns = (table.to_pydict() for table in run.batches("anchors", ["id", "text"]))
    return first_contents([content(text) for id, text in zip(c["id"], c["text"]) if id in used] for c in columns)


def _run_of(source: Path) -> Run | None:
    """The run that a folder is, or whose data it is."""
    if Run.is_at(source):
        return Run.at(source)
    return Run.at(source.parent) if Run.is_at(source.parent) and source == Run(source.parent).data else None


def _all_there(run: Run, part: Literal["rows", "anchors"], counted: int) -> None:
    """SynthgainError where the files hold more or fewer than run.json counts: every share would be of the wrong whole."""
    there = run.count(part)
    if there != counted:
        held = f"{there:,}" if there else "none"
        raise SynthgainError(
            f"run.json counts {counted:,} {part}, and RUN/{part} holds {held}",
            where=str(run.path),
            next="run its command again: rows are made anew from the calls, which are not bought twice",
        )


def ledger(record: Mapping[str, Any]) -> tuple[Step, ...]:
    """What each check that dropped rows saw and let through, in the order in which they judged.

    Drafts' own refusals come first, then the checks of `recipe.checks`, then "accept" (rows beyond the number asked for). One that verifies answers
    has a line also where it dropped none: it found all right. Where none dropped anything and none verifies there is one line of the name "none".
    """
    fallen: dict[str, int] = dict(record.get("dropped_by") or {})
    verifying = verifiers(record)
    verifies = {check["name"]: check["name"] in verifying for check in record["recipe"]["checks"]}
    first = [name for name in fallen if name not in verifies and name != SURPLUS]
    asked = [name for name in verifies if (name in fallen or verifies[name]) and name != SURPLUS]
    steps, seen = [], int(record["counts"]["rows"])
    for name in (*first, *asked, *({SURPLUS} & fallen.keys())):
        left = seen - fallen.get(name, 0)
        steps.append(Step(name, seen, left, verifies=verifies.get(name, False)))
        seen = left
    return tuple(steps) or (Step("none", seen, seen),)


def by_prompt(steps: Sequence[Step], rows: Iterable[tuple[str, str, bool]]) -> tuple[tuple[Step, ...], Step]:
    """The ledger with its prompts and effective sizes, and one line of all checks but "accept" together.

    `rows` gives for each row its unit (the prompt: the anchors it was made from), the check that dropped it, "" where it was kept, and whether
    a model wrote it: where some are, the others (such as human solutions) are no candidates, and the ledger is of those that were written. Up
    to `PROMPTS` units are counted one by one; those that come beyond are added to these by their content. Sums of independent
    units are independent units of the same share, so the intervals stay right and memory flat. ValueError where the rows are not the
    ledger's.
    """
    ends = {step.check: at for at, step in enumerate(steps)}
    places: dict[str, int] = {}
    counts = np.zeros(
        (2, PROMPTS, len(steps) + 1), np.int64
    )  # written? × unit × the line that the row ended in (the last: kept)
    for unit, check, written in rows:
        place = places.get(unit)
        if place is None:
            place = len(places) if len(places) < PROMPTS else fold_of(unit, PROMPTS)
            if len(places) < PROMPTS:
                places[unit] = place
        counts[int(written), place, ends.get(check, -1)] += 1
    reached = counts[:, : len(places), ::-1].cumsum(axis=2)[:, :, ::-1]  # … × line: the rows that came so far
    if [(s.seen, s.kept) for s in steps] != list(pairwise(reached.sum(axis=(0, 1)).tolist())):
        raise ValueError("the rows' checks are not those of the ledger")
    reached = reached[1] if counts[1].any() else reached[0]
    seen = reached.sum(axis=0).tolist()
    steps = [replace(step, seen=before, kept=after) for step, (before, after) in zip(steps, pairwise(seen))]
    last = ends.get(SURPLUS, len(steps))
    together = Step("", steps[0].seen, int(reached[:, last].sum()))
    sized = [_sized(step, reached[:, at], reached[:, at + 1]) for at, step in enumerate(steps)]
    return tuple(sized), _sized(together, reached[:, 0], reached[:, last])


def _sized(step: Step, seen: NDArray[np.int64], kept: NDArray[np.int64]) -> Step:
    """The line with what its counts by prompt say."""
    if not step.seen:
        return step
    return replace(step, prompts=int((seen > 0).sum()), size=effective_size(kept.tolist(), seen.tolist()))


def _ends(run: Run) -> Iterator[tuple[str, str, bool]]:
    """Each row's unit, the check that dropped it, and whether a model wrote it, in order."""
    rows = 0
    for batch in run.batches("rows", ["anchor_ids", "check", "call_ids"]):
        units = pc.binary_join(batch.column("anchor_ids"), " ").to_pylist()
        written = pc.greater(pc.list_value_length(batch.column("call_ids")), 0).to_pylist()
        yield from (
            (unit or f"row {i}", check, bool(wrote))
            for i, (unit, check, wrote) in enumerate(zip(units, batch.column("check").to_pylist(), written), rows)
        )
        rows += len(batch)


# ---------------------------------------------------------------------------------------------- anybody's data set


def data_of_files(
    source: str | Path,
    anchors: str | Path | None,
    *,
    target: str | Path | None = None,
    text_field: str | None = None,
    seed: int = 0,
    strict: bool = False,
    tell: Tell | None = None,
) -> Data:
    """A data set that somebody else made; `tell` hears what of it was skipped, which `strict` refuses. Columns `logprob`, `tokens_out`, `law` and `anchor_ids` are used where it has them.

    `anchor_ids` are content hashes as runs have them, or what the anchors' own column `id` says. RUN/data is read as its run, which knows
    log-probabilities and which anchors its rows come from.
    """
    folder = Path(source)
    if text_field is None and (run := _run_of(folder)) is not None:
        return data_of_run(run, anchors=anchors, target=target, seed=seed)
    _allowed(seed)
    rows = _Columns(source, text_field, strict, tell)
    real: tuple[Batches, int] = (_none, 0)
    if anchors is not None:
        real = real_texts(anchors, rows.named, strict=strict, tell=tell)
    data = Data(rows.batches, rows.n, *real, linked=bool(rows.named), seed=seed)
    return data if target is None else data.with_target(*real_texts(target, strict=strict, tell=tell))


def real_texts(
    source: str | Path, named: Set[str] = frozenset(), *, strict: bool = False, tell: Tell | None = None
) -> tuple[Batches, int]:
    """Real text as batches of `id` and `text` (whole conversations where there are such), and how many.

    Of a run it is the anchors that the run was made from: its rows are not real text. `named` are ids that rows give.
    """
    if Run.is_at(source):
        return _anchors_of(Run.at(source))
    held = _Columns(source, None, strict, tell)
    held.answer_to(named)
    return held.batches, held.n


def _none(names: Sequence[str]) -> Iterator[pa.Table]:
    return iter(())


class _Columns:
    """The columns that the meter reads of some files, spooled to disk so that they can be read again and again."""

    def __init__(self, source: str | Path, text_field: str | None, strict: bool, tell: Tell | None) -> None:
        about = (lambda line: tell(f"{source}: {line}")) if tell is not None else None
        loaded = load_anchors(str(source), text_field=text_field, repeats=True, strict=strict, tell=about)
        asked = set(loaded.summary.text_fields)
        self._folder = Path(tempfile.mkdtemp(prefix="synthgain-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self.n, self.named, self._id = 0, set[str](), "id"
        waiting: list[dict[str, Any]] = []
        wrong: list[SynthgainError] = []
        with pq.ParquetWriter(self._folder / "rows.parquet", SCHEMA, compression="zstd") as out:
            for anchor in loaded:
                try:
                    waiting.append(_row(anchor, asked, chats=text_field is None))
                except SynthgainError as error:
                    wrong.append(error)
                    continue
                self.n += 1
                if len(self.named) < NAMED:
                    self.named.update(waiting[-1]["anchor_ids"])
                if len(waiting) == BATCH:
                    out.write_table(pa.Table.from_pylist(waiting, SCHEMA))
                    waiting.clear()
            out.write_table(pa.Table.from_pylist(waiting, SCHEMA))
        if wrong and (strict or len(wrong) > self.n):
            raise wrong[0]
        if wrong and about is not None:
            about(f"{len(wrong):,} of {self.n + len(wrong):,} rows skipped: {wrong[0].what} (first: {wrong[0].where})")

    def answer_to(self, named: Set[str]) -> None:
        """Go by the ids of the files' own column where these are the ones that rows name."""
        hits = {"id": 0, "own_id": 0}
        for table in self.batches(("id", "own_id")) if named else ():
            for column in hits:
                hits[column] += len(named & set(table.column(column).to_pylist()))
        self._id = max(hits, key=lambda column: hits[column])

    def batches(self, names: Sequence[str]) -> Iterator[pa.Table]:
        read = [self._id if name == "id" else name for name in names]
        file = pq.ParquetFile(self._folder / "rows.parquet")
        with file:
            for batch in file.iter_batches(BATCH, columns=read):
                yield pa.Table.from_batches([batch]).select(read).rename_columns(list(names))


def _row(anchor: Anchor, asked: set[str], *, chats: bool) -> dict[str, Any]:
    """What a student would read of one row, what was asked, and what was answered."""
    fields = anchor.fields
    chat = content_of({"messages": fields["messages"]}) if chats and fields.get("messages") else None
    text, prompt, answer = _said(anchor, asked) if chat is None else _of_chat(chat)
    ids = fields.get("anchor_ids")
    ids = [ids] if isinstance(ids, str) and ids else ids if isinstance(ids, list) else []
    logprob, law = _logprob(fields)
    tokens = number(fields.get("tokens_out"))
    own = fields.get("id")
    question, solution = pair_of(anchor.text, fields)
    return {
        "id": anchor.id,
        "own_id": anchor.id if own is None else str(own),
        "text": text,
        "answer": answer,
        "prompt": prompt,
        "anchor_ids": [str(i) for i in ids if i is not None],
        "logprob": logprob,
        "tokens_out": int(tokens) if tokens.is_integer() and 0 < tokens <= MOST_TOKENS else 0,
        "law": law,
        "asked": question,
        "answered": solution,
    }


def _said(anchor: Anchor, asked: set[str]) -> tuple[str, str, str]:
    """(what a student would read, what was asked, what was answered)."""
    fields = anchor.fields
    more = fields.get("input")
    more = f"\n\n{more}" if isinstance(more, str) and more.strip() else ""
    if asked & set(ASKED):
        said = _answer(anchor)
        if said is None:
            return anchor.text, "", anchor.text
        prompt = anchor.text + more
        return f"{prompt}\n\n{said}", prompt, said
    prompt = next((fields[name] for name in ASKED if isinstance(fields.get(name), str)), "")
    inside = next((fields[name] for name in ANSWERS if isinstance(fields.get(name), str)), "")
    if prompt and inside and inside in anchor.text:  # the text is both, in somebody's template
        return anchor.text, prompt + more, inside
    return anchor.text, prompt, anchor.text.removeprefix(prompt).lstrip() or anchor.text


def _of_chat(content: Content) -> tuple[str, str, str]:
    turns = content.messages or ()
    return "\n\n".join(map(turn_text, turns)), readable(content.prompt), content.answer or ""


def _answer(anchor: Anchor) -> str | None:
    """The row's answer as text, None where it has no column for one."""
    name = answer_column(fields := anchor.fields, ANSWERS, anchor.source)
    value = None if name is None else fields[name]
    if name is not None and value is None:
        raise SynthgainError(
            f"the answer (column {name!r}) is null", where=anchor.source, next="mend or remove the row"
        )
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return "\n".join(value)
    if isinstance(value, list):
        with suppress(SynthgainError):
            content = content_of({"messages": value})
            return (content.answer if content is not None else None) or ""
    if isinstance(value, int | float):
        return str(value)
    raise SynthgainError(
        f"the answer (column {name!r}) is no text",
        where=anchor.source,
        next="mend the row, or name a column with --text-field",
    )


def _logprob(fields: Mapping[str, Any]) -> tuple[float | None, str]:
    """(the log-probability, the law it is of), or (None, why there is none)."""
    law, value = str(fields.get("law") or ""), fields.get("logprob")
    found = number(value)
    if not math.isnan(found):
        return found, law
    why = "the data set has no column `logprob`"
    if value is not None:
        why = f"no finite number in column `logprob` ({str(value)[:40]!r})"
    elif "logprob" in fields:
        why = "column `logprob` is null or not a finite number"
    return None, f"{why} (law: {law})" if law else why
