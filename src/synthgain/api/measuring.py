"""The meter for users: one data set, or a trained student (`measuring_students`), and what is said of them in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgain.api.instruments import instruments_for, law_of, read_again
from synthgain.api.measuring_students import measure_students
from synthgain.api.places import kept_if_it_can_be
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.sources import data_of_files, data_of_run
from synthgain.api.telling import Say
from synthgain.measure import (
    Data,
    meter,
)
from synthgain.measure.aim import aim_of
from synthgain.measure.grounded import Grounds
from synthgain.measure.prompt_information import PROMPTS
from synthgain.models import Reach
from synthgain.store import Run
from synthgain.types import Reading, SynthgainError

if TYPE_CHECKING:
    from synthgain.report.verdict import Advice

TRIED = {"probe_gain", "context_gain"}  # figures that ask the student


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
    again = read_again(Run.at(folder), data, rescore, say) if rescore else None
    law = law_of(folder) if writer else None
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
        with kept_if_it_can_be("the figures", run.path):
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

    Both are "" where no figure that says so was looked for. Where none of them has a value, `name` is "" and `says` tells why.
    """
    from synthgain.report.worth import headline as said

    return said(readings)


def explain(name: str) -> Any:
    """What a figure is, or what became of a quantity that the paper names (`measure.explain.Explanation`)."""
    from synthgain.measure.explain import explain as explained

    return explained(name)
