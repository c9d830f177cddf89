"""The only reader of arguments: a thin skin over `synthgain.api`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from synthgain.models import Reach
    from synthgain.types import Reading

app = typer.Typer(
    name="synthgain", no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Make synthetic training data for language models, and know what it adds.",
)  # fmt: skip

# ---------------------------------------------------------------------------------------------- options that commands share

Anchors = Annotated[
    str,
    typer.Argument(
        help="A file or folder (.txt .md .jsonl .jsonl.gz .json .csv .parquet), a data set on disk, hf://…, or a run."
    ),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")]
Models = Annotated[
    list[str] | None, typer.Option("-m", "--model", help="[ROLE=]URI, repeatable: local/…, openai/…, hf/…, scripted/…")
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="KNOB=VALUE, repeatable (see `synthgain recipes NAME`).")]
Withs = Annotated[
    list[str] | None, typer.Option("--with", help="Add a check, repeatable: a name, NAME=VALUE, or a .py file.")
]
Withouts = Annotated[
    list[str] | None, typer.Option("--without", help="Leave a check out, repeatable (`all` leaves out every one).")
]
TextField = Annotated[str | None, typer.Option("--text-field", help="The column that holds the text.")]
IdField = Annotated[str | None, typer.Option("--id-field", help="The column that names a row.")]
Seed = Annotated[int, typer.Option("--seed", help="Another seed buys other answers.")]
Limit = Annotated[int | None, typer.Option("--limit", help="Only the first N groups of anchors.")]
BaseUrl = Annotated[str, typer.Option("--base-url", help="The OpenAI-compatible server (else OPENAI_BASE_URL).")]
ServedAs = Annotated[str, typer.Option("--served-as", help="A label that stands for the server's URL in identities.")]
PriceOption = Annotated[str, typer.Option("--price", help="IN,OUT in USD per million tokens.")]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", help="Calls in flight at the start (default: adaptive).")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def _reach(base_url: str, served_as: str, price: str, concurrency: int | None) -> Reach:
    from synthgain.api.making import sensible
    from synthgain.models import Reach

    sensible(concurrency=concurrency)
    return Reach(base_url=base_url, served_as=served_as, price=price, concurrency=concurrency)


def _models(given: Sequence[str] | None) -> dict[str, str]:
    """-m options by role ("" is every role not named). A role stands before "=", a URI's kind before "/"."""
    from synthgain.api.making import DEFAULT_MODEL

    found: dict[str, str] = {}
    for text in given or [DEFAULT_MODEL]:
        before, equals, after = text.partition("=")
        role, uri = (before, after) if equals and "/" not in before else ("", text)
        found[role] = uri
    return found


def _knobs(given: Sequence[str] | None) -> dict[str, str]:
    from synthgain.types import SynthgainError

    found: dict[str, str] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise SynthgainError(f"--set needs KNOB=VALUE, not {text!r}", next="see the knobs: synthgain recipes NAME")
        found[name.strip().replace("-", "_")] = value
    return found


def _command() -> str:
    return shlex.join(["synthgain", *sys.argv[1:]])


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False, default=str))


def _watched(work: Callable[[Any], Any]) -> Any:
    """Run `work(watch)` under the live panel."""
    from synthgain.report.live import Live

    with Live(sys.stderr) as live:
        return work(live)


