"""Commands that train and compare: train, evaluate, loop, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthgain.cli.arguments import (
    Anchors,
    BaseUrl,
    Calls,
    CallsOnly,
    IdField,
    Json,
    Limit,
    ModelOptions,
    Out,
    Reaching,
    Replace,
    Seed,
    Sets,
    Strict,
    TextField,
    Withouts,
    Withs,
    app,
    knobs,
    models_by_role,
    reach,
    shared,
    short_of,
    watched,
)
from synthgain.cli.printing import print_arms, print_json, print_readings, say

MARKS = "BEGIN END"
METHODS = "sft (chats, loss on answers), cpt (text) or dpo (preference pairs); the rows decide."
AnswerTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        help="Tokens of one answer at most (default: twice the longest answer that is known of, 256 at least).",
    ),
]
On = Annotated[
    Path,
    typer.Option(
        "--on",
        help='Questions, one a line: {"id", "question", "answer"} or {"id", "question", "options", "gold"}; of `evaluate` also preference '
        "pairs (docs/questions.md).",
    ),
]
Learn = Annotated[
    list[str] | None, typer.Option("--learn", help="`reasoning`: what was thought before an answer is learnt too.")
]
Base = Annotated[str, typer.Option("--base", help="What the student starts from: local/… or hf/PATH.")]


@app.command()
def train(
    source: Annotated[str, typer.Argument(help="A run (its kept rows), chats, or anchors (plain text).")],
    out: Out,
    base: Base = "local/smollm2-135m",
    config: Annotated[
        Path | None, typer.Option("--config", help="A model's config.json: start from random weights of this shape.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", help="… with the tokenizer of local/…, hf/PATH or a folder (default: --base's)."),
    ] = None,
    method: Annotated[str | None, typer.Option("--method", help=METHODS)] = None,
    adapter: Annotated[str, typer.Option("--adapter", help="full or lora (merged at the end).")] = "full",
    epochs: Annotated[float, typer.Option("--epochs")] = 3,
    max_steps: Annotated[int | None, typer.Option("--max-steps", help="Optimiser steps, instead of epochs.")] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", help="Tokens read, instead of epochs.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Default 1e-4; of dpo 1e-6.")] = None,
    beta: Annotated[float, typer.Option("--beta", help="Of dpo: how far the student may leave its base.")] = 0.1,
    batch: Annotated[int, typer.Option("--batch", help="Examples an optimiser step.")] = 8,
    length: Annotated[int, typer.Option("--length", help="Tokens of the longest example, or of a block.")] = 512,
    replay: Annotated[
        str | None,
        typer.Option("--replay", help="General text (a file or folder), or `self`: text that the base samples."),
    ] = None,
    replay_texts: Annotated[int, typer.Option("--replay-texts", help="Texts that `--replay self` samples.")] = 32,
    replay_mode: Annotated[
        str, typer.Option("--replay-mode", help="substitute (in place of rows) or add (besides them).")
    ] = "substitute",
    replay_share: Annotated[float, typer.Option("--replay-share", help="Share of places that replay takes.")] = 0.1,
    hold_out: Annotated[
        float, typer.Option("--hold-out", help="Share of rows not learnt, by prompt, for the measures after training.")
    ] = 0.1,
    learn: Learn = None,
    minutes: Annotated[
        float, typer.Option("--checkpoint-minutes", help="Between checkpoints: the same command goes on from the last.")
    ] = 10,
    text_field: TextField = None,
    strict: Strict = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a student on a run's kept rows, on chats, preference pairs or plain text.

    Rows are read as our own, OpenAI's files, ShareGPT, Alpaca and TRL's have them, and say how they are learnt: chats by sft, texts
    by cpt, chosen and rejected answers by dpo. --text-field learns that column as text.

    Example: synthgain train runs/first -o students/first --method cpt --replay general.txt
    """
    from synthgain import api
    from synthgain.api.training import came_of

    student = api.train(
        source,
        out=out,
        base=base,
        config=config,
        tokenizer=tokenizer,
        method=method,  # type: ignore[arg-type]
        adapter=adapter,
        epochs=epochs,
        max_steps=max_steps,
        tokens=tokens,
        batch=batch,
        learning_rate=learning_rate,
        length=length,
        replay=replay,
        replay_texts=replay_texts,
        replay_share=replay_share,
        replay_mode=replay_mode,
        text_field=text_field,
        seed=seed,
        hold_out=hold_out,
        beta=beta,
        learn_reasoning=_learns_reasoning(learn),
        minutes=minutes,
        strict=strict,
        watch=_steps,
        say=say,
    )
    if as_json:
        print_json(api.record(student))
        return
    print(f"{student}: {came_of(student)}")
    print(f"use it: -m hf/{student}, or synthgain export {student} --to gguf")


