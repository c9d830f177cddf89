"""Commands that look: recipes, check, trace, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthgain.cli.arguments import BaseUrl, Extras, Headers, Json, Wait, app, reach
from synthgain.cli.printing import print_json, print_life, say


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="A shipped name or a .py file.")] = None, as_json: Json = False
) -> None:
    """List the recipes; with a name, its knobs and where each number comes from.

    Example: synthgain recipes entigraph
    """
    from synthgain import recipes as room
    from synthgain.api.asking import knobs_of

    chosen = [room.load(name)] if name else [room.load(n) for n in room.names()]
    described: list[dict[str, Any]] = [
        {
            "name": r.name,
            "version": r.version,
            "stage": r.stage,
            "source": r.source,
            "anchors": r.anchors,
            "calls": r.calls,
            "roles": list(r.roles),
            "checks": [c.name for c in r.checks],
            "departures": list(r.departures),
            "knobs": [
                {"name": name, "default": value, "source": r.sources.get(name, "")}
                for name, value in knobs_of(r).items()
            ],
        }
        for r in chosen
    ]
    if as_json:
        print_json({"recipes": described})
        return
    for r in described:
        print(
            f"{r['name']} {r['version']}  ({r['stage']})\n  source:  {r['source']}\n  anchors: {r['anchors']}\n  calls:   {r['calls']}"
        )
        if name:
            print(f"  roles:   {', '.join(r['roles'])}\n  checks:  {', '.join(r['checks']) or 'none'}\n  knobs:")
            for knob in r["knobs"]:
                print(f"    {knob['name']} = {knob['default']!r}\n        {knob['source'] or 'ours'}")
            print(
                "\n".join(["  departures from the source:", *(f"    - {d}" for d in r["departures"])])
                if r["departures"]
                else "  no departures from the source"
            )


@app.command()
def check(
    uri: Annotated[str, typer.Argument(help="local/…, openai/…, hf/…, scripted/…")],
    base_url: BaseUrl = "",
    wait: Wait = None,
    header: Headers = None,
    extra: Extras = None,
    as_json: Json = False,
) -> None:
    """Ask a model one small thing: is it there, what does it give?

    Example: synthgain check local/smollm2-135m
    """
    from dataclasses import asdict

    from synthgain import api

    heard: list[str] = []

    def trouble(said: str) -> None:
        if said and said.partition(";")[0] not in heard:
            heard.append(said.partition(";")[0])
            say(said)

    info, call = api.check(uri, reach(base_url, wait=wait, headers=header, extra=extra), say=trouble)
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
    unknown = {None: "not known", True: "yes", False: "no"}
    for key, value in told.items():
        print(f"{key:>12}  {unknown.get(value, value) if value is None or isinstance(value, bool) else value}")


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
        print(f"cost: {'no price known' if life['cost_usd'] is None else life['cost_usd']}")


@app.command()
def report(
    run: Path, out: Annotated[Path | None, typer.Option("-o", "--out", help="Default: RUN/report.html.")] = None
) -> None:
    """Write a self-contained page with pictures.

    Example: synthgain report runs/demo
    """
    from synthgain import api

    print(api.report(run, out=out))