def _table(readings: Sequence[Reading], title: str = "") -> None:
    """Readings for people, on standard output."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("figure", "value", "interval", "unit", "n", "note"):
        table.add_column(name, justify="right" if name in ("value", "n") else "left", overflow="fold")
    for r in readings:
        value = "-" if r.value is None else f"{r.value:.4g}"
        interval = "" if r.low is None or r.high is None else f"[{r.low:.3g}, {r.high:.3g}]"
        table.add_row(r.name, value, escape(interval), r.unit, f"{r.n:,}" if r.n else "", escape(r.note))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


# ---------------------------------------------------------------------------------------------- recipes


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="A shipped name or a .py file.")] = None, as_json: Json = False
) -> None:
    """List the recipes; with a name, its knobs and where each number comes from.

    Example: synthgain recipes entigraph
    """
    from dataclasses import fields, is_dataclass

    from synthgain import recipes as room

    chosen = [room.load(name)] if name else [room.load(n) for n in room.names()]
    described = [
        {
            "name": r.name, "version": r.version, "stage": r.stage, "source": r.source, "anchors": r.anchors, "calls": r.calls,
            "roles": list(r.roles), "checks": [c.name for c in r.checks], "departures": list(r.departures),
            "knobs": [
                {"name": f.name, "default": getattr(r.draft, f.name), "source": r.sources.get(f.name, "")} for f in fields(r.draft)
            ] if is_dataclass(r.draft) else [],
        } for r in chosen
    ]  # fmt: skip
    if as_json:
        _print_json({"recipes": described})
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
    as_json: Json = False,
) -> None:
    """Ask a model one small thing: is it there, what does it give?

    Example: synthgain check local/smollm2-135m
    """
    from dataclasses import asdict

    from synthgain import api

    info, call = api.check(uri, _reach(base_url, "", "", None))
    told = {
        **asdict(info),
        "answer": call.text,
        "tokens_in": call.tokens_in,
        "tokens_out": call.tokens_out,
        "law": call.law,
        "seconds": call.seconds,
    }
    if as_json:
        _print_json(told)
        return
    unknown = {None: "not known", True: "yes", False: "no"}
    for key, value in told.items():
        print(f"{key:>12}  {unknown.get(value, value) if value is None or isinstance(value, bool) else value}")


# ---------------------------------------------------------------------------------------------- making


@app.command()
def preview(recipe: str, anchors: Anchors, out: Annotated[Path | None, typer.Option("-o", "--out", help="Where the calls are kept.")] = None,
            limit: Limit = 3, model: Models = None, set_: Sets = None, with_: Withs = None, without: Withouts = None,
            text_field: TextField = None, id_field: IdField = None, seed: Seed = 0, base_url: BaseUrl = "", served_as: ServedAs = "",
            price: PriceOption = "", concurrency: Concurrency = None, as_json: Json = False) -> None:  # fmt: skip
    """Real prompts, answers and verdicts for a few groups, and an estimate for all.

    Example: synthgain preview rephrase docs/ --limit 2
    """
    from synthgain import api

    folder = out or Path("runs") / f"preview-{Path(recipe).stem}"
    seen = _watched(
        lambda watch: api.preview(
            recipe,
            anchors,
            out=folder,
            limit=3 if limit is None else limit,
            model=_models(model),
            knobs=_knobs(set_),
            with_=with_ or (),
            without=without or (),
            text_field=text_field,
            id_field=id_field,
            seed=seed,
            reach=_reach(base_url, served_as, price, concurrency),
            watch=watch,
            command=_command(),
        )  # fmt: skip
    )
    ids = [id for shard in seen.run.shards(["id"]) for id in shard.column("id").to_pylist()]
    shown = [api.trace(seen.run, id) for id in ids[:6]]
    if as_json:
        _print_json(
            {"groups": seen.groups, "groups_total": seen.groups_total, "estimate": dict(seen.estimate), "rows": shown}
        )
        return
    for life in shown:
        _print_life(life)
    print(f"{len(ids)} rows from {seen.groups} of {seen.groups_total} groups. All of them would take about:")
    for key, value in seen.estimate.items():
        print(f"  {key:>10}  {'not known' if value is None else f'{value:,.4g}' if value < 1000 else f'{value:,.0f}'}")
    print(f"The calls are kept in {folder}; `synthgain generate … -o {folder}` uses them.")


def _print_life(life: dict[str, Any]) -> None:
    """One row's life for people. Text is printed as it is, without markup; control characters are shown, not sent."""

    def plain(text: str, most: int = 1500) -> str:
        shown = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
        return shown if len(shown) <= most else f"{shown[:most]} … ({len(shown):,} characters)"

    row = life["row"]
    print("=" * 100)
    print(f"row {row['id']}  {row['outcome']}" + (f" by {row['check']}: {row['reason']}" if row["check"] else ""))
    for anchor in life["anchors"]:
        print(f"--- anchor {anchor['source']}\n{plain(anchor['text'], 400)}")
    for call in life["calls"]:
        for message in call["prompt"]["messages"]:
            print(f"--- to {call['model']}, {message['role']}\n{plain(message['content'])}")
        print(
            f"--- answer ({call['tokens_in']} → {call['tokens_out']} tokens, {call['finish']})\n{plain(call['text'])}"
        )
    print("--- row\n" + plain(row["text"] or "\n".join(f"{m['role']}: {m['content']}" for m in row["messages"] or [])))


