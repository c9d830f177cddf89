"""Students: train, evaluate, rounds of both, and the demo."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.anchors import load as load_anchors
from synthgain.api.looking import report
from synthgain.api.making import DEFAULT_MODEL, Watch, generate, reach_from_environment
from synthgain.api.measuring import measure, measure_students
from synthgain.chain import Buyer, Desk, Tally
from synthgain.curate.answers import final_answer, same_answer
from synthgain.engines import local
from synthgain.evaluate import Solved, choose, difference, forgetting, load_questions, solve
from synthgain.loop import Plan, Rows, Verbs, run_loop
from synthgain.models import Reach, folder_of, open_model, open_scorer
from synthgain.store import CallMemory, Run, atomic_write
from synthgain.store.run import writing
from synthgain.train import FineTune, read_student, student_record
from synthgain.train.replay import sample as sample_replay
from synthgain.train.replay import write as write_replay
from synthgain.types import Message, Reading, Sampling, SynthgainError, digest

Say = Callable[[str], None]
Panel = Callable[[], AbstractContextManager[Watch]]  # a live panel for one stage


def no_panel() -> AbstractContextManager[Watch]:
    """Nothing is shown."""
    return nullcontext(lambda tally: None)


def to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------- train


def train(
    source: str | Path | Run,
    *,
    out: str | Path,
    base: str = DEFAULT_MODEL,
    method: str | None = None,
    text_field: str | None = None,
    replay: str | Path | None = None,
    replay_texts: int = 32,
    watch: Callable[[int, int, float], None] | None = None,
    **settings: Any,
) -> Path:
    """Train a student on a run's kept rows or on plain anchors; the student's folder.

    `base` is local/… or hf/PATH. `method` is "sft" (chats, loss on answers only) or "cpt" (text);
    without it the rows decide. `replay` is a file of general text, or "self": `replay_texts` texts that
    the base writes from nothing. `settings` are the other fields of `train.FineTune`; `hold_out` (0.1) is the share of rows
    that is not learnt, prompt by prompt, for the measures after training.
    """
    place = Path(out)
    rows = _rows_of(source, place, text_field)
    fine = FineTune(
        base=folder_of(base), method=method or _method(rows), base_uri=base, base_identity=_identity(base), watch=watch, **settings  # type: ignore[arg-type]
    )  # fmt: skip
    return fine(rows, place)


def _rows_of(source: str | Path | Run, out: Path, text_field: str | None) -> Path:
    """Training rows on disk: a run's data, or anchors written as one Parquet file beside the student."""
    folder = source.path if isinstance(source, Run) else Path(source)
    if (folder / "run.json").is_file():
        return Run.at(folder).data
    if folder.suffix == ".parquet" and "messages" in pq.read_schema(folder).names:
        return folder
    anchors = load_anchors(str(source), text_field=text_field)
    file = out.parent / f".{out.name}.anchors.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": [a.id for a in anchors], "text": [a.text for a in anchors]}), file)
    return file


def _own_texts(base: str, n: int, out: Path) -> Path:
    """Replay text that the base itself samples, remembered beside the student."""

    async def work() -> list[str]:
        model = open_model(base, Reach())
        memory = CallMemory(out.parent / f".{out.name}.replay")
        try:
            return await sample_replay(Desk(Buyer({"writer": model}, memory, Tally(label="replay"), lambda _: None)), n)
        finally:
            memory.close()
            await model.aclose()

    return write_replay(local.run(work()), out.parent / f".{out.name}.replay.jsonl")


def _method(rows: Path) -> str:
    file = rows if rows.is_file() else min(rows.glob("*.parquet"), default=None)
    return (
        "sft" if file is not None and file.suffix == ".parquet" and "messages" in pq.read_schema(file).names else "cpt"
    )


def _identity(uri: str) -> str:
    return open_model(uri, Reach()).identity


def gguf_of(student: Path, out: Path | None = None) -> Path:
    """The student as a GGUF file (Q8_0), written once: by default inside its folder."""
    from synthgain.models import gguf, weights

    record = student_record(student)
    file = out or student / "student.gguf"
    if not file.is_file():
        base = record["base"].partition("/")
        gguf.to_gguf(
            student, file, like=weights.find(base[2] if base[0] == "local" else DEFAULT_MODEL.partition("/")[2])
        )
    return file


def usable(student: Path) -> str:
    """The URI that generates with a student: its GGUF in the embedded runtime; transformers where its base was no GGUF."""
    record = read_student(student)
    return f"hf/{student}" if record and str(record["base"]).startswith("hf/") else f"local/{gguf_of(student)}"


# ---------------------------------------------------------------------------------------------- evaluate


@dataclass(frozen=True)
class Examination:
    """How verifiable questions are put: draws a question, the law, and worked examples before it."""

    draws: int = 4
    sampling: Sampling = field(default=Sampling(temperature=0.7, max_tokens=48))
    shots: tuple[Message, ...] = ()


def evaluate(
    student: str | Path,
    *,
    on: str | Path,
    answers: str | Path | None = None,
    examination: Examination | None = None,
    general: str | Path | None = None,
    against: str = DEFAULT_MODEL,
    reach: Reach | None = None,
    watch: Watch | None = None,
) -> list[Reading]:
    """A student's readings on questions (a folder, or any model's URI).

    Verifiable questions ({"question", "answer"}) are answered and checked by rule; multiple choice
    ({"question", "options", "gold"}) is closed-book, by log-likelihood. Answers are remembered in
    `answers`. With `general` text also what was forgotten, against the base.
    """
    questions = load_questions(Path(on))
    if questions and questions[0].options:
        solved = choose(open_scorer(student), questions)
    else:
        uri = str(student) if "/" in str(student) and not Path(student).exists() else usable(Path(student))
        place = Path(answers) if answers else Path("runs") / "answers"
        solved = _solved(uri, questions, examination or Examination(), place, reach_from_environment(reach), watch)
    readings = list(solved.readings)
    if general is not None:
        texts = [a.text for a in load_anchors(str(general))]
        readings.append(forgetting(open_scorer(against), open_scorer(student), texts))
    return readings


