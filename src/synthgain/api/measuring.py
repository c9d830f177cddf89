"""The meter for users: one data set, a trained student, and what is said of them in words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.sources import data_of_files, data_of_run, real_texts
from synthgain.measure import (
    Data,
    Instruments,
    Rescoring,
    after_training,
    even_sample,
    meter,
)
from synthgain.measure.after_training import StudentLosses
from synthgain.measure.aim import MOST, PARTS, aim_of
from synthgain.measure.data import batched
from synthgain.measure.gain import Losses
from synthgain.measure.grounded import Grounds
from synthgain.measure.probe import Learner
from synthgain.measure.prompt_information import PROMPTS
from synthgain.measure.student_eye import Pair
from synthgain.models import Reach, open_scorer, weights_at
from synthgain.store import Run, write_readings
from synthgain.types import Reading, Sampling, Scorer, SynthgainError, user

if TYPE_CHECKING:
    from synthgain.models.embedders import Embedder
    from synthgain.report.verdict import Advice

Say = Callable[[str], None]
TRIED = {"probe_gain", "context_gain"}  # figures that ask the student
RESCORED = 256  # rows whose log-probabilities are made anew
TEXTS = 200  # documents of a student's test and dev text
CHARS = 2_000  # of each


@reaching
def measure(
    source: str | Path | Run,
    *,
    anchors: str | Path | None = None,
    target: str | Path | None = None,
    target_is: str = "",
    student: str = "",
    writer: str = "",
    rescore: str = "",
    embedder: str = "words",
    against: Sequence[str | Path] = (),
    also: Sequence[str] = (),
    prompts: int = PROMPTS,
    text_field: str | None = None,
    seed: int = 0,
    reach: Reach | None = None,
    strict: bool = False,
    say: Say | None = None,
    **servers: Unpack[Servers],
) -> list[Reading]:
    """What a run, anybody's data set, or a trained student is worth, as readings with intervals.

    A run (its readings also go to RUN/readings.json) brings its own anchors; a data set is measured against `anchors`.
    `target` is held-out real text that nothing was made from; without it anchors are held out in turn. `target_is` says whether value lies in the "text"
    or in the "answer" given its prompt; without it the rows and the held-out text say it (`measure.aim`).
    `student` (hf/PATH or local/…) is the student before training, `writer` scores texts as the model that wrote, of
    `prompts` different prompts (`i_prompt`; about 33 scorings each).
    `rescore` (hf/PATH or local/…) reads a sample of answers again where the server gave log-probabilities of
    another law. `strict` refuses rows of a data set that cannot be used; else they are skipped and said. `embedder` is a URI of `models.embedders`, "" for none. `also` asks for h_meaning, and of the student for
    grad_align, probe_gain, context_gain (`say` hears what they cost before they begin).

    A student folder is measured after training: gain, generalisation gap, memo, ggmi, absorbed information, on `target` and
    `against` students trained on the anchors alone (several of either: seeds).
    """
    folder = _given(source)
    of_student = (folder / "student.json").is_file()
    _unused(
        of_student,
        {"--student": student, "--writer": writer, "--rescore": rescore, "--also": also},
        {"--against": against},
    )
    if of_student:
        return measure_students(
            [folder], against=against, target=target, anchors=anchors, target_is=target_is, seed=seed, say=say
        )
    reach = reach or Reach()
    data = data_of(folder, anchors=anchors, target=target, text_field=text_field, seed=seed, strict=strict, say=say)
    again = _rescored(Run.at(folder), data, rescore, say) if rescore else None
    law = _law_of(folder) if writer else None
    grounds = Grounds.of(data)
    aim = aim_of(data, grounds, target_is)
    if say is not None:
        say(f"the target is the {aim.part}: {aim.why}")
    instruments = instruments_for(student, writer, embedder, reach, law, learns=bool(TRIED & set(also)))
    readings = meter(data, instruments, again=again, grounds=grounds, aim=aim, also=also, prompts=prompts, say=say)
    if Run.is_at(folder):
        run = Run.at(folder)
        readings = [replace(r, note=_so_far(run, r)) for r in readings]
        beside = {
            "task": grounds.task,
            "target_is": aim.part,
            "headline": headline(readings),
            "read_first": [doubt.json() for doubt in grounds.doubts()],
        }
        run.write_readings(readings, beside if target is None else {**beside, "target": str(target)})
        if say is not None and run.record.get("status") != "complete":
            say(f"this run is {run.record.get('status')}: the figures are of what it has so far")
    return readings


def _so_far(run: Run, r: Reading) -> str:
    """The note of a reading; of a run that has not come to its end it says so, because the figures travel without the run."""
    status = run.record.get("status")
    if status == "complete" or r.value is None:
        return r.note
    ended = "was stopped before its end" if status == "stopped" else "has not ended"
    return "; ".join(filter(None, (f"the run {ended}: of the rows that it has so far", r.note)))


def _given(source: str | Path | Run) -> Path:
    if isinstance(source, Run):
        return source.path
    if not isinstance(source, str | Path) or not str(source):
        raise SynthgainError(
            f"{source!r} is nothing that can be measured", next="give a run, a data set or a student folder"
        )
    return Path(source)


def _unused(of_student: bool, before: Mapping[str, object], after: Mapping[str, object]) -> None:
    """An option that says nothing of what is measured is refused, not ignored."""
    wrong = [name for name, value in (before if of_student else after).items() if value]
    if wrong:
        what = "a trained student" if of_student else "a run or a data set"
        raise SynthgainError(
            f"{wrong[0]} says nothing of {what}", where=wrong[0], next="leave it out (see `synthgain measure --help`)"
        )


def data_of(
    source: Path,
    *,
    anchors: str | Path | None = None,
    target: str | Path | None = None,
    text_field: str | None = None,
    seed: int = 0,
    strict: bool = False,
    say: Say | None = None,
) -> Data:
    """What the meter reads of a run or of anybody's data set."""
    if (source / "student.json").is_file():
        raise SynthgainError(
            "this is a student folder, not a set of rows", where=str(source), next=f"synthgain measure {source}"
        )
    if (source / "loop.json").is_file():
        raise SynthgainError(
            "this is a folder of rounds", where=str(source), next=f"measure one run: {_first_run(source)}"
        )
    if Run.is_at(source):
        return data_of_run(Run.at(source), anchors=anchors, target=target, seed=seed)
    if not source.exists() and not str(source).startswith("hf:"):
        raise SynthgainError(
            "there is no such run, file or folder", where=str(source), next="give a run, or a data set with --anchors"
        )
    return data_of_files(source, anchors, target=target, text_field=text_field, seed=seed, strict=strict, tell=say)


