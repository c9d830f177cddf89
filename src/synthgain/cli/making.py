"""Commands that make data and give it away: preview, generate, curate, export, push."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from synthgain.cli.arguments import (
    Anchors,
    Asking,
    Json,
    Limit,
    Out,
    Reaching,
    Replace,
    app,
    shared,
    watched,
)
from synthgain.cli.lives import print_life, shown
from synthgain.cli.printing import print_broken, print_calls_written, print_close, print_json, print_rows, say
from synthgain.numbers import interval, money

if TYPE_CHECKING:
    from synthgain.api.foretelling import Span
    from synthgain.api.previewing import Preview

T = TypeVar("T")


@app.command()
@shared
def preview(
    recipe: str,
    anchors: Anchors,
    asking: Asking,
    reaching: Reaching,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Where the calls are kept.")] = None,
    limit: Limit = 3,
    show: Annotated[
        int, typer.Option("--show", min=1, help="Buy at most N calls, shared out over these groups, and show each.")
    ] = 12,
    as_json: Json = False,
) -> None:
    """Real prompts, answers and verdicts for a few groups, and an estimate for all.

    Example: synthgain preview rephrase docs/ --limit 2
    """
    from synthgain import api

    folder = out or Path("runs") / f"preview-{Path(recipe).stem}"

    def begin(most: int, groups: int, total: int | None) -> None:
        of = "" if total is None else f" of {total:,}"
        say(f"Buys at most {most:,} calls, {most // max(1, groups):,} for each of the first {groups:,}{of} groups.")

    def work(watch: Any) -> api.Preview:
        how = {**asking.options(), "reach": reaching.reach()} | {"limit": 3 if limit is None else limit, "shown": show}
        seen = (lambda life: None) if as_json else print_life
        return api.preview(recipe, anchors, out=folder, begin=begin, show=seen, watch=watch, **how)

    seen = watched(work, lines=True)
    if as_json:
        print_json(seen.json())
    else:
        _print_estimate(seen, asking.max_cost)
        print(f"The calls are kept in {folder}; `synthgain generate … -o {folder}` uses them.")
    if seen.stopped:
        say(f"synthgain: {folder}: stopped: {seen.stopped}")
        say(f"next: the same with {seen.larger} (what was bought is kept, and counts)")
        raise typer.Exit(3)


def _print_estimate(seen: Preview, max_cost: float | None) -> None:
    from synthgain.report.live import duration

    forms: dict[str, Callable[[float], str]] = {"cost_usd": lambda n: f"{n:,.2f}", "seconds": duration}
    kept = sum(bool(life["row"]["kept"]) for life in seen.lives)
    total = "an unknown number of" if seen.groups_total is None else f"{seen.groups_total:,}"
    recorded = f", {seen.recorded:,} recorded" if seen.recorded else ""
    print("=" * 100)
    print(
        f"{len(seen.lives):,} rows ({kept:,} kept) from {seen.groups:,} of {total} groups; "
        f"{seen.bought:,} calls bought, {seen.reused:,} reused{recorded}."
    )
    for reason, n in seen.broken.items():
        print(f"{n:,} broke: {shown(reason)}")
    print("All groups would take:")
    for name, span in seen.estimate.items():
        form = forms.get(name, lambda n: f"{n:,.0f}")
        there = f"; of these {seen.there:,} are there already" if name == "calls" and seen.there else ""
        beyond = f"; the others {_spanned(seen.beyond[name], form)}" if seen.beyond is not None else ""
        print(f"  {name:>10}  {_spanned(span, form)}{there}{beyond}")
    print(f"  ({seen.note})")
    cost, ends = seen.estimate["cost_usd"].value, seen.ends
    if ends is not None and max_cost is not None:
        part = f", about {min(1.0, ends.spent / cost):.0%} of this" if cost else ""
        print(
            f"  --max-cost {max_cost:g} ends it at about ${ends.spent:.2f}{part}: the next call may take ${ends.next:.2f} beside that."
        )


def _spanned(span: Span, said: Callable[[float], str]) -> str:
    """12, or about 12 (10 to 15)."""
    if span.value is None:
        return "not known" if span.low is None else f"more than {said(span.low)}"
    value, low, high = (said(n) for n in (span.value, span.low or 0.0, span.high or 0.0))
    return value if low == high else f"about {value} ({low} to {high})"


@app.command()
@shared
def generate(
    recipe: str,
    anchors: Anchors,
    out: Out,
    asking: Asking,
    reaching: Reaching,
    accept: Annotated[int | None, typer.Option("-n", "--accept", help="Stop when N rows are accepted.")] = None,
    max_candidates: Annotated[
        int | None, typer.Option("--max-candidates", help="… or after this many candidates (default 4 N).")
    ] = None,
    limit: Limit = None,
    engine: Annotated[str, typer.Option("--engine", help="local (this process).")] = "local",
    collapse: Annotated[
        str,
        typer.Option(
            "--collapse", help="Warn when diversity collapses: near_dup=0.5,distinct_2=0.02,kept=0 (defaults)."
        ),
    ] = "",
    stop_on_collapse: Annotated[
        bool, typer.Option("--stop-on-collapse", help="… and stop, everything kept (exit 3).")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the anchors, show the first prompts, buy nothing.")
    ] = False,
    until: Annotated[
        str,
        typer.Option(
            "--until",
            help='Of several recipes (RECIPE,RECIPE): slices where they add most, until e.g. "gain_per_dollar < 0.5" (gain_per_token, …).',
        ),
    ] = "",
    slice: Annotated[int, typer.Option("--slice", help="… groups of a slice.")] = 20,
    target: Annotated[
        str | None, typer.Option("--target", help="… held-out real text (else anchors are held out in turn).")
    ] = None,
    replace: Replace = False,
    ask_again: Annotated[
        bool,
        typer.Option(
            "--ask-again", help="Ask again also what a server refused for good (moderation) or answered with nothing."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a data set. The same command again resumes; with more anchors it buys only what is new.

    --json prints what run.json holds, also where it stopped short (3, 5).

    Several recipes with --until "gain_per_dollar < X" (gain, or another gain of the meter, such as target_fit; per dollar, token or row): each has a run of its own in the folder, and
    each further slice goes where the last one added most for its price, by the lower end of its interval. It ends where none is shown to add that much, or all is made (0), or at
    --max-cost of all together (3). The same command goes on, also with another limit, --slice or recipe more; other settings are refused or asked about (2),
    and --replace lets the slices begin anew. --json then prints what slices.json holds: {"asked", "why", "gain", "unit", "slices": [{"recipe", "groups", "kept", "dollars", "tokens", "gain", "low", "high",
    "documents", "note"}], "runs": {recipe: folder}, "readings", "cost_usd"}.

    Example: synthgain generate entigraph docs/ -o runs/first -m openai/my-model --base-url http://localhost:8000/v1
    """
    from synthgain import api
    from synthgain.types import SynthgainError

    if engine != "local":
        raise SynthgainError(f"there is no engine {engine!r} yet", next="leave --engine out: this process drafts")
    asked = {**asking.options(), "reach": reaching.reach()}
    if dry_run:
        _dry_run(recipe, anchors, asked, limit)
        return
    if until:
        _not_with_until(
            {
                "--accept": accept is not None,
                "--max-candidates": max_candidates is not None,
                "--limit": limit is not None,
                "--collapse": bool(collapse),
                "--stop-on-collapse": stop_on_collapse,
                "--ask-again": ask_again,
            }
        )
        asked |= {"until": until, "slice": slice, "target": target}
        _until(recipe, anchors, out, asked, replace, as_json)
        return
    if target is not None:
        raise SynthgainError(
            "--target is for --until", where="--target", next="measure with it: synthgain measure RUN --target …"
        )

    def made(replace: bool) -> Any:
        return watched(
            lambda watch: api.generate(
                recipe,
                anchors,
                out=out,
                accept=accept,
                max_candidates=max_candidates,
                limit=limit,
                collapse=collapse,
                stop_on_collapse=stop_on_collapse,
                replace=replace,
                ask_again=ask_again,
                watch=watch,
                **asked,
            )
        )

    try:
        run = _asking_first(made, replace)
    except SynthgainError as error:
        if as_json and error.code in (3, 5):  # stopped short, with everything kept: what there is
            print_json(api.record(out))
        elif error.code in (3, 4, 5):
            print_broken(api.broken(out))
        raise
    print_close(run.record, run.path, as_json)
    print_broken(api.broken(run.path))
    if (empty := api.nothing_kept(run.path)) is not None:
        raise empty  # a script must not go on with nothing


