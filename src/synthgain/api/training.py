"""Students: what they learn from, their training, their weights as others read them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from synthgain.api.asking import DEFAULT_MODEL
from synthgain.api.desk import at_desk
from synthgain.api.learning import rows_of
from synthgain.api.measuring_students import measure_students
from synthgain.api.telling import Say
from synthgain.chain import Desk, Tally
from synthgain.loop import Arm, Rows, Student, Weights
from synthgain.models import Reach, folder_of, open_model, weights_at
from synthgain.store import Run, read_readings, writing
from synthgain.train import FineTune, Scratch, read_student, said_of_rows, student_record
from synthgain.train.replay import sample as sample_replay
from synthgain.train.replay import write as write_replay
from synthgain.types import Method, Reading, SynthgainError

SCRATCH = "scratch"  # what student.json names as the base of random weights


def to_stderr(text: str) -> None:
    """A line for people, beside what a command prints."""
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------- train


def train(
    source: str | Path | Run,
    *,
    out: str | Path,
    base: str = DEFAULT_MODEL,
    config: str | Path | None = None,
    tokenizer: str | Path | None = None,
    method: Method | None = None,
    text_field: str | None = None,
    replay: str | Path | None = None,
    replay_texts: int = 32,
    watch: Callable[[int, int, float], None] | None = None,
    say: Say | None = None,
    **settings: Any,
) -> Path:
    """Train a student on a run's kept rows, on chats, preference pairs or plain text; the student's folder (its student.json says how).

    `base` is local/… or hf/PATH. With `config`, a model's config.json, the student starts from random weights, with the `tokenizer` of
    a URI or folder (default: the base's). `method` is "sft" (chats, loss on answers only), "cpt" (text, loss on every token) or "dpo"
    (preference pairs); without it the rows decide: see `train.FineTune`, which says what becomes of mixed rows too.
    With `text_field` that column is learnt as text. `replay` is general text (any file or folder that anchors are read from), or "self":
    `replay_texts` texts that the base writes from nothing. `settings` are the other fields of `train.FineTune`; `hold_out` (0.1)
    is the share of rows that is not learnt, prompt by prompt, for the measures after training; `learn_reasoning` learns reasoning too.
    """
    place = _named(Path(out))
    if replay == "self" and config is not None:
        raise SynthgainError("random weights have no text of their own", where="replay", next="give a file of text")
    strict = bool(settings.get("strict", False))
    guard = place.with_name(f".{place.name}.lock")
    try:
        with writing(guard):  # two trainings into one place would share their work folder
            rows = rows_of(source, place, text_field, strict)
            old = None
            if replay is not None:
                beside = place.with_name(f"{place.name}.replay")
                old = (
                    _own_texts(base, replay_texts, place)
                    if replay == "self"
                    else rows_of(replay, beside, strict=strict)
                )
            start = _start(base, config, tokenizer)
            return FineTune(**start, method=method, replay=old, watch=watch, say=say, **settings)(rows, place)
    finally:
        if not (guard / ".lock.pid").exists():  # another's, where it does
            shutil.rmtree(guard, ignore_errors=True)


def _named(place: Path) -> Path:
    """The same folder by a path that ends in its name: what is beside it is named after it."""
    place = place.resolve() if place.name in ("", "..") else place
    if not place.name:
        raise SynthgainError("a student is a folder with a name", where=str(place), next="give one with -o")
    return place


def _start(base: str, config: str | Path | None, tokenizer: str | Path | None) -> dict[str, Any]:
    """What a student starts from, as `FineTune` has it."""
    if config is not None:
        return {"base": Scratch(Path(config), weights_at(tokenizer or base)), "base_uri": SCRATCH}
    return {"base": folder_of(base), "base_uri": base, "base_identity": open_model(base, Reach()).identity}


def came_of(student: Path) -> str:
    """What a student's training read and what came of it, in one sentence."""
    record = student_record(student)
    return f"{record['method']}: {said_of_rows(record)}; {record['steps']} steps, {record['tokens_seen']:,} tokens, {record['seconds']:.0f} s"


def _own_texts(base: str, n: int, out: Path) -> Path:
    """Replay text that the base itself samples, in a file beside the student; its calls are remembered there."""

    async def work(desk: Desk) -> list[str]:
        return await sample_replay(desk, n)

    texts = at_desk(base, work, memory=out.parent / f".{out.name}.replay", tally=Tally(label="replay"))
    return write_replay(texts, out.parent / f".{out.name}.replay.jsonl")


def steps_said(say: Say, indent: str = "") -> Callable[[int, int, float], None]:
    """Says the first step, the last, and every tenth."""

    def watch(step: int, steps: int, loss: float) -> None:
        if step in (1, steps) or step % 10 == 0:
            say(f"{indent}step {step}/{steps}, loss {loss:.3f}")

    return watch


# ---------------------------------------------------------------------------------------------- arms


@dataclass(frozen=True)
class ArmTrainer:
    """Trains the arms of a comparison alike (`loop.TrainArm`), but for what an arm's own settings say; then measures what it took in.

    `students` of an arm have the seeds `seed`, `seed` + 1, … and lie beside each other; what was taken in is measured of the first.
    """

    base: str
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    say: Say = to_stderr
    students: int = 1

    def check(self, arms: Sequence[Arm]) -> None:
        """SynthgainError where weights or settings of an arm cannot be: before anything is bought."""
        for arm in (arm for arm in arms if arm.learns):
            where = f"arm {arm.name}"
            start = self.base if arm.weights in ("base", "previous") else arm.weights
            try:
                FineTune(folder_of(start), seed=self.seed, **self._settings(arm))
            except SynthgainError as error:
                raise SynthgainError(error.what, where=where, next=error.next) from error
            except TypeError as error:
                raise SynthgainError(
                    f"the trainer does not know a setting ({error})",
                    where=where,
                    next="its settings are the fields of FineTune (docs/reference.md)",
                ) from error

    def __call__(self, arm: Arm, rows: Rows, start: Weights, out: Path) -> Student:
        """The arm's student at `out`, as it stands where nothing changed."""
        left = f" ({rows.left_out} more hold nothing to learn)" if rows.left_out else ""
        self.say(f"  training {arm.name} on {rows.n} rows{left}")
        first = self._trained(arm, rows, start, out, self.seed)
        if first.record["held_out"]["pairs"] and not _measured(out):
            measure_students([out], seed=self.seed)
        others = tuple(
            self._trained(arm, rows, start, out.with_name(f"{out.name}~{n + 1}"), self.seed + n)
            for n in range(1, self.students)
        )
        return replace(first, readings=_after(out), others=others)

    def _trained(self, arm: Arm, rows: Rows, start: Weights, out: Path, seed: int) -> Student:
        folder = train(
            rows.path,
            out=out,
            base=f"hf/{start}" if isinstance(start, Path) else start,
            method=rows.method,
            seed=seed,
            watch=steps_said(self.say, "    "),
            **self._settings(arm),
        )
        self.say(f"    {came_of(folder)}")
        return Student(folder, student_record(folder))

    def _settings(self, arm: Arm) -> dict[str, Any]:
        return {**self.settings, **arm.settings}


def _measured(student: Path) -> bool:
    """Whether a student's readings are newer than the student."""
    file = student / "readings.json"
    return file.is_file() and file.stat().st_mtime >= (student / "student.json").stat().st_mtime


def _after(student: Path) -> tuple[Reading, ...]:
    """The readings after training that lie beside a student."""
    return tuple(read_readings(student))


# ---------------------------------------------------------------------------------------------- weights as others read them


def gguf_of(student: Path, out: Path | None = None) -> Path:
    """The student as a GGUF file (Q8_0), written once: by default inside its folder."""
    from synthgain.models import gguf, weights

    record = student_record(student)
    file = out or student / "student.gguf"
    if not file.is_file():
        if record["base"] == SCRATCH:
            raise SynthgainError(
                "a student from random weights has no GGUF file that its own could be like",
                where=str(student),
                next=f"use it as it is: synthgain generate … -m hf/{student}",
            )
        kind, _, name = record["base"].partition("/")
        like = weights.find(name if kind == "local" else DEFAULT_MODEL.partition("/")[2])
        gguf.to_gguf(student, file, like=like)
    return file


def usable(student: Path) -> str:
    """The URI that generates with a student: its GGUF in the embedded runtime; transformers where its base was no GGUF."""
    record = read_student(student)
    own = record is not None and (record["base"] == SCRATCH or str(record["base"]).startswith("hf/"))
    return f"hf/{student}" if own else f"local/{gguf_of(student)}"