def _first_run(folder: Path) -> str:
    rounds = json.loads((folder / "loop.json").read_text("utf-8")).get("rounds") or [{}]
    return f"synthgain measure {folder / str(rounds[-1].get('run', 'round-0/run'))}"


# ---------------------------------------------------------------------------------------------- who looks


def instruments_for(
    student: str, writer: str, embedder: str, reach: Reach, law: Sampling | None = None, *, learns: bool = False
) -> Instruments:
    """`learns`: the student is also opened to take small steps. `law` is what the writer sampled from. Ends of answers are scored too, as the writers' own log-probabilities hold them."""
    from synthgain.models.folders import folder_identity
    from synthgain.models.rescoring import LawScorer

    vectors, why = _embedder(embedder, reach)
    looking, wrote = (weights_at(uri) if uri else None for uri in (student, writer))
    for folder in filter(None, (looking, wrote)):
        folder_identity(folder)  # is it there at all
    return Instruments(
        student=None if looking is None else open_scorer(looking, ends=True),
        writer=None if wrote is None else LawScorer(wrote, law or Sampling(), ends=True),
        embedder=vectors,
        why_no_embedder=why,
        folder=looking,
        learner=_learner(looking) if looking is not None and learns else None,
    )


def _learner(folder: Path) -> Learner:
    """The student, and the small steps that it takes: one model in memory for both."""
    from synthgain.models.scorer import HFScorer
    from synthgain.train.nudge import Nudge

    scorer = HFScorer(folder)
    return Learner(scorer, Nudge(scorer.model, scorer.tokens))


def _law_of(folder: Path) -> Sampling:
    """What the rows of a run were sampled from: the settings of the first one's call; of no run, the plain law."""
    if not Run.is_at(folder):
        return Sampling()
    run = Run.at(folder)
    ids = [
        id
        for shard in islice(run.kept(("call_ids",)), 1)
        for mine in shard.column("call_ids").to_pylist()[:1]
        for id in mine[-1:]
    ]
    return next((call.prompt.sampling for call in run.bought(ids).values()), Sampling())


