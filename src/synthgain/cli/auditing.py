"""The command that looks at anybody's data set: audit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from synthgain.cli.arguments import Json, Seed, Strict, TargetIs, TextField, app
from synthgain.cli.lives import shown
from synthgain.cli.printing import print_json, say


@app.command()
def audit(
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="A file, a folder, a data set on disk, hf://…, or a run.")
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", help="Look for the items of this set in the rows, repeatable: evaluation sets, other data."
        ),
    ] = None,
    anchors: Annotated[str | None, typer.Option("--anchors", help="Real text that the meter measures against.")] = None,
    target_is: TargetIs = "",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The folder to write (default: runs/audit-NAME).")
    ] = None,
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", help="A tokenizer.json, or a model's folder: lengths in its tokens.")
    ] = "",
    text_field: TextField = None,
    strict: Strict = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """One page about a data set that somebody else made: leaks, duplicates, leftovers, cut-offs, languages, terms, the meter.

    No model, no key. Into the folder go audit.html, audit.json and faults.jsonl: a line {row, id, fault, reason, where} for each fault.

    Example: synthgain audit theirs.jsonl --against gsm8k_test.jsonl --anchors real.jsonl
    """
    from synthgain import api

    found = api.audit(
        source,
        against=against or (),
        anchors=anchors,
        target_is=target_is,
        out=out,
        tokenizer=tokenizer,
        text_field=text_field,
        strict=strict,
        seed=seed,
        say=None if as_json else say,
    )
    print_json(found) if as_json else _print_audit(found)


def _print_audit(found: Mapping[str, Any]) -> None:
    rows = found["rows"]
    print(shown(found["sentence"], 2000))
    print(f"\n{rows:,} rows of {found['source']}" + _skipped(found["given"]["skipped"]))
    for name, held in found["faults"].items():
        often = next(iter(held["reasons"]), "")
        print(f"  {held['rows']:>9,}  {100 * held['share']:>5.1f} %  {name:<16}  {shown(often, 70)}")
    for leak in found["leaks"]:
        print(f"  {leak['items_found']:>9,}  of {leak['items']:,} items of {leak['set']}, in {leak['rows']:,} rows")
    lengths = found["lengths"]
    name = next((n for n in lengths if n.startswith("answer") and n.endswith("tokens")), "answer, words")
    print(
        f"answers: {lengths[name]['median']:.0f} {name.partition(', ')[2]} in the middle, {lengths[name]['max']:,} at most"
    )
    by = found["languages"]["by"]
    told = ", ".join(f"{code or 'too short to tell'} {n:,}" for code, n in list(by.items())[:5])
    print(f"languages: {told or 'not told apart: that ' + found['languages']['why_not']}")
    readings = {r["name"]: r for r in found["readings"]}
    for name in dict.fromkeys((found["headline"]["name"], "dup_rate", "vendi")):
        reading = readings.get(name)
        if reading is not None and reading["value"] is not None:
            ends = "" if reading["low"] is None else f" [{reading['low']:.3g}, {reading['high']:.3g}]"
            print(f"{name}: {reading['value']:.3g}{ends} {reading['unit']}")
    took = ", ".join(
        f"{name} {seconds:.1f} s" for name, seconds in sorted(found["seconds_by"].items(), key=lambda t: -t[1])[:4]
    )
    print(f"{found['seconds']:.1f} s ({took})\nfaults: {found['faults_file']}\npage: {found['page']}")


def _skipped(skipped: Mapping[str, int]) -> str:
    if not skipped:
        return ""
    said = "; ".join(f"{n:,}: {why}" for why, n in list(skipped.items())[:3])
    return f"; {sum(skipped.values()):,} more could not be used ({said})"