def _learns_reasoning(learn: list[str] | None) -> bool:
    from synthgain.types import SynthgainError

    for word in learn or ():
        if word not in ("answers", "reasoning"):
            raise SynthgainError(f"--learn knows no {word!r}", next="leave it out, or write --learn reasoning")
    return "reasoning" in (learn or ())


def _steps(step: int, steps: int, loss: float) -> None:
    if step in (1, steps) or step % 10 == 0:
        say(f"step {step}/{steps}, loss {loss:.3f}")


@app.command()
def evaluate(
    student: Annotated[str, typer.Argument(help="A student folder, or any model's URI.")],
    on: Annotated[
        Path | None, typer.Option("--on", help="Questions, one a line (docs/questions.md); or give --task.")
    ] = None,
    task: Annotated[
        list[Path] | None,
        typer.Option("--task", help="A task of lm-evaluation-harness: a YAML file that names local files. Repeatable."),
    ] = None,
    draws: Annotated[int, typer.Option("--draws", help="Answers a question (verifiable questions).")] = 4,
    temperature: Annotated[float, typer.Option("--temperature", help="0 is greedy.")] = 0.7,
    max_tokens: AnswerTokens = None,
    think: Annotated[
        str,
        typer.Option(
            "--think",
            help="Budget forcing: accuracy where the model thinks so many tokens at most, for each of 0,64,256 (verifiable questions).",
        ),
    ] = "",
    think_again: Annotated[
        int,
        typer.Option("--think-again", help='… and goes on with "Wait" so many times where it would end its thinking.'),
    ] = 0,
    think_marks: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--think-marks",
            metavar=MARKS,
            help="… between these marks, where the model was not taught the usual ones, <think> and </think>.",
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", help="Of multiple choice, with the options in sight: letter, generation. Repeatable."),
    ] = None,
    general: Annotated[
        Path | None, typer.Option("--general", help="General text: also measure what was forgotten.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option("--held-out", help="Held-out text: its perplexity, and the loss by a token's place.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="The model it is compared with, where it is named also on the questions or preference pairs (--general: local/smollm2-135m).",
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            "--answers", help="Where answers are remembered (default: beside the student; of a URI, runs/answers)."
        ),
    ] = None,
    base_url: BaseUrl = "",
    as_json: Json = False,
) -> None:
    """Evaluate a student: questions checked by rule, closed-book multiple choice, or preference pairs by log-likelihood.

    Example: synthgain evaluate students/first --on questions.jsonl --general wiki.txt
    """
    from synthgain import api
    from synthgain.api.examining import Examination, budget_forcing

    how = Examination(draws=draws, temperature=temperature, max_tokens=max_tokens)
    budgets = _budgets(think, think_again, think_marks)
    readings = watched(
        lambda watch: api.evaluate(
            student,
            on=on,
            task=task or (),
            answers=answers,
            examination=how,
            think=budget_forcing(budgets, think_again, think_marks) if budgets else (),
            also=also or (),
            general=general,
            held_out=held_out,
            against=against,
            reach=reach(base_url),
            watch=watch,
        )
    )
    print_readings(readings, as_json)


def _budgets(think: str, again: int, marks: tuple[str, str] | None) -> tuple[int, ...]:
    """The numbers of tokens that `--think` names; SynthgainError where it names none and is told how."""
    from synthgain.types import SynthgainError

    if marks and any(mark.startswith("--") for mark in marks):
        raise short_of("--think-marks", 2, MARKS)
    if not think and (again or marks):
        what = f"{'--think-again' if again else '--think-marks'} says how to think, and no budget is named"
        raise SynthgainError(what, where="--think", next="name budgets, such as 0,64,256, or leave both out")
    said = [part.strip() for part in think.split(",")] if think else []
    if not all(part.isascii() and part.isdigit() for part in said):
        raise SynthgainError(
            f"{think!r} are no numbers of tokens", where="--think", next="write synthgain evaluate … --think 0,64,256"
        )
    return tuple(map(int, said))