def _embedder(uri: str, reach: Reach) -> tuple[Embedder | None, str]:
    """The embedder, or why there is none: a missing library must not cost the figures that need none."""
    from synthgain.models.embedders import open_embedder

    if not uri:
        return None, "no embedder was asked for"
    try:
        found = open_embedder(uri, reach)
        found(["one text"])
    except SynthgainError as error:
        if uri != "words":
            raise
        return None, f"{error.what}: {error.next}"
    return found, ""


def _rescored(run: Run, data: Data, uri: str, say: Say | None) -> Rescoring:
    """An even sample of the run's rows with their log-probabilities read again under the law of each call.

    Rows of one call each: the sum over several calls is of several prompts.
    """
    from synthgain.models.rescoring import IMPOSSIBLE, LawScorer, Rescored, by_law, rescored

    names = ("anchor_ids", "prompt", "answer", "text", "call_ids")
    table = even_sample(run.kept, names, data.n_rows, RESCORED, data.seed)
    ids = [mine[-1] if len(mine) == 1 else "" for mine in table.column("call_ids").to_pylist()]
    calls = run.bought([id for id in ids if id])
    again = [Rescored(None, 0, "the row has several calls", False)] * len(ids)
    at = [i for i, id in enumerate(ids) if id in calls]
    folder = weights_at(uri)
    if say is not None:
        say(f"scoring {len(at)} answers again with {uri}")
    for sampling, places in by_law([calls[ids[i]] for i in at]).items():
        mine = [at[p] for p in places]
        for i, found in zip(mine, rescored([calls[ids[i]] for i in mine], LawScorer(folder, sampling, ends=True))):
            again[i] = found
    drawn, laws, logprobs = sum(r.as_drawn for r in again), [r.law for r in again], [r.logprob for r in again]
    told = pa.table(
        {
            **{n: table.column(n) for n in names[:4]},
            "logprob": pa.array(logprobs, pa.float64()),
            "tokens_out": pa.array([r.tokens for r in again], pa.int32()),
            "law": pa.array(laws, pa.string()),
        }
    )
    known = pc.is_valid(told.column("logprob"))
    lost = Counter(re.sub(r"[0-9,]+", "N", law.partition(":")[0]) for law, p in zip(laws, logprobs) if p is None)
    scored = sum(p is not None for p in logprobs)
    for wrong, what in (
        (
            lost[IMPOSSIBLE] > 0.05 * len(ids),
            f"{lost[IMPOSSIBLE]} of {len(ids)} answers cannot come from {uri} under the law that they were sampled from",
        ),
        (
            scored and not drawn,
            f"none of {scored} answers has as many tokens by {uri} as were drawn: it is not the model that wrote them",
        ),
        (
            len(ids) and not scored,
            f"none of {len(ids)} answers could be scored by {uri}: {lost.most_common(1)[0][0] if lost else ''}",
        ),
    ):
        if wrong:
            raise SynthgainError(
                what, where=str(run.path), next="give --rescore the model that wrote them, or leave it out"
            )
    sample = told.filter(known)
    gone = "".join(f"; {n} left out: {why}" for why, n in lost.most_common(2))
    note = f"log-probabilities of {len(sample):,} of {data.n_rows:,} rows scored again by {uri}, {drawn} in as many tokens as were drawn{gone}"
    return Rescoring(replace(data, rows=batched(sample), n_rows=len(sample)), note)


# ---------------------------------------------------------------------------------------------- after training


def measure_students(
    students: Sequence[str | Path],
    *,
    against: Sequence[str | Path] = (),
    target: str | Path | None = None,
    anchors: str | Path | None = None,
    target_is: str = "",
    seed: int = 0,
    say: Say | None = None,
) -> list[Reading]:
    """The readings after training of `students` (one a seed), against students trained on the anchors alone.

    `target` is held-out real text (200 documents of 2,000 characters are read); `anchors` is real text that the
    students were not trained on, for `faithfulness`. With `target_is` "answer" the loss is on the answers alone, given their prompts; without it that is so
    where all students learnt answers (sft) and most of the held-out texts have one. Also written to readings.json in the first student's folder.
    """
    if target_is not in ("", *PARTS):
        raise SynthgainError(f"the target is {target_is!r}", where="--target-is", next="give text or answer")
    room = min(_checked(Path(s)) for s in (*students, *against))
    if not target_is:
        target_is = "" if _learnt_answers((*students, *against)) else "text"
    test = None if target is None else _some(target, seed, room, target_is)
    dev = None if anchors is None else _some(anchors, seed, room, target_is)
    mine = [_losses(Path(s), test, dev, say) for s in students]
    theirs = [_losses(Path(s), test, None, say) for s in against]
    readings = after_training(mine, theirs, seed=seed)
    readings = [replace(r, note=_of_what(r, test, dev)) for r in readings]
    write_readings(Path(students[0]), readings)
    return readings


