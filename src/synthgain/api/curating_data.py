"""Judging a data set that somebody else made: its rows into a run with verdicts. Nothing is bought, and there are no anchors."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from synthgain.api.as_typed import typed_check
from synthgain.api.asking import Asked, judged_by, recorded_checks
from synthgain.api.given import Given
from synthgain.api.making import Watch, embedder_for
from synthgain.api.places import apart_from, for_a_run, writes_to
from synthgain.chain import Named, Request, Tally
from synthgain.chain.given import GIVEN, judge_given
from synthgain.chain.judging import closing
from synthgain.report.given_card import given_card
from synthgain.store import Run
from synthgain.store.corpus import write_corpus
from synthgain.store.rows import chat
from synthgain.store.run import FORMAT
from synthgain.types import AnyCheck, Row, SynthgainError

COLUMNS = ("messages", "text", "rejected", "tools", "anchor_ids", "round", "fields")


def curate_data(
    source: str | Path,
    out: str | Path,
    *,
    with_: Sequence[str | AnyCheck] = (),
    accept: int | None = None,
    text_field: str | None = None,
    strict: bool = False,
    watch: Watch | None = None,
) -> Run:
    """Judge the rows of a file, a folder, a data set on disk or hf://… and write them to the run folder `out`, kept and fallen.

    Rows are chats, pairs or texts (`synthgain.turns`). Those that cannot be used are skipped, counted and in the record; with `strict` the
    first of them is an error and nothing is written. run.json says that nothing was bought, and where the rows came from, with SHA-256.
    """
    place = Path(out)
    apart_from(source, place)
    for_a_run(place)
    checks, parts = judged_by(GIVEN, with_, ())
    request = Request(
        Named(GIVEN.name, version=GIVEN.version), parts, anchors=str(source), text_field=text_field, accept=accept
    )
    _not_another(place, str(source))
    with writes_to(place):
        run = Run(place)
        given = Given(str(source), text_field, strict)
        ask = Asked(request, GIVEN, GIVEN, checks)
        if not run.files("anchors"):
            write_corpus(run.anchors, ())  # a run has anchors, and here there are none
        return _written(ask, run, (row.row for row in given), watch, lambda: given.json(), {})


def curate_data_again(run: Run, ask: Asked, watch: Watch | None) -> Run:
    """Judge the rows that lie in such a run again. Its source is not read."""
    before = run.record
    return _written(ask, run, rows_of(run), watch, lambda: before["given"], before)


def rows_of(run: Run) -> Iterator[Row]:
    """The rows of a run as they came, without verdicts."""
    for shard in run.shards(COLUMNS):
        for held in shard.to_pylist():
            yield Row(
                messages=chat(held["messages"]),
                text=held["text"],
                rejected=chat(held["rejected"]),
                tools=tuple(json.loads(held["tools"])) if held["tools"] else (),
                anchors=tuple(held["anchor_ids"] or ()),
                round=held["round"],
                fields=json.loads(held["fields"]),
            )


def _written(
    ask: Asked,
    run: Run,
    rows: Iterable[Row],
    watch: Watch | None,
    given: Callable[[], Mapping[str, Any]],
    before: Mapping[str, Any],
) -> Run:
    """Rows, data and record; `given` says of the reading when it has been done, `before` is the record of the run that is judged again."""
    began = time.time()
    tally = Tally(label="curate", target=ask.request.accept)
    embedder = embedder_for(ask)
    with closing(ask.checks):
        judge_given(
            rows,
            ask.checks,
            run,
            tally,
            accept=ask.request.accept,
            embedder=embedder,
            watch=watch or (lambda _: None),
        )
    record = _record(ask, run, tally, given())
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    record |= {"seconds": round(time.time() - began, 3), "finished": now}
    if before:
        record |= {name: before[name] for name in ("seconds", "finished") if name in before} | {"curated": now}
    text = given_card(record, columns=run.data_columns())
    (run.data / "README.md").write_text(text, "utf-8", errors="backslashreplace")
    run.write_record(record)
    return run


def _record(ask: Asked, run: Run, tally: Tally, given: Mapping[str, Any]) -> dict[str, Any]:
    request = ask.request
    counts = {
        **dict.fromkeys(("anchors", "groups", "calls_bought", "calls_reused"), 0),
        "rows": tally.rows,
        "kept": tally.kept,
        "dropped": tally.rows - tally.kept,
        "broken": 0,
        "skipped": sum(given["skipped"].values()),
    }
    return {
        "format": FORMAT,
        "synthgain": version("synthgain"),
        "status": "complete",
        "request": request.json(),
        "recipe": {
            "name": GIVEN.name,
            "version": GIVEN.version,
            "source": "",
            "knobs": {},
            "checks": recorded_checks(ask.checks, request.checks),
        },
        "given": dict(given),
        "models": {},
        "identities": {},
        "seed": request.seed,
        "round": request.round,
        "command": _command(request, run.path),
        "python": sys.version.split()[0],
        "counts": counts,
        "dropped_by": dict(sorted(tally.dropped_by.items())),
        "tokens": {"in": 0, "out": 0, "in_cached": 0},
        "cost_usd": None,
    }


def _command(request: Request, out: Path) -> str:
    """What to type to judge the same rows so; "" where a check was an object of Python."""
    if any(part.python for part in request.checks):
        return ""
    words = ["synthgain", "curate", request.anchors, "-o", str(out)]
    words += [word for part in request.checks for word in typed_check(part)]
    words += [] if request.accept is None else ["--accept", str(request.accept)]
    words += [] if request.text_field is None else ["--text-field", request.text_field]
    return shlex.join(words)


def _not_another(place: Path, source: str) -> None:
    """A run of other rows is not replaced."""
    if not Run.is_at(place):
        return
    run = Run.at(place)
    held = run.record.get("given")
    if not isinstance(held, dict) or held.get("source") != source:
        what = f"rows of {held.get('source')}" if isinstance(held, dict) else "a run that bought its rows"
        raise SynthgainError(f"here lies {what}", where=str(place), next="give another folder with -o")
