"""Arms and rounds: which student learns what, and in which order: θ_{t+1} = Train(·, Generate(θ_t, Filter)).

An arm is data: what it learns from, by which method, from which weights, how it is examined. What is compared is a list
of arms. How a run is made, how rows come to disk, how a student is trained and how it is examined are arguments.
Every one of these is its own resume: making looks calls up, training returns a student that stands, examining looks
answers up. So a loop that was killed in any stage goes on by running again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from synthgain.numbers import interval
from synthgain.types import Method, Reading, SynthgainError

# ---------------------------------------------------------------------------------------------- what an arm is


@dataclass(frozen=True)
class Part:
    """Rows that an arm learns from.

    `source` is a run, or a file or folder of chats, texts or documents; "" is the run of the round. Of a run `take` says what: the
    rows that its checks kept, its candidates whatever the checks said, or the anchors that it was made from (as texts). Of files
    all rows are meant.

    `rows` takes so many, `share` makes the part this share of the arm's rows (all parts have one, or none has); both draw by a hash
    of the row and `seed`. Without either the part is taken whole.
    """

    source: str = ""
    take: Literal["kept", "candidates", "anchors"] = "kept"
    rows: int | None = None
    share: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.take not in ("kept", "candidates", "anchors"):
            raise SynthgainError(f"take is {self.take!r}", where="Part", next="it is kept, candidates or anchors")
        if self.rows is not None and self.rows < 1:
            raise SynthgainError(
                f"rows must be 1 or more, not {self.rows}", where="Part", next="leave it out for all rows"
            )
        if self.share is not None and not 0 < self.share <= 1:
            raise SynthgainError(
                f"a share lies above 0 and up to 1, not {self.share}", where="Part", next="leave it out for all rows"
            )
        if self.share is not None and self.rows is not None:
            raise SynthgainError("a part has rows or a share, not both", where="Part", next="leave one of them out")


@dataclass(frozen=True)
class Arm:
    """One student of a comparison.

    Parts
    - `learns`: what it learns from; nothing: it is not trained.
    - `method`: "sft", "cpt" or "dpo"; None: by the rows ("dpo" where all are preference pairs, "cpt" where all are texts, else "sft").
    - `weights`: what it starts from: "base", "previous" (the student that wrote the round's rows; the base in the first round), or a
      model's URI.
    - `as_many_as`: the name of another arm; this one gets as many rows, drawn by a hash.
    - `exam`: how questions are put to it, by name: "" as they stand, "few-shot" after worked examples, "open-book" with the document before
      them, "retrieval" with passages that they find. Which of them can be held is the examiner's to say.
    - `settings`: the trainer's, where they differ from what the arms share.
    """

    name: str
    learns: tuple[Part, ...] = ()
    method: Method | None = None
    weights: str = "base"
    as_many_as: str = ""
    exam: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.+-]*", self.name):
            raise SynthgainError(
                f"an arm cannot be named {self.name!r}",
                where="Arm",
                next="use letters, digits and . + - _: it names a folder",
            )
        if self.method not in (None, "sft", "cpt", "dpo"):
            raise SynthgainError(
                f"method is {self.method!r}; it is sft, cpt or dpo",
                where=f"arm {self.name}",
                next="leave it out: the rows say it",
            )
        if self.method in ("sft", "dpo") and self.learns and all(part.take == "anchors" for part in self.learns):
            raise SynthgainError(
                f"{self.method} needs chats, and anchors are plain texts",
                where=f"arm {self.name}",
                next='leave the method out, or take method="cpt"',
            )
        shares = [part.share for part in self.learns if part.share is not None]
        if shares and (len(shares) < len(self.learns) or not math.isclose(math.fsum(shares), 1, abs_tol=1e-6)):
            raise SynthgainError(
                "the shares of a mixture add up to 1, and every part has one",
                where=f"arm {self.name}",
                next=f"they are {shares}",
            )

    @property
    def changes(self) -> bool:
        """Whether it is another model in every round."""
        rows = any(part.source == "" and part.take != "anchors" for part in self.learns)
        return rows or self.weights == "previous" or bool(self.as_many_as)


BASE = Arm("base")
FEW_SHOT = Arm("base-few-shot", exam="few-shot")
FILTERED = Arm("filtered", (Part(),))
UNFILTERED = Arm("unfiltered", (Part(take="candidates"),), as_many_as="filtered")
REPEATED = Arm("repeated", (Part(take="anchors"),))  # at the arms' shared budget of steps or tokens: again and again
RAW = Arm("raw", (Part(take="anchors"),), settings={"epochs": 1, "max_steps": None, "tokens": None})  # the anchors once
SHIPPED: Mapping[str, Arm] = {arm.name: arm for arm in (BASE, FEW_SHOT, FILTERED, UNFILTERED, REPEATED, RAW)}


def check_arms(arms: Sequence[Arm], writer: str = "") -> None:
    """SynthgainError where a list of arms cannot be compared; `writer` names the arm whose student writes the next round."""
    names = [arm.name for arm in arms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SynthgainError(f"two arms are named {twice!r}", where="arms", next="give each arm a name of its own")
    followed = {arm.name for arm in arms if arm.learns and not arm.as_many_as}
    for arm in arms:
        if arm.as_many_as and (not arm.learns or arm.as_many_as not in followed):
            raise SynthgainError(
                f"it should have as many rows as {arm.as_many_as!r}, which is no trained arm with a number of its own",
                where=f"arm {arm.name}",
                next=f"name one of: {', '.join(sorted(followed)) or 'none is here'}",
            )
    if writer and not any(arm.name == writer and arm.learns for arm in arms):
        raise SynthgainError(
            f"the arm {writer!r} should write the next round, and no trained arm has this name",
            where="arms",
            next=f"name one of: {', '.join(sorted(arm.name for arm in arms if arm.learns)) or 'none is trained'}",
        )


# ---------------------------------------------------------------------------------------------- what comes of it


@dataclass(frozen=True)
class Rows:
    """An arm's rows on disk; `method` is how they are learnt. `left_out` were there and hold nothing to learn."""

    path: Path
    n: int
    method: Method
    left_out: int = 0


@dataclass(frozen=True)
class Student:
    """A trained student: its folder, what its training wrote down (student.json), and what was measured after it.

    `others` are students of the same rows and settings with other seeds, that are examined with it.
    """

    folder: Path
    record: Mapping[str, Any] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    others: tuple[Student, ...] = ()


class Scored(Protocol):
    """What an examination gives: readings, and what paired differences need."""

    @property
    def readings(self) -> Sequence[Reading]: ...

    def pooled(self, others: Sequence[Self]) -> Self:
        """The mean of this one and the same examination of other students."""


S = TypeVar("S", bound=Scored)


@dataclass(frozen=True)
class Result(Generic[S]):
    """What became of one arm. `each` holds the examination of each of its students; `scored` is their mean."""

    arm: Arm
    scored: S
    student: Student | None = None
    each: tuple[S, ...] = ()


@dataclass(frozen=True)
class Round(Generic[S]):
    """What became of one round: its run and every arm. `written_by` is the student that wrote its rows; None: the first writer."""

    number: int
    run: Path
    results: tuple[Result[S], ...]
    written_by: Path | None = None

    def result(self, arm: str) -> Result[S]:
        """What became of the arm of that name."""
        return next(result for result in self.results if result.arm.name == arm)


@dataclass(frozen=True)
class Next:
    """What follows a round: the student that writes the next one (None: the first writer, and "previous" is the base), or none follows."""

    student: Path | None
    stop: bool = False


Weights = str | Path  # a model's URI, or a student's folder
Generate = Callable[[int, Path | None, Path], Path]  # round, the student that writes (in round 0 none), folder → run
WriteRows = Callable[[Sequence[Arm], Path, Path], Mapping[str, Rows]]  # arms, run, folder → rows of each trained arm
TrainArm = Callable[[Arm, Rows, Weights, Path], Student]  # arm, its rows, what it starts from, folder → student
Examine = Callable[[Arm, Weights], S]
Decide = Callable[[Round[S]], Next]


# ---------------------------------------------------------------------------------------------- the order


def compared(
    arms: Sequence[Arm],
    rows: Mapping[str, Rows],
    *,
    train: TrainArm,
    examine: Examine[S],
    out: Path,
    base: str,
    previous: Path | None = None,
) -> Iterator[Result[S]]:
    """Each arm in turn, trained into a folder of `out` and examined. `rows` are those of the trained arms.

    An arm with several students (`Student.others`) has the mean of their examinations.
    """
    starts: Mapping[str, Weights] = {"base": base, "previous": previous or base}
    for arm in arms:
        start = starts.get(arm.weights, arm.weights)
        student = train(arm, rows[arm.name], start, out / arm.name) if arm.learns else None
        scored = examine(arm, student.folder if student else start)
        others = [examine(arm, other.folder) for other in student.others] if student else []
        yield Result(arm, scored.pooled(others) if others else scored, student, (scored, *others))


def run_rounds(
    arms: Sequence[Arm],
    n: int,
    *,
    generate: Generate,
    write_rows: WriteRows,
    train: TrainArm,
    examine: Examine[S],
    out: Path,
    base: str,
    writer: str = "filtered",
    decide: Decide[S] | None = None,
) -> Iterator[Round[S]]:
    """`n` rounds into `out`, one after the other. `decide` says who makes the next round's run, if there is one: without it the student
    of the arm `writer`.

    An arm that is the same in every round is trained and examined in the first only.
    """
    check_arms(arms, writer)
    if n < 1:
        raise SynthgainError(
            f"rounds must be 1 or more, not {n}", where="--rounds", next="leave it out for the default"
        )
    lasting: dict[str, Result[S]] = {}
    previous: Path | None = None
    for number in range(n):
        here = out / f"round-{number}"
        run = generate(number, previous, here / "run")
        rows = write_rows(arms, run, here / "arms")
        fresh = [arm for arm in arms if arm.name not in lasting]
        each = compared(fresh, rows, train=train, examine=examine, out=here / "students", base=base, previous=previous)
        found = lasting | {result.arm.name: result for result in each}
        lasting = {name: result for name, result in found.items() if not result.arm.changes}
        made = Round(number, run, tuple(found[arm.name] for arm in arms), previous)
        follows = decide(made) if decide else last_of(made, writer)
        yield made
        if follows.stop:
            return
        previous = follows.student


def last_of(made: Round[S], writer: str) -> Next:
    """The round's own student goes on."""
    student = made.result(writer).student
    return Next(student.folder if student else None)


# ---------------------------------------------------------------------------------------------- arms.json


def arms_json(
    results: Sequence[Result[S]], pairs: Sequence[tuple[str, str]], differences: Callable[[S, S], Sequence[Reading]]
) -> dict[str, Any]:
    """What arms.json holds: every arm, and the paired differences a - b of `pairs` (names of arms) in every reading that has one."""
    found = {result.arm.name: result.scored for result in results}
    told = [{"a": a, "b": b, **one.json()} for a, b in pairs for one in differences(found[a], found[b])]
    return {"arms": [_arm_json(result) for result in results], "differences": told}


def _arm_json(result: Result[S]) -> dict[str, Any]:
    record = result.student.record if result.student else {}
    records = [one.record for one in (result.student, *result.student.others)] if result.student else []
    after = [r for r in result.student.readings if r.value is not None] if result.student else []
    return {
        "name": result.arm.name,
        "rows": record.get("rows", 0),
        "tokens": record.get("tokens_seen", 0),
        "steps": record.get("steps", 0),
        "seeds": [one["seed"] for one in records if "seed" in one],
        "readings": [r.json() for r in (*result.scored.readings, *after)],
        "method": record.get("method"),
        "weights": result.arm.weights,
        "learns": [asdict(part) for part in result.arm.learns],
    }


def line_of(name: str, scored: Scored) -> str:
    """An arm's accuracy in one line."""
    accuracy = next((r for r in scored.readings if r.name == "accuracy"), None)
    if accuracy is None or accuracy.value is None:
        return f"  {name:<14} not measured"
    return f"  {name:<14} {interval(accuracy.value, accuracy.low, accuracy.high)}"


def starting_from(arm: Arm, weights: str, method: Method | None = None) -> Arm:
    """A trained arm that says nothing else, with these weights and this method."""
    if not arm.learns:
        return arm
    return replace(arm, weights=weights if arm.weights == "base" else arm.weights, method=arm.method or method)