def _checked(student: Path) -> int:
    """The characters of a text that surely fit the student's context; SynthgainError where it is no student."""
    from synthgain.train import student_record

    student_record(student)
    context = json.loads((student / "config.json").read_text("utf-8")).get("max_position_embeddings") or CHARS
    return min(CHARS, int(context) - 8)


def _learnt_answers(students: Sequence[str | Path]) -> bool:
    from synthgain.train import student_record

    return all(student_record(Path(s)).get("method") == "sft" for s in students)


def _some(source: str | Path, seed: int, chars: int, target_is: str) -> list[Pair]:
    """Held-out pairs: texts after nothing, or answers after their prompts as a user's turn; without a word which, where most have an answer."""
    batches, n = real_texts(source)
    table = even_sample(batches, ("text", "asked", "answered"), n, TEXTS, seed)
    texts, asked, answered = (table.column(name).to_pylist() for name in ("text", "asked", "answered"))
    pairs: list[Pair] = [
        ([user(a[: chars // 2])], b[: chars // 2]) for a, b in zip(asked, answered) if a is not None and b is not None
    ]
    if target_is == "text" or (not target_is and len(pairs) < MOST * len(texts)):
        return [("", text[:chars]) for text in texts]
    if not pairs:
        raise SynthgainError(
            "the held-out texts have no answers",
            where=str(source),
            next="give chats, or a column `worked`, `solution`, `output` or `answer`, or --target-is text",
        )
    return pairs


def _of_what(reading: Reading, test: Sequence[Pair] | None, dev: Sequence[Pair] | None) -> str:
    """The note of a reading with what its loss is of, where it is of answers."""
    pairs = {"gain": test, "held_out_loss": test, "held_out_loss_anchors": test, "faithfulness": dev}.get(reading.name)
    of_answers = reading.value is not None and bool(pairs) and bool(pairs and pairs[0][0])
    return "; ".join(
        filter(None, ("loss on the answers alone, given their prompts" if of_answers else "", reading.note))
    )


def _losses(student: Path, test: Sequence[Pair] | None, dev: Sequence[Pair] | None, say: Say | None) -> StudentLosses:
    from synthgain.train import read_pairs, student_record

    record = student_record(student)
    if say is not None:
        say(f"scoring with {student}")
    scorer = open_scorer(student)
    pairs = read_pairs(student)
    known = record["base"] != "scratch"  # random weights are on no disk
    base = open_scorer(str(record["base"])) if known and (pairs is not None or dev) else None

    def losses(by: Scorer | None, asked: Sequence[Any] | None) -> Losses | None:
        return None if by is None or not asked else Losses.of(by.logprobs(list(asked)))

    members, siblings = (pairs.members, pairs.siblings) if pairs is not None else (None, None)
    return StudentLosses(
        record=record,
        test=losses(scorer, test),
        dev=losses(scorer, dev),
        dev_before=losses(base, dev),
        members=losses(scorer, members),
        siblings=losses(scorer, siblings),
        members_before=losses(base, members),
        siblings_before=losses(base, siblings),
    )


# ---------------------------------------------------------------------------------------------- in words


def advice(source: str | Path | Run, readings: Sequence[Reading] = ()) -> Advice | None:
    """The verdict on a measured run or a folder of rounds (use it, read these rows first, do not), or on a data set by its `readings`.

    None of a student's folder.
    """
    from synthgain.report.verdict import Known, advise
    from synthgain.report.verdict_box import advice_on

    folder = _given(source)
    if (folder / "student.json").is_file():
        return None
    if Run.is_at(folder) or (folder / "loop.json").is_file():
        return advice_on(folder)
    rows = next((r.n for r in readings if r.name == "dup_rate_exact" and r.n), None)
    return advise(Known({r.name: r for r in readings}, rows=rows, kept=rows))


def headline(readings: Sequence[Reading]) -> dict[str, str]:
    """What the rows are worth for the task at hand: `name`, the figure that says most, and `says`, its sentence.

    Both are "" where no figure that says so was looked for; the name alone, where none has a value.
    """
    from synthgain.report.worth import headline as said

    return said(readings)


def explain(name: str) -> Any:
    """What a figure is, or what became of a quantity that the paper names (`measure.explain.Explanation`)."""
    from synthgain.measure.explain import explain as explained

    return explained(name)
