"""How good a model is: questions put to it, of either kind, and what was forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from synthgain.anchors import load as load_anchors
from synthgain.api.asking import DEFAULT_MODEL
from synthgain.api.choosing import asking, choices, further, uri_of
from synthgain.api.desk import at_desk, unwatched
from synthgain.api.harness import harness
from synthgain.api.making import Watch
from synthgain.api.preferring import pairs_at, preferred
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.telling import Say, remark
from synthgain.api.training import to_stderr
from synthgain.chain import Desk
from synthgain.curate.answers import final_answer, same_answer
from synthgain.evaluate import (
    BudgetForcing,
    Question,
    Solved,
    differences,
    forgetting,
    load_questions,
    perplexity,
    solve,
    thinking,
)
from synthgain.loop import FEW_SHOT, Arm, Weights, line_of
from synthgain.models import Reach, open_model, open_scorer
from synthgain.store import Run
from synthgain.train import read_student
from synthgain.types import Message, Reading, Sampling, SynthgainError

Panel = Callable[[], AbstractContextManager[Watch]]  # a live panel for one stage


def no_panel() -> AbstractContextManager[Watch]:
    """Nothing is shown."""
    return nullcontext(unwatched)


@dataclass(frozen=True)
class Examination:
    """How verifiable questions are put: draws a question, at which temperature, tokens of an answer at most, and worked examples before it.

    Without `max_tokens` answers get what they need: twice the longest that was learnt (of a loop: that the first round's writer wrote), and
    `LEAST` at least; where nothing is known of them `UNKNOWN`.
    """

    draws: int = 4
    temperature: float = 0.7
    max_tokens: int | None = None
    shots: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise SynthgainError(
                f"an answer has 1 token or more, not {self.max_tokens}",
                where="--max-tokens",
                next="leave it out: it is then set by the longest answer that is known",
            )

    def law(self, longest: int | None) -> Sampling:
        """How an answer is drawn, where the longest that is known of has so many tokens."""
        room = UNKNOWN if longest is None else max(LEAST, 2 * longest)
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens or room)


def budget_forcing(budgets: Sequence[int], again: int = 0, marks: tuple[str, str] | None = None) -> BudgetForcing:
    """Thinking between these marks (without: the usual ones), each on a line of its own, of so many tokens at most."""
    opening, closing = marks or ("<think>", "</think>")
    return BudgetForcing(tuple(budgets), again, f"{opening}\n", f"\n{closing}\n\n")


LEAST, UNKNOWN = (
    256,
    1024,
)  # tokens of an answer: that a student may write, and that a model may of which nothing is known


def longest_of(weights: Weights) -> int | None:
    """Tokens of the longest answer that a student learnt; None where it learnt none, and for other models."""
    record = read_student(weights) if isinstance(weights, Path) else None
    return (record or {}).get("answer_tokens") or None


def longest_in(run: Path) -> int | None:
    """Tokens of what a run's writer wrote for a row, thinking too: of all rows but the longest hundredth. None where rows are no chats."""
    if not Run.is_at(run):
        return None
    shards = [shard for shard in Run.at(run).shards(["messages", "tokens_out"])]
    chats = [shard.filter(shard.column("messages").is_valid()).column("tokens_out").to_numpy() for shard in shards]
    found = np.concatenate(chats) if chats else np.zeros(0)
    return int(np.quantile(found, 0.99)) if len(found) else None


@reaching
def evaluate(
    student: str | Path,
    *,
    on: str | Path | None = None,
    task: Sequence[str | Path] = (),
    answers: str | Path | None = None,
    examination: Examination | None = None,
    think: Sequence[int] | BudgetForcing = (),
    also: Sequence[str] = (),
    general: str | Path | None = None,
    against: str | None = None,
    held_out: str | Path | None = None,
    reach: Reach | None = None,
    watch: Watch | None = None,
    **servers: Unpack[Servers],
) -> list[Reading]:
    """A student's readings on questions or preference pairs (a folder, or any model's URI).

    Verifiable questions ({"question", "answer"}) are answered and checked by rule; multiple choice
    ({"question", "options", "gold"}) is closed-book, by log-likelihood, and as `also` says ("letter", "generation") with the options in
    sight. With `against` the same questions are put to that model too, and the readings "accuracy difference" and "pass_at_k difference" are the student's
    less its, paired by question. Answers are remembered in `answers` (default: beside the student, for a URI in runs/answers). Of preference pairs (rows with chosen
    and rejected answers, in any shape that `train` reads, also a run) it is asked which answer is likelier; with `against`, a model whose weights are
    here, also how much more often and by how much more than there. With `general` text also what was forgotten, against `against` (by default the
    embedded model). With `think`, budgets in tokens of thinking, verifiable questions are answered at each of them (`budget_forcing.py`); a
    `BudgetForcing` says more. With `held_out` text the perplexity, and the loss by a token's place. `task` are standard tasks (`harness.harness`).
    """
    if on is None and not task and general is None and held_out is None:
        raise SynthgainError(
            "there is nothing to ask",
            where="--on",
            next="give questions: --on FILE, or a standard task: --task FILE.yaml",
        )
    weights = _weights(student)
    place = Path(answers) if answers else (weights.parent if isinstance(weights, Path) else Path("runs")) / "answers"
    readings: list[Reading] = []
    pairs = [] if on is None else pairs_at(Path(on))
    questions = [] if on is None or pairs else load_questions(Path(on))
    if think:
        _only_of_questions(on, bool(pairs), against)
    _all_read(also, against, options=bool(questions and questions[0].options), compared=bool(on or general))
    if against is not None and questions:  # a name that is none is told before anything is asked
        open_model(uri_of(_weights(against)), reach or Reach())
    if pairs:
        readings += preferred(weights, pairs, against, watch or unwatched)
    elif questions:
        how, longest = examination or Examination(), longest_of(weights)
        if think:
            forcing = think if isinstance(think, BudgetForcing) else budget_forcing(think)
            readings += thought(
                weights, questions, how, forcing, memory=place, reach=reach, watch=watch, longest=longest
            )
        else:
            told = partial(
                answered, questions=questions, how=how, memory=place, reach=reach, watch=watch, longest=longest
            )
            mine = told(weights)
            readings += mine.readings
            if against is not None:
                readings += [_less(r, against) for r in differences(mine, told(_weights(against)))]
        readings += further(weights, questions, also, place, reach=reach, watch=watch or unwatched)
    if general is not None:
        readings.append(forgetting(open_scorer(against or DEFAULT_MODEL), open_scorer(student), texts_of(general)))
    if held_out is not None:
        readings += perplexity(open_scorer(student), texts_of(held_out))
    return readings + (harness(student, task) if task else [])


def _all_read(also: Sequence[str], against: str | None, *, options: bool, compared: bool) -> None:
    """SynthgainError where an option would be read by nobody."""
    if also and not options:
        what, next = "there are no questions with options", "give multiple choice: --on FILE; or leave it out"
        raise SynthgainError(what, where="--also", next=next)
    if against is not None and not compared:
        next = "give questions (--on FILE) or general text (--general TEXT), or leave it out"
        raise SynthgainError(f"there is nothing in which {against} could be compared", where="--against", next=next)


def _only_of_questions(on: str | Path | None, pairs: bool, against: str | None) -> None:
    """SynthgainError where thinking at budgets is asked for, and would be left out or not compared."""
    if on is None:
        what, next = "there are no questions to think about", "give verifiable questions: --on FILE; or leave it out"
        raise SynthgainError(what, where="--think", next=next)
    if pairs:
        what = f"of preference pairs nothing is written, so nothing is thought about {on}"
        raise SynthgainError(what, where="--think", next="give questions with an `answer`, or leave it out")
    if against is not None:
        what = "thinking at budgets is not compared with another model"
        next = "evaluate each by itself, and what was forgotten (--general, --against) in a command without --think"
        raise SynthgainError(what, where="--against", next=next)


def _weights(model: str | Path) -> Weights:
    """A student's folder, or a URI."""
    return str(model) if "/" in str(model) and not Path(model).exists() else Path(model)


def _less(difference: Reading, against: str) -> Reading:
    return replace(difference, note="; ".join(filter(None, (f"less {against}, question by question", difference.note))))


def texts_of(source: str | Path) -> list[str]:
    """The texts of a file or folder."""
    return [a.text for a in load_anchors(str(source), tell=remark)]


def answered(
    weights: Weights,
    questions: Sequence[Question],
    how: Examination,
    *,
    memory: Path,
    longest: int | None = None,
    reach: Reach | None = None,
    watch: Watch | None = None,
) -> Solved:
    """Questions put to a model (a URI, or a student's folder); its answers are remembered, so that a killed evaluation goes on.

    `longest` is the length of the longest answer that is known of (`Examination`)."""
    if questions[0].options:
        return choices(weights, questions, memory)
    uri, tally, done = asking(weights, len(questions) * how.draws)

    async def work(desk: Desk) -> Solved:
        return await solve(
            desk,
            questions,
            same_answer,
            parsable=lambda text: final_answer(text) is not None,
            draws=how.draws,
            sampling=how.law(longest),
            few_shot=how.shots,
            watch=done,
        )

    return at_desk(uri, work, memory=memory, tally=tally, reach=reach, watch=watch or unwatched)


def thought(
    weights: Weights,
    questions: Sequence[Question],
    how: Examination,
    forcing: BudgetForcing,
    *,
    memory: Path,
    longest: int | None = None,
    reach: Reach | None = None,
    watch: Watch | None = None,
) -> list[Reading]:
    """Accuracy against the tokens that a model may think, as `answered` asks it."""
    if questions[0].options:
        raise SynthgainError(
            "of multiple choice nothing is written", where="--think", next="give questions with an `answer`"
        )
    uri, tally, done = asking(weights, len(questions) * how.draws)

    async def work(desk: Desk) -> list[Reading]:
        curve = await thinking(
            desk,
            questions,
            same_answer,
            forcing,
            parsable=lambda text: final_answer(text) is not None,
            draws=how.draws,
            sampling=how.law(longest),
            few_shot=how.shots,
            watch=done,
        )
        return list(curve.readings)

    return at_desk(uri, work, memory=memory, tally=tally, reach=reach, watch=watch or unwatched)


@dataclass(frozen=True)
class ArmExaminer:
    """Puts the same questions to every arm (`loop.Examine`); worked examples stand before them where the arm's exam says so.

    `written` is the run of the first round: its answers say how many tokens an answer gets, of every arm alike.
    """

    questions: Sequence[Question]
    how: Examination
    memory: Path
    written: Path | None = None
    reach: Reach | None = None
    say: Say = to_stderr
    panel: Panel = no_panel

    @property
    def shows(self) -> bool:
        """Whether there are worked examples to show: multiple choice has none."""
        return bool(self.how.shots) and not self.questions[0].options

    def check(self, arms: Sequence[Arm]) -> None:
        """SynthgainError where an arm wants an exam that cannot be held."""
        for arm in arms:
            if arm.exam not in ("", FEW_SHOT.exam):
                raise SynthgainError(
                    f"there is no exam {arm.exam!r}", where=f"arm {arm.name}", next=f"leave it out, or {FEW_SHOT.exam}"
                )
            if arm.exam and not self.shows:
                raise SynthgainError(
                    "there are no worked examples to show",
                    where=f"arm {arm.name}",
                    next="leave this arm out, or give examples in the Examination",
                )

    def __call__(self, arm: Arm, weights: Weights) -> Solved:
        """The arm's readings; its accuracy is said."""
        how = self.how if arm.exam else replace(self.how, shots=())
        longest = longest_in(self.written) if self.written else None
        with self.panel() as watch:
            solved = answered(
                weights, self.questions, how, memory=self.memory, longest=longest, reach=self.reach, watch=watch
            )
        self.say(line_of(arm.name, solved))
        return solved
