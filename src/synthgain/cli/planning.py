"""The command plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from synthgain.cli.arguments import Json, TextField, app
from synthgain.cli.printing import print_json, print_rows, say
from synthgain.numbers import count, duration, figure, money, short


@app.command()
def plan(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="A .json or .csv file with name, tokens and share of each source; or files and folders to count, [NAME=]PATH."
        ),
    ],
    horizon: Annotated[str | None, typer.Option("--horizon", help="Tokens of the whole training: 2M, 10T.")] = None,
    share: Annotated[
        list[str] | None,
        typer.Option("--share", help="NAME=0.2 of the horizon, repeatable (else all are read equally often)."),
    ] = None,
    epochs: Annotated[float, typer.Option("--epochs", help="How often a source should be read at most.")] = 4.0,
    synthetic_epochs: Annotated[
        float, typer.Option("--synthetic-epochs", help="How often each synthetic text is read.")
    ] = 1.0,
    run: Annotated[
        list[str] | None, typer.Option("--run", help="A run that says what its recipe yields, repeatable.")
    ] = None,
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", help="A tokenizer.json, or a model's folder (else tokens are estimated).")
    ] = "",
    speed: Annotated[
        float | None, typer.Option("--speed", help="New tokens a second, where the run's do not count.")
    ] = None,
    price: Annotated[
        str,
        typer.Option(
            "--price", help="IN,OUT or IN,OUT,CACHED in USD per million tokens, in place of what the run knows."
        ),
    ] = "",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Also write a page with a picture.")] = None,
    text_field: TextField = None,
    as_json: Json = False,
) -> None:
    """Repetition calculus: epochs of each source, what repeats are worth, and what new text would cost.

    Example: synthgain plan docs/ --horizon 2M --run runs/rephrase
    """
    from synthgain import api

    result = api.plan(
        sources,
        horizon=horizon,
        shares=dict(_share(one) for one in share or ()),
        epochs=epochs,
        synthetic_epochs=synthetic_epochs,
        runs=run or (),
        tokenizer=tokenizer,
        speed=speed,
        price=price,
        text_field=text_field,
        say=say,
    )
    if out is not None:
        api.plan_page(result, out)
    if as_json:
        print_json(result)
        return
    print_plan(result)
    if out is not None:
        print(f"page: {out}")


def _share(text: str) -> tuple[str, Any]:
    name, _, share = text.rpartition("=")
    if not name:
        from synthgain.types import SynthgainError

        raise SynthgainError(f"--share needs NAME=SHARE, not {text!r}", next="write it like --share web=0.5")
    return name, share


def print_plan(result: Mapping[str, Any]) -> None:
    """Each source a line, then what new text takes, then what to know of the figures."""
    heads = ("source", "unique", "share", "read", "epochs", "worth of what is read", "new tokens for r epochs", "")
    rows = [
        (
            one["name"],
            ("~" if one["estimated"] else "") + short(one["unique_tokens"]),
            f"{100 * one['share']:.3g} %",
            short(one["tokens_read"]),
            figure(one["epochs"]),
            f"{100 * one['worth']:.0f} %",
            short(one["synthetic_tokens"]) if one["synthetic_tokens"] else "-",
            one["verdict"],
        )
        for one in result["sources"]
    ]
    print(f"{short(result['horizon'])} tokens; r = {result['target_epochs']:g}")
    print_rows(heads, rows)
    options = [(one["name"], option) for one in result["sources"] for option in one["options"]]
    if options:
        print()
        _print_options(options)
    print()
    for note in result["notes"]:
        print(note)


def _print_options(options: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    print_rows(
        ("for source", "recipe", "passes", "calls", "tokens in", "tokens out", "cost", "time", ""),
        [
            (
                name,
                one["recipe"],
                figure(one["passes"]),
                count(one["calls"]),
                short(one["tokens_in"]),
                short(one["tokens_out"]),
                money(one["cost_usd"]),
                "not known" if one["seconds"] is None else duration(one["seconds"]),
                one["note"],
            )
            for name, one in options
        ],
    )