@app.command()
def generate(recipe: str, anchors: Anchors, out: Out, model: Models = None, set_: Sets = None, with_: Withs = None, without: Withouts = None,
             accept: Annotated[int | None, typer.Option("-n", "--accept", help="Stop when N rows are accepted.")] = None,
             max_candidates: Annotated[int | None, typer.Option("--max-candidates", help="… or after this many candidates (default 4 N).")] = None,
             limit: Limit = None, text_field: TextField = None, id_field: IdField = None, seed: Seed = 0,
             base_url: BaseUrl = "", served_as: ServedAs = "", price: PriceOption = "", concurrency: Concurrency = None,
             max_cost: Annotated[float | None, typer.Option("--max-cost", help="Stop before the data set costs more USD.")] = None,
             max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Stop before it takes more tokens, in and out.")] = None,
             engine: Annotated[str, typer.Option("--engine", help="local (this process).")] = "local",
             dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the anchors, show the first prompts, buy nothing.")] = False,
             yes: Annotated[bool, typer.Option("--yes", help="Never ask.")] = False, as_json: Json = False) -> None:  # fmt: skip
    """Make a data set. The same command again resumes; with more anchors it buys only what is new.

    Example: synthgain generate entigraph docs/ -o runs/first -m openai/my-model --base-url http://localhost:8000/v1
    """
    from synthgain import api
    from synthgain.types import SynthgainError

    if engine != "local":
        raise SynthgainError(f"there is no engine {engine!r} yet", next="leave --engine out: this process drafts")
    asked: dict[str, Any] = dict(
        model=_models(model),
        knobs=_knobs(set_),
        with_=with_ or (),
        without=without or (),
        text_field=text_field,
        id_field=id_field,
    )
    if dry_run:
        _dry_run(recipe, anchors, asked, limit)
        return
    run = _watched(
        lambda watch: api.generate(
            recipe,
            anchors,
            out=out,
            accept=accept,
            max_candidates=max_candidates,
            limit=limit,
            seed=seed,
            max_cost=max_cost,
            max_tokens=max_tokens,
            reach=_reach(base_url, served_as, price, concurrency),
            watch=watch,
            command=_command(),
            **asked,
        )  # fmt: skip
    )
    _close(run.record, run.path, as_json)


def _dry_run(recipe: str, anchors: str, asked: dict[str, Any], limit: int | None) -> None:
    from synthgain.api.making import first_prompts, planned

    plan = planned(recipe, anchors, **asked)
    groups = sum(1 for _ in plan.recipe.pick(plan.anchors))
    print(f"{len(plan.anchors):,} anchors in {groups:,} groups; {plan.recipe.name} costs {plan.recipe.calls}.")
    print(
        f"roles: {', '.join(f'{role}={model}' for role, model in plan.models.items())}; checks: {', '.join(c.name for c in plan.checks) or 'none'}"
    )
    for anchor, prompt in first_prompts(plan, min(limit or 3, 3)):
        print("=" * 100 + f"\nfirst prompt of {anchor.source}")
        for message in prompt.messages:
            print(f"--- {message['role']}\n{message['content'][:3000]}")
    print("Nothing was bought.")


def _close(record: dict[str, Any], path: Path, as_json: bool) -> None:
    if as_json:
        _print_json(record)
        return
    c, fell = record["counts"], ", ".join(f"{n:,} {name}" for name, n in record["dropped_by"].items())
    cost = "no price known" if record["cost_usd"] is None else f"${record['cost_usd']:.4f}"
    print(
        f"{c['kept']:,} rows kept of {c['rows']:,}"
        + (f" (dropped: {fell})" if fell else "")
        + (f"; {c['broken']:,} broken" if c["broken"] else "")
    )
    print(
        f"{c['calls_bought']:,} calls bought, {c['calls_reused']:,} reused; {record['tokens']['in']:,} tokens in, {record['tokens']['out']:,} out; {cost}; {record['seconds']:.1f} s"
    )
    print(f"data: {path / 'data'}")


