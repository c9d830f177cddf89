"""Commands that judge: a run again, or a data set that somebody else made; and what selections need in its rows."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from synthgain.cli.arguments import Against, Json, Sets, Strict, TextField, Withouts, Withs, app, knobs, watched
from synthgain.cli.lives import shown
from synthgain.cli.printing import print_close, print_json, say

SILENT = 5.0  # seconds


@app.command()
def curate(
    source: Annotated[str, typer.Argument(metavar="RUN|DATA", help="A run, or with -o anybody's data set.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Of a data set: the run folder to write, with verdicts.")
    ] = None,
    with_: Withs = None,
    without: Withouts = None,
    set_: Sets = None,
    accept: Annotated[int | None, typer.Option("-n", "--accept", help="Keep the first N accepted.")] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="The recipe's file again, where it was a file: a run holds no code.")
    ] = None,
    against: Against = None,
    show_misses: Annotated[
        int, typer.Option("--show-misses", min=0, help="Show N rows that fell by final-answer: text, found and gold.")
    ] = 0,
    text_field: TextField = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Judge a run again with other checks, or a data set that somebody else made, buying nothing.

    Of a run, without options nothing changes. Where no row is kept that is said, and in --json under `nothing_kept`; the exit code is 0, for what was asked was done.

    Example: synthgain curate runs/first --with near-duplicate --without truncated

    Example: synthgain curate theirs.jsonl -o runs/theirs --with near-duplicate --with refusal
    """
    from synthgain import api

    done = (watched if out is None else _counted)(
        lambda watch: api.curate(
            source,
            out=out,
            with_=with_ or (),
            without=without or (),
            knobs=knobs(set_),
            accept=accept,
            recipe=recipe,
            text_field=text_field,
            strict=strict,
            against=against or (),
            watch=watch,
        )
    )
    record = done.record
    missed = api.misses(done, show_misses) if show_misses else []
    empty = api.nothing_kept(done.path)
    if as_json:
        none = {"nothing_kept": {"what": empty.what, "next": empty.next}} if empty else {}
        print_json(record | ({"misses": missed} if show_misses else {}) | none)
    elif "given" not in record:
        print_close(record, done.path, False)
    else:
        _print_given(record, done.path)
    if not as_json:
        _print_misses(missed, record)
    _say_skipped(record.get("given") or {})
    if empty is not None:
        say(str(empty))


@app.command()
def score(
    source: Annotated[str, typer.Argument(metavar="DATA", help="Anybody's data set (of a run: RUN/data).")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The .jsonl file to write: the same rows, with more fields.")
    ],
    scorer: Annotated[
        str, typer.Option("--scorer", help="Weights that read each answer with and without its question, for `ifd`.")
    ] = "",
    log: Annotated[
        str,
        typer.Option(
            "--log",
            help='A training run\'s .jsonl log for `limr`: {"id": …, "epoch": 3, "reward": 1}, or "prompt" in place of "id".',
        ),
    ] = "",
    text_field: TextField = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Write what the selections ifd and limr read into the rows of a data set, buying nothing.

    A row is written as it was, with `loss_given_question` and `loss_alone` (nats a token, by --scorer) or `rewards` (a list, by --log); one for which there is no
    figure is written without it and counted. --json prints {"out", "rows", "scored", "unscored": {why: rows}, "skipped": {why: rows},
    "log_without_rows"}. Exit codes: 0, also where no row could be scored; 2 where nothing says how rows are scored, or the data, log or scorer cannot be read.

    Example: synthgain score theirs.jsonl -o scored.jsonl --scorer local/smollm2-135m
    """
    from synthgain import api

    done = api.score(source, out, scorer=scorer, log=log, text_field=text_field, strict=strict, say=say)
    if as_json:
        print_json(done.json())
        return
    print(f"{done.scored:,} of {done.rows:,} rows have the figures: {done.out}")
    for why, n in (*done.unscored.most_common(), *(("skipped: " + why, n) for why, n in done.skipped.most_common())):
        say(f"{n:,} {'row' if n == 1 else 'rows'}: {why}")
    if done.log_without_rows:
        say(f"{done.log_without_rows:,} names of the log are of no row")
    then = "ifd" if scorer else "limr"
    print(f"then: {shlex.join(['synthgain', 'curate', str(done.out), '-o', 'RUN', '--with', then])}")


def _counted(work: Callable[[Any], Any]) -> Any:
    """Run `work(watch)`, saying now and then how far it is: nothing is bought that a panel could show."""
    said = time.monotonic()

    def watch(tally: Any) -> None:
        nonlocal said
        if time.monotonic() - said > SILENT:
            said = time.monotonic()
            say(f"{tally.rows:,} rows judged, {tally.kept:,} kept so far")

    return work(watch)


def _print_given(record: dict[str, Any], path: Path) -> None:
    counts, given = record["counts"], record["given"]
    fell = ", ".join(f"{n:,} {name}" for name, n in record["dropped_by"].items())
    print(f"{counts['kept']:,} rows kept of {counts['rows']:,}" + (f" (dropped: {fell})" if fell else ""))
    print(f"rows of {given['source']}, which were given: nothing was bought")
    print(f"data: {path / 'data'}")


def _print_misses(missed: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> None:
    """Text beside what was found and what was wanted."""
    for miss in missed:
        print("=" * 100)
        print(f"row {miss['id']}: {miss['reason']}")
        print(f"    found  {'nothing' if miss['found'] is None else shown(miss['found'], 200)}")
        print(f"    gold   {shown(' | '.join(miss['gold']), 200) or 'none'}")
        print(f"--- asked\n{shown(miss['prompt'], 600)}\n--- text\n{shown(miss['text'], 1500)}")
    if missed:
        print("=" * 100)
        fell = record["dropped_by"].get("final-answer", 0)
        print(
            f"{len(missed):,} of {fell:,} rows that fell by final-answer. Where the text is right and found is not, the check is wrong."
        )


def _say_skipped(given: dict[str, Any]) -> None:
    """What was not judged, on standard error."""
    for why, n in (given.get("skipped") or {}).items():
        first = ", ".join(given["skipped_at"].get(why, [])[:2])
        say(f"skipped: {n:,} {'row' if n == 1 else 'rows'}: {why}{f' (first at {first})' if first else ''}")
    if left := given.get("files_left_out_total"):
        named = ", ".join(f"{file['path']} ({file['why']})" for file in given["files_left_out"])
        say(f"files left out: {left:,}: {named}")