@app.command()
@shared
def loop(
    recipe: str,
    anchors: Anchors,
    out: Out,
    on: On,
    reaching: Reaching,
    rounds: Annotated[int, typer.Option("--rounds")] = 1,
    model: ModelOptions = None,
    base: Annotated[
        str | None, typer.Option("--base", help="What students start from: local/… or hf/PATH (default: the writer).")
    ] = None,
    method: Annotated[str | None, typer.Option("--method", help=METHODS)] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm", help="A trained arm, repeatable: unfiltered, filtered, repeated, raw (default: the first two)."
        ),
    ] = None,
    train_from: Annotated[str, typer.Option("--train-from", help="base (as STaR, RFT, ReST-EM) or previous.")] = "base",
    patience: Annotated[
        int, typer.Option("--patience", help="Rounds in a row that are not better before the loop ends.")
    ] = 1,
    no_stop: Annotated[
        bool, typer.Option("--no-stop", help="All rounds run, each written by the best student so far.")
    ] = False,
    development: Annotated[
        float,
        typer.Option(
            "--development",
            help="Share of the questions that decides, with --rounds above 1; 0: nothing is decided, each round is written by the last student.",
        ),
    ] = 0.3,
    without_control: Annotated[
        bool, typer.Option("--without-control", help="No arm `one-shot`: as many draws as all rounds, written at once.")
    ] = False,
    max_steps: Annotated[int, typer.Option("--max-steps", help="Optimiser steps of every arm.")] = 45,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Default 1e-4; of dpo 1e-6.")] = None,
    batch: Annotated[int, typer.Option("--batch")] = 8,
    length: Annotated[int, typer.Option("--length", help="Tokens of the longest example, or of a block.")] = 512,
    learn: Learn = None,
    draws: Annotated[int, typer.Option("--draws", help="Answers a question in evaluation.")] = 4,
    max_tokens: AnswerTokens = None,
    limit: Limit = None,
    set_: Sets = None,
    with_: Withs = None,
    without: Withouts = None,
    text_field: TextField = None,
    id_field: IdField = None,
    strict: Strict = False,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", help="Stop before all rounds together cost more USD.")
    ] = None,
    calls: Calls = None,
    calls_only: CallsOnly = False,
    seed: Seed = 0,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Rounds of generate, curate, train and evaluate, against matched arms.

    From the second round on the best student of the arm `filtered` writes; other roles keep their models. A share of the questions decides
    which student is best and when the loop ends (docs/loop.md).

    Example: synthgain loop rft problems.jsonl -o runs/loop --on test.jsonl --rounds 2 --set k=8
    """
    from synthgain import api
    from synthgain.api.examining import Examination
    from synthgain.report.live import Live

    result = api.loop(
        recipe,
        anchors,
        out=out,
        on=on,
        rounds=rounds,
        model=models_by_role(model),
        base=base,
        arms=arm or ("unfiltered", "filtered"),
        method=method,  # type: ignore[arg-type]
        train_from=train_from,
        patience=None if no_stop else patience,
        development=development,
        control=not without_control,
        examination=Examination(draws=draws, max_tokens=max_tokens),
        settings={
            "max_steps": max_steps,
            "learning_rate": learning_rate,
            "batch": batch,
            "length": length,
            "learn_reasoning": _learns_reasoning(learn),
        },
        knobs=knobs(set_),
        with_=with_ or (),
        without=without or (),
        limit=limit,
        text_field=text_field,
        id_field=id_field,
        strict=strict,
        replace=replace,
        calls=calls or (),
        calls_only=calls_only,
        reach=reaching.reach(),
        max_cost=max_cost,
        seed=seed,
        panel=Live,
    )
    print_json(result) if as_json else print_arms(result, out)


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Default: runs/demo.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="Go on from the student, which writes the next round.")] = 1,
    documents: Annotated[bool, typer.Option("--documents", help="The second demo: invented documents.")] = False,
    writer: Annotated[
        str,
        typer.Option(
            "--writer",
            help="A stronger model (an embedded model's name, or a URI): teaches the student too, as the arm `distilled`. With --documents: "
            "who writes about them anew (`local` is the embedded one), instead of recorded calls.",
        ),
    ] = "",
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
        result = api.demo_documents(folder, seed=seed, writer=writer, reach=reach(base_url), panel=Live)
    else:
        result = api.demo(folder, rounds=rounds, seed=seed, writer=writer, reach=reach(base_url), panel=Live)
    print_json(result) if as_json else print_arms(result, folder)