def _asking_first(made: Callable[[bool], T], replace: bool) -> T:
    """The run; where rows of another request would go, whoever sits at a terminal is asked, and nobody else's rows are replaced."""
    from synthgain.types import AnotherRequest

    try:
        return made(replace)
    except AnotherRequest as error:
        after = "give another folder with -o, or replace what is there: --replace"
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise AnotherRequest(error.what, where=error.where, next=after) from error
        say(f"{error.where}: {error.what}.")
        if not typer.confirm("Replace them?", err=True):
            raise AnotherRequest("nothing was changed", where=error.where, next=after) from error
    return made(True)


def _not_with_until(given: Mapping[str, bool]) -> None:
    """SynthgainError for an option that slices do not have, rather than leaving it out without a word."""
    for option in (name for name, is_given in given.items() if is_given):
        from synthgain.types import SynthgainError

        raise SynthgainError(
            f"{option} does not go with --until",
            where=option,
            next="leave it out: --slice N says how many groups are bought at a time, --max-cost how much in all",
        )


def _until(recipes: str, anchors: str, out: Path, asked: dict[str, Any], replace: bool, as_json: bool) -> None:
    from synthgain import api
    from synthgain.report.live import Live

    names = [name for name in recipes.split(",") if name]

    def panel() -> Live:
        return Live(sys.stderr, mode="log")

    def made(replace: bool) -> dict[str, Any]:
        return api.allocate(names, anchors, out=out, replace=replace, say=say, panel=panel, **asked)

    result = _asking_first(made, replace)
    if as_json:
        print_json(result)
        return
    print_rows(
        ("recipe", "groups", "kept rows more", "tokens", "cost", "gain of its rows", ""),
        [
            (
                step["recipe"],
                f"{step['groups']:,}",
                f"{step['kept']:,}",
                f"{step['tokens']:,}",
                money(step["dollars"]),
                "-" if step["gain"] is None else interval(step["gain"], step["low"], step["high"], signed=True),
                step["note"],
            )
            for step in result["slices"]
        ],
    )
    print(f"Stopped: {result['why']}.")
    for name, run in result["runs"].items():
        print(f"{name}: {run}")


