"""The command that compares arms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthgain.cli.arguments import BaseUrl, Json, Out, Seed, app, reach
from synthgain.cli.printing import arms_table, print_json
from synthgain.cli.teaching import On


@app.command()
def arms(
    plan: Annotated[str, typer.Argument(help="A .py file with ARMS = [Arm(…), …], or a folder that holds runs.")],
    out: Out,
    on: On,
    base: Annotated[str, typer.Option("--base", help="What every student starts from.")] = "local/smollm2-135m",
    rate: Annotated[
        list[float] | None,
        typer.Option(
            "--rate", help="A learning rate, repeatable (default: the best on a development split, 1/3 and 1/10)."
        ),
    ] = None,
    students: Annotated[
        int | None, typer.Option("--students", help="Of each arm and rate, with other seeds (3).")
    ] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", help="Training tokens of each student (16,000).")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Examples an optimiser step.")] = None,
    length: Annotated[int | None, typer.Option("--length", help="Tokens of a block.")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="The arm that the others are set against.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option("--without", help="An arm that is left out, repeatable.")] = None,
    documents: Annotated[
        str | None, typer.Option("--documents", help="What the questions are on (default: the first run's anchors).")
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option("--also", help="Further ways to ask multiple choice: letter, generation.")
    ] = None,
    headline: Annotated[
        str | None, typer.Option("--headline", help="What the verdict is on: accuracy or answer_margin.")
    ] = None,
    equal: Annotated[str | None, typer.Option("--equal", help="Which tables: tokens, cost or both.")] = None,
    cost_in: Annotated[
        str | None,
        typer.Option("--cost-in", help="dollars, tokens (of the writer) or seconds (default: dollars where known)."),
    ] = None,
    train_price: Annotated[
        float | None, typer.Option("--train-price", help="What a million training tokens cost, in that unit.")
    ] = None,
    general: Annotated[Path | None, typer.Option("--general", help="General text: what each arm forgot.")] = None,
    held_out: Annotated[Path | None, typer.Option("--held-out", help="Held-out text: perplexity of each arm.")] = None,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Compare even where questions stand in what arms learn.")
    ] = False,
    base_url: BaseUrl = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare arms: students × learning rates, at equal tokens and at equal cost, with one verdict.

    Of a folder of runs the arms are: base, with the book open, with what a question finds in it, the anchors repeated, each run's rows, an equal
    mixture of them, and candidates at random.

    Example: synthgain arms runs -o arms --on questions.jsonl --base local/smollm2-135m --students 3
    """
    from synthgain import api
    from synthgain.report.live import Live

    given: dict[str, Any] = {
        "rates": tuple(rate) if rate else None,
        "students": students,
        "tokens": tokens,
        "batch": batch,
        "length": length,
        "reference": reference,
        "documents": documents,
        "also": tuple(also) if also else None,
        "headline": headline,
        "equal": equal,
        "cost_in": cost_in,
        "train_price": train_price,
    }
    result = api.arms(
        plan,
        out=out,
        on=on,
        base=base,
        settings={name: value for name, value in given.items() if value is not None},
        without=without or (),
        allow_leaks=allow_leaks,
        general=general,
        held_out=held_out,
        seed=seed,
        reach=reach(base_url),
        panel=Live,
    )
    print_json(result) if as_json else print_comparison_of_arms(result, out)


def print_comparison_of_arms(result: dict[str, Any], folder: Path) -> None:
    """One table, and the verdict. The second table's verdict stands beside, with the unit of its cost."""
    arms_table(result["arms"])
    print(result["verdict"]["sentence"])
    if equal := result.get("equal_cost"):
        said = equal["verdict"]["sentence"] if "verdict" in equal else "; ".join(equal["notes"])
        print(f"At equal cost ({equal['budget']:,.4g} {equal['unit']}): {said}")
    for note in result["notes"]:
        print(note)
    print(f"report: {folder / 'report.html'}")