@app.command()
def curate(run: Path, with_: Withs = None, without: Withouts = None, set_: Sets = None,
           accept: Annotated[int | None, typer.Option("-n", "--accept", help="Keep the first N accepted.")] = None, as_json: Json = False) -> None:  # fmt: skip
    """Judge a run again with other checks, buying nothing.

    Example: synthgain curate runs/first --with near-duplicate --without truncated
    """
    from synthgain import api

    done = _watched(
        lambda watch: api.curate(
            run, with_=with_ or (), without=without or (), knobs=_knobs(set_), accept=accept, watch=watch
        )
    )
    _close(done.record, done.path, as_json)


# ---------------------------------------------------------------------------------------------- looking


@app.command()
def measure(run: Path, seed: Seed = 0, as_json: Json = False) -> None:
    """The first figures of a run, with intervals.

    Example: synthgain measure runs/first --json
    """
    from synthgain import api

    readings = api.measure(run, seed=seed)
    if as_json:
        _print_json({"readings": [r.json() for r in readings]})
    else:
        _table(readings)


@app.command()
def trace(run: Path, row: str, as_json: Json = False) -> None:
    """One row's whole life: anchors, prompts, answers, verdicts, cost.

    Example: synthgain trace runs/first 3f9a
    """
    from synthgain import api

    life = api.trace(run, row)
    if as_json:
        _print_json(life)
    else:
        _print_life(life)
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


# ---------------------------------------------------------------------------------------------- teaching

Base = Annotated[str, typer.Option("--base", help="What the student starts from: local/… or hf/PATH.")]