def _solved(
    uri: str, questions: Sequence[Any], how: Examination, answers: Path, reach: Reach, watch: Watch | None
) -> Solved:
    """Questions put to a model; its answers are remembered, so that a killed evaluation goes on."""
    tally = Tally(label=f"answers of {uri.rpartition('/')[2]}", groups_total=len(questions) * how.draws)

    def answered(done: int, _: int) -> None:
        tally.groups_done = done

    async def work() -> Solved:
        model = open_model(uri, replace(reach, logprobs=False))
        memory = CallMemory(answers)
        try:
            desk = Desk(Buyer({"student": model, "writer": model}, memory, tally, watch or (lambda _: None)))
            return await solve(
                desk, questions, same_answer, parsable=lambda text: final_answer(text) is not None,
                draws=how.draws, sampling=how.sampling, few_shot=how.shots, watch=answered,
            )  # fmt: skip
        finally:
            memory.close()
            await model.aclose()

    return local.run(work())


# ---------------------------------------------------------------------------------------------- rounds


def loop(
    recipe: str,
    anchors: str | Path | Sequence[Any],
    *,
    out: str | Path,
    on: str | Path,
    rounds: int = 1,
    model: str = DEFAULT_MODEL,
    train_from: str = "base",
    examination: Examination | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    say: Say = to_stderr,
    panel: Panel = no_panel,
    note: str = "",
    **options: Any,
) -> dict[str, Any]:
    """Rounds of generate, curate, train and evaluate into `out`; what arms.json holds.

    Arms: `base`, `base-few-shot` (untrained), `unfiltered` (as many rows as `filtered`, drawn from all
    candidates whatever the checks said), `filtered`. All trained arms get equally many rows and
    optimiser steps. `settings` are `train.FineTune`'s, `options` are `generate`'s.
    """
    place, how = Path(out), examination or Examination()
    questions = load_questions(Path(on))
    plain = replace(how, shots=())
    tuned = dict(settings or {})

    def make(number: int, writer: str, folder: Path) -> Path:
        say(f"Round {number}: {recipe} with {writer}")
        with panel() as watch:
            run = generate(recipe, anchors, out=folder, model=writer, seed=seed, round=number, watch=watch, **options)
        say(_came_of(run.record))
        measure(run)
        return folder

    def learn(rows: Rows, folder: Path, base: str) -> Path:
        say(f"  training {folder.name} on {rows.n} rows")
        student = train(rows.path, out=folder, base=base, method="sft", seed=seed, watch=steps_said(say), **tuned)
        if student_record(student)["held_out"]["pairs"] and not _measured(student):
            measure_students([student], seed=seed)
        return student

    def examine(uri: str, few: bool, folder: Path) -> Solved:
        with panel() as watch:
            return _solved(
                uri, questions, how if few else plain, folder, reach_from_environment(options.get("reach")), watch
            )

    verbs = Verbs(
        generate=make, arms=lambda run, folder: matched(Run(run), folder, seed), train=learn, usable=usable,
        evaluate=examine, difference=difference, say=say, save=atomic_write,
    )  # fmt: skip
    plan = Plan(rounds, model, train_from=train_from, settings={"recipe": recipe, "seed": seed, **tuned}, note=note)  # type: ignore[arg-type]
    with writing(place):
        result = run_loop(plan, verbs, place)
    report(place)
    return result


def _came_of(record: Mapping[str, Any]) -> str:
    c, fell = record["counts"], ", ".join(f"{n} {name}" for name, n in record["dropped_by"].items())
    return f"  {c['kept']} of {c['rows']} answers kept ({fell}); {record['tokens']['out']:,} tokens in {record['seconds']:.0f} s"


def _measured(student: Path) -> bool:
    """Whether a student's readings are newer than the student."""
    file = student / "readings.json"
    return file.is_file() and file.stat().st_mtime >= (student / "student.json").stat().st_mtime


def steps_said(say: Say) -> Callable[[int, int, float], None]:
    def watch(step: int, steps: int, loss: float) -> None:
        if step in (1, steps) or step % 10 == 0:
            say(f"    step {step}/{steps}, loss {loss:.3f}")

    return watch


def matched(run: Run, folder: Path, seed: int) -> dict[str, Rows]:
    """Rows for the trained arms of one run, equally many: the kept ones, and as many drawn without the checks."""
    kept: list[dict[str, Any]] = []
    every: list[dict[str, Any]] = []
    for shard in run.shards(["id", "kept", "messages", "text", "anchor_ids"]):
        for row in shard.to_pylist():
            content = row["text"] if row["messages"] is None else row["messages"][-1]["content"]
            if content.strip():
                every.append(row)
                kept += [row] if row["kept"] else []
    if not kept:
        raise SynthgainError(
            "no row was kept: there is nothing to train on",
            where=str(run.path),
            next="look at the reasons: synthgain report " + str(run.path),
        )
    drawn = random.Random(f"unfiltered {seed}").sample(sorted(every, key=lambda row: digest(row["id"])), len(kept))
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, rows in (("unfiltered", drawn), ("filtered", kept)):
        column = "messages" if rows[0]["messages"] is not None else "text"
        file = folder / f"{name}.parquet"
        columns = ("id", "anchor_ids", column)
        pq.write_table(pa.table({name: [r[name] for r in rows] for name in columns}), file)
        found[name] = Rows(file, len(rows))
    return found
