"""Commands that measure: measure, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthgain.cli.arguments import BaseUrl, Json, Seed, Strict, TargetIs, TextField, app, reach
from synthgain.cli.printing import print_comparison, print_json, print_table, say

Real = Annotated[str | None, typer.Option("--anchors", help="Real text to measure against (a run brings its own).")]
Target = Annotated[str | None, typer.Option("--target", help="Held-out real text that nothing was made from.")]
Student = Annotated[
    str, typer.Option("--student", help="The student before training (local/… or hf/PATH): surprise, transfer_kl.")
]
Vectors = Annotated[
    str, typer.Option("--embedder", help='words, sentence-transformers/minilm, openai/NAME; none: `""`.')
]


@app.command()
def measure(
    source: Annotated[str | None, typer.Argument(help="A run, a data set of anybody's, or a student folder.")] = None,
    anchors: Real = None,
    target: Target = None,
    target_is: TargetIs = "",
    student: Student = "",
    writer: Annotated[
        str,
        typer.Option(
            "--writer",
            help="Scores texts as the writer (local/… or hf/PATH): i_prompt; 2,000 scorings, minutes on a CPU.",
        ),
    ] = "",
    rescore: Annotated[
        str,
        typer.Option(
            "--rescore", help="Read a sample of log-probabilities again with this model (local/… or hf/PATH)."
        ),
    ] = "",
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="A student of the anchors alone, repeatable (of a student folder: gain, ggmi)."),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", help="h_meaning; of the student probe_gain, context_gain, grad_align; repeatable."),
    ] = None,
    prompts: Annotated[
        int, typer.Option("--prompts", help="How many prompts i_prompt compares (about 33 scorings each).", min=2)
    ] = 64,
    embedder: Vectors = "words",
    explain: Annotated[
        str | None, typer.Option("--explain", help="What a figure or a quantity of the paper is, and stop.")
    ] = None,
    text_field: TextField = None,
    strict: Strict = False,
    base_url: BaseUrl = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """What a run, a data set or a student is worth, with intervals.

    --json prints {"headline": {"name": the figure that says most for the task, "says": its sentence}, "readings": […]}.

    Example: synthgain measure runs/first --target held-out.jsonl --json
    """
    from synthgain import api
    from synthgain.types import SynthgainError

    if explain is not None:
        found = api.explain(explain)
        print_json(found.json()) if as_json else print(found)
        return
    if source is None:
        raise SynthgainError(
            "nothing was given to measure", next="synthgain measure RUN, or synthgain measure --explain NAME"
        )
    readings = api.measure(
        source,
        anchors=anchors,
        target=target,
        target_is=target_is,
        student=student,
        writer=writer,
        rescore=rescore,
        against=against or (),
        also=also or (),
        prompts=prompts,
        embedder=embedder,
        text_field=text_field,
        strict=strict,
        seed=seed,
        reach=reach(base_url),
        say=say,
    )
    head = api.headline(readings)
    if as_json:
        print_json({"headline": head, "readings": [r.json() for r in readings]})
        return
    print_table(readings)
    if head["says"]:
        print(f"\n{head['says']}")
    advice = api.advice(source, readings)
    if advice is not None:
        print(f"\n{advice}")


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="Two or more runs or data sets.")],
    anchors: Real = None,
    target: Target = None,
    target_is: TargetIs = "",
    student: Student = "",
    embedder: Vectors = "words",
    text_field: TextField = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Also write a page with pictures.")] = None,
    base_url: BaseUrl = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Which set adds more, per set, row, token and dollar, with the interval of the difference.

    Sets are ranked by the figure that fits the task, which the first sentence names. --json prints {"runs": [{"name", "path", "recipe", "rows", "tokens",
    "cost_usd", "readings"}], "headline": {"name", "says"}, "differences": [{"name", "a", "b", "per": set, size (both at the smaller's), row, token or dollar, "value", "low", "high", "level",
    "verdict", "unit", "paired", "note"}], "sentences"}.

    Example: synthgain compare runs/rephrase runs/entigraph -o compared.html
    """
    from synthgain import api

    result = api.compare(
        runs,
        anchors=anchors,
        target=target,
        target_is=target_is,
        embedder=embedder,
        student=student,
        text_field=text_field,
        seed=seed,
        reach=reach(base_url),
        say=say,
    )
    if out is not None:
        api.comparison_page(result, out)
    if as_json:
        print_json(result)
        return
    print_comparison(result)
    if out is not None:
        print(f"page: {out}")