@app.command()
def train(
    source: Annotated[str, typer.Argument(help="A run (its kept rows), or anchors (plain text).")],
    out: Out,
    base: Base = "local/smollm2-135m",
    method: Annotated[
        str | None, typer.Option("--method", help="sft (chats, loss on answers) or cpt (text); the rows decide.")
    ] = None,
    adapter: Annotated[str, typer.Option("--adapter", help="full or lora (merged at the end).")] = "full",
    epochs: Annotated[float, typer.Option("--epochs")] = 3,
    max_steps: Annotated[int | None, typer.Option("--max-steps", help="Optimiser steps, instead of epochs.")] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", help="Tokens read, instead of epochs.")] = None,
    learning_rate: Annotated[float, typer.Option("--learning-rate")] = 1e-4,
    batch: Annotated[int, typer.Option("--batch", help="Examples an optimiser step.")] = 8,
    length: Annotated[int, typer.Option("--length", help="Tokens of the longest example, or of a block.")] = 512,
    replay: Annotated[
        str | None, typer.Option("--replay", help="A file of general text, or `self`: text that the base samples.")
    ] = None,
    replay_share: Annotated[float, typer.Option("--replay-share", help="Share of places that replay takes.")] = 0.1,
    text_field: TextField = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a student on a run's kept rows or on plain text.

    Example: synthgain train runs/first -o students/first --method cpt --replay general.txt
    """
    from synthgain import api

    student = api.train(
        source, out=out, base=base, method=method, adapter=adapter, epochs=epochs, max_steps=max_steps, tokens=tokens, batch=batch,
        learning_rate=learning_rate, length=length, replay=replay, replay_share=replay_share, text_field=text_field, seed=seed,
        watch=_steps,
    )  # fmt: skip
    record = json.loads((student / "student.json").read_text("utf-8"))
    if as_json:
        _print_json(record)
        return
    print(
        f"{student}: {record['rows']} rows, {record['steps']} steps, {record['tokens_seen']:,} tokens, {record['seconds']:.0f} s"
    )
    print(f"use it: -m hf/{student}, or synthgain export {student} --to gguf")


def _steps(step: int, steps: int, loss: float) -> None:
    if step in (1, steps) or step % 10 == 0:
        _say(f"step {step}/{steps}, loss {loss:.3f}")


@app.command()
def evaluate(
    student: Annotated[str, typer.Argument(help="A student folder, or any model's URI.")],
    on: Annotated[Path, typer.Option("--on", help="Questions: JSONL with an answer, or with options and gold.")],
    draws: Annotated[int, typer.Option("--draws", help="Answers a question (verifiable questions).")] = 4,
    temperature: Annotated[float, typer.Option("--temperature", help="0 is greedy.")] = 0.7,
    max_tokens: Annotated[int, typer.Option("--max-tokens")] = 256,
    general: Annotated[
        Path | None, typer.Option("--general", help="General text: also measure what was forgotten.")
    ] = None,
    against: Annotated[
        str, typer.Option("--against", help="The model it is compared with for that.")
    ] = "local/smollm2-135m",
    answers: Annotated[
        Path | None, typer.Option("--answers", help="Where answers are remembered (default: beside the student).")
    ] = None,
    base_url: BaseUrl = "",
    as_json: Json = False,
) -> None:
    """Evaluate a student: questions checked by rule, or closed-book multiple choice.

    Example: synthgain evaluate students/first --on questions.jsonl --general wiki.txt
    """
    from synthgain import api
    from synthgain.api.teaching import Examination
    from synthgain.types import Sampling

    how = Examination(draws=draws, sampling=Sampling(temperature=temperature, max_tokens=max_tokens))
    readings = _watched(
        lambda watch: api.evaluate(
            student,
            on=on,
            answers=answers,
            examination=how,
            general=general,
            against=against,
            reach=_reach(base_url, "", "", None),
            watch=watch,
        )
    )
    if as_json:
        _print_json({"readings": [r.json() for r in readings]})
    else:
        _table(readings)


@app.command()
def loop(
    recipe: str,
    anchors: Anchors,
    out: Out,
    on: Annotated[Path, typer.Option("--on", help="Questions that share nothing with the anchors.")],
    rounds: Annotated[int, typer.Option("--rounds")] = 1,
    model: Annotated[
        str, typer.Option("-m", "--model", help="The first writer and the students' base.")
    ] = "local/smollm2-135m",
    train_from: Annotated[str, typer.Option("--train-from", help="base (as STaR, RFT, ReST-EM) or previous.")] = "base",
    max_steps: Annotated[int, typer.Option("--max-steps", help="Optimiser steps of every arm.")] = 45,
    learning_rate: Annotated[float, typer.Option("--learning-rate")] = 1e-4,
    batch: Annotated[int, typer.Option("--batch")] = 8,
    draws: Annotated[int, typer.Option("--draws", help="Answers a question in evaluation.")] = 4,
    limit: Limit = None,
    set_: Sets = None,
    with_: Withs = None,
    without: Withouts = None,
    text_field: TextField = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Rounds of generate, curate, train and evaluate, against matched arms.

    Example: synthgain loop rft problems.jsonl -o runs/loop --on test.jsonl --rounds 2 --set k=8
    """
    from synthgain import api
    from synthgain.api.teaching import Examination
    from synthgain.report.live import Live

    result = api.loop(
        recipe, anchors, out=out, on=on, rounds=rounds, model=model, train_from=train_from, examination=Examination(draws=draws),
        settings={"max_steps": max_steps, "learning_rate": learning_rate, "batch": batch}, knobs=_knobs(set_), with_=with_ or (),
        without=without or (), limit=limit, text_field=text_field, seed=seed, panel=Live,
    )  # fmt: skip
    _print_json(result) if as_json else _print_arms(result, out)


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Default: runs/demo.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="Go on from the student, which writes the next round.")] = 1,
    documents: Annotated[bool, typer.Option("--documents", help="The second demo: eight invented documents.")] = False,
    model: Annotated[str, typer.Option("-m", "--model", help="The writer of the second demo.")] = "local/smollm2-135m",
    base_url: BaseUrl = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """The main job, for real: a small model writes, checks decide, students are trained and compared.

    Example: synthgain demo -o runs/demo
    """
    from synthgain import api
    from synthgain.report.live import Live

    folder = out or Path("runs") / ("demo-documents" if documents else "demo")
    if documents:
        result = api.demo_documents(folder, seed=seed, model=model, reach=_reach(base_url, "", "", None), panel=Live)
    else:
        result = api.demo(folder, rounds=rounds, seed=seed, panel=Live)
    _print_json(result) if as_json else _print_arms(result, folder)