def _dry_run(recipe: str, anchors: str, asked: dict[str, Any], limit: int | None) -> None:
    from synthgain.api.trying import first_prompts
    from synthgain.types import singly

    ask, n, prompts = first_prompts(recipe, anchors, limit=min(limit or 3, 3), **asked)
    groups = f"{n:,} groups" if ask.recipe.pick is singly else "groups by its own pick"
    print(f"{n:,} anchors in {groups}; {ask.recipe.name} costs {ask.recipe.calls}.")
    print(
        f"roles: {', '.join(f'{role}={model.uri}' for role, model in ask.request.models.items())}; "
        f"checks: {', '.join(c.name for c in ask.checks) or 'none'}"
    )
    for anchor, prompt in prompts:
        print("=" * 100 + f"\nfirst prompt of {shown(anchor.source)}")
        for message in prompt.messages:
            print(f"--- {message['role']}\n{shown(message['content'], 3000)}")
    print("Nothing was bought.")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run, or a student folder (--to gguf).")],
    to: Annotated[
        str,
        typer.Option(
            "--to", help="chat, alpaca, sharegpt, openai, prompt-completion, preference, text, questions; calls; gguf."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="A .jsonl or .parquet file (.jsonl.gz of calls, .gguf of a student)."),
    ] = None,
    all: Annotated[
        bool,
        typer.Option("--all", help="Of calls: all that were ever bought, not only those that the rows were made with."),
    ] = False,
) -> None:
    """Write kept rows as trainers read them, a run's calls for `generate --calls`, or a student as GGUF.

    Example: synthgain export runs/first --to sharegpt -o first.jsonl
    """
    from synthgain import api

    file, came = api.export(run, to=to, out=out, all=all)
    if to == "gguf":
        print(file)
        return
    if to == "calls":
        print_calls_written(file, came)
        return
    said = [f"{came.written:,} rows"]
    if came.unpaired:
        said.append(f"{came.unpaired:,} kept rows have no worse answer beside them and were left out")
    said += [f"of {n:,} rows this format does not hold {what}" for what, n in came.lost.items()]
    if came.fields:
        named = ", ".join(list(came.fields)[:12]) + (
            f" and {len(came.fields) - 12} more" if len(came.fields) > 12 else ""
        )
        said.append(f"its rows' fields are not written ({named}): {run / 'data'} has them")
    print(f"{file}: {'; '.join(said)}")


@app.command()
def push(
    run: Path,
    repo: Annotated[str, typer.Argument(help="OWNER/NAME")],
    public: Annotated[bool, typer.Option("--public", help="Default: private.")] = False,
) -> None:
    """Upload the data set and its card to a hub (HF_TOKEN, HF_ENDPOINT).

    Example: synthgain push runs/first me/first
    """
    from synthgain import api

    print(api.push(run, repo, private=not public))