def _print_arms(result: dict[str, Any], folder: Path) -> None:
    from synthgain.types import Reading

    print(f"{'arm':<16}{'rows':>6}{'tokens':>9}  accuracy")
    for arm in result["arms"]:
        found = [Reading.read(r) for r in arm["readings"] if r["name"] == "accuracy"]
        print(
            f"{arm['name']:<16}{arm['rows']:>6}{arm['tokens']:>9,}  {_interval(found[0]) if found else 'not measured'}"
        )
    for d in result.get("differences", []):
        print(_sentence(d))
    for line in filter(None, [result.get("note")]):
        print(line)
    print(f"report: {folder / 'report.html'}")


def _interval(r: Reading) -> str:
    if r.value is None:
        return f"not measured: {r.note}"
    return (
        f"{r.value:.2f}"
        + ("" if r.low is None or r.high is None else f" [{r.low:.2f}, {r.high:.2f}]")
        + f"  (n = {r.n})"
    )


def _sentence(d: dict[str, Any]) -> str:
    """ "A beats B by x [low, high]", or that they cannot be told apart."""
    if d["value"] is None:
        return f"{d['a']} against {d['b']}: not measured ({d['note']})"
    by = f"{abs(d['value']):.2f} [{min(abs(d['low']), abs(d['high'])):.2f}, {max(abs(d['low']), abs(d['high'])):.2f}]"
    if d["low"] > 0:
        return f"{d['a']} beats {d['b']} by {by}."
    if d["high"] < 0:
        return f"{d['b']} beats {d['a']} by {by}."
    return f"{d['a']} and {d['b']} cannot be told apart here: difference {d['value']:+.2f} [{d['low']:+.2f}, {d['high']:+.2f}]."


# ---------------------------------------------------------------------------------------------- giving away


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run, or a student folder (--to gguf).")],
    to: Annotated[
        str, typer.Option("--to", help="chat, alpaca, sharegpt, openai, prompt-completion, preference, text; gguf.")
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A .jsonl or .parquet file (.gguf for a student).")
    ] = None,
) -> None:
    """Write kept rows as trainers read them, or a student as GGUF.

    Example: synthgain export runs/first --to sharegpt -o first.jsonl
    """
    from synthgain import api

    file, written, left = api.export(run, to=to, out=out)
    print(
        f"{file}"
        + ("" if to == "gguf" else f": {written:,} rows")
        + (f"; {left:,} kept rows have no fallen partner and were left out" if left else "")
    )


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


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"synthgain {version('synthgain')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The console script: every error a person can act on is said in words, with its exit code."""
    from synthgain.types import SynthgainError

    try:
        app(standalone_mode=False)
        sys.stdout.flush()
    except SynthgainError as error:
        _say(f"synthgain: {error}")
        raise SystemExit(error.code) from None
    except KeyboardInterrupt:
        _say(f"synthgain: interrupted; everything bought is kept. To go on: {_command()}")
        raise SystemExit(130) from None
    except BrokenPipeError:
        _unheard()
    except SystemExit as end:  # the parser ends so where standard output was closed
        if isinstance(end.__context__, BrokenPipeError):
            _unheard()
        raise
    except Exception as error:
        _exit_for(error)


def _unheard() -> None:
    """Whoever read standard output went away (`| head -1`): that is no fault."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise SystemExit(0) from None


def _exit_for(error: Exception) -> None:
    import traceback

    show = getattr(error, "show", None)
    if callable(show):  # bad usage, in the parser's own words
        show()
        raise SystemExit(2) from None
    if isinstance(error, typer.Exit):
        raise SystemExit(error.exit_code) from None
    if isinstance(error, typer.Abort):
        raise SystemExit(130) from None
    traceback.print_exception(error)
    _say(
        "synthgain: this is a fault of ours. Please report it with the lines above: see CONTRIBUTING.md, “Reporting a fault”."
    )
    raise SystemExit(1) from None
