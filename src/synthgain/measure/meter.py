"""The data meter: every default figure of one data set, before any training, in a fixed order.

What comes first depends on where the value lies (`aim`): of texts `proxy_gain` and `target_fit` with `grounded` beside them, of answers the share
right with the checks' nats, and the same two on answers given their prompts. Everything behind it is diagnosis. There is no weighted
composite score: none has been shown to predict a gain on a task that it was not fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from synthgain.measure.aim import Aim, aim_of
from synthgain.measure.answers import answer_gains
from synthgain.measure.copying import copy_rate, copy_rate_any, test_overlap
from synthgain.measure.curation import curation, kept_share, right_share
from synthgain.measure.data import Data, nothing
from synthgain.measure.dependence import nhsic
from synthgain.measure.gain import UNIT
from synthgain.measure.gradients import NAMES as GRADIENTS
from synthgain.measure.gradients import grad_align
from synthgain.measure.grounded import Grounds
from synthgain.measure.probe import CONTEXT, Learner, context_gain, probe_gain
from synthgain.measure.prompt_information import PROMPTS, i_prompt
from synthgain.measure.proxy import Judged, proxy_gain
from synthgain.measure.randomness import delta_i
from synthgain.measure.semantic_entropy import h_meaning
from synthgain.measure.spread import NAMES as SPREAD
from synthgain.measure.spread import mdm
from synthgain.measure.student_eye import surprise
from synthgain.measure.two_sample import tv_lower
from synthgain.measure.variety import distinct_2, dup_rate, dup_rate_exact
from synthgain.measure.vendi import vendi
from synthgain.models.embedders import Embedder
from synthgain.types import Reading, Scorer, SynthgainError

NO_STUDENT = "no student was given: --student URI"
OF_TEXTS = "of whole texts, where the value lies in the answers"
OF_WORDING = "of how answers are worded, and a rule looked at whether they are right: right_share"
ALSO = (
    "h_meaning",
    "grad_align",
    "probe_gain",
    "context_gain",
)  # asked for by name: they cost generations, or a student's steps or reading


@dataclass(frozen=True)
class Instruments:
    """The models that look at the data; None: the figures that need one are null, with the reason.

    `student` scores given texts before training; `writer` scores them as the model that wrote, under the rows' law.
    `embedder` gives vectors. `folder` is the student's transformers folder, for gradients; `learner` is the student that takes small steps.
    """

    student: Scorer | None = None
    writer: Scorer | None = None
    embedder: Embedder | None = None
    why_no_embedder: str = ""
    folder: Path | None = None
    learner: Learner | None = None


@dataclass(frozen=True)
class Rescoring:
    """Some of the rows with log-probabilities that were made after the fact, and what to say of them."""

    data: Data
    note: str


def meter(
    data: Data,
    instruments: Instruments | None = None,
    *,
    again: Rescoring | None = None,
    gains: Judged | str | None = None,
    answers: Judged | str | None = None,
    grounds: Grounds | None = None,
    aim: Aim | None = None,
    also: Sequence[str] = (),
    prompts: int = PROMPTS,
    say: Callable[[str], None] | None = None,
) -> list[Reading]:
    """The default readings of ESTIMATORS section 6, with those of `also`. A figure that cannot be computed is null and says why.

    `again` are rows whose log-probabilities stand in for those of `data`; `gains`, `answers`, `grounds` and `aim` are what `judged`,
    `judged_answers`, `Grounds.of` and `aim_of` gave of it, where they are known. `prompts` is how many `i_prompt` compares.
    """
    instruments = instruments or Instruments()
    grounds = grounds or Grounds.of(data)
    aim = aim or aim_of(data, grounds)
    unknown = [name for name in also if name not in ALSO]
    if unknown:
        raise SynthgainError(f"there is no further figure {unknown[0]!r}", next=f"choose from {', '.join(ALSO)}")
    found: list[Reading] = []
    figures = _figures(data, instruments, again, gains, grounds, prompts) + _asked(data, instruments, aim, also, say)
    for name, figure in _of_answers(data, figures, answers) if aim.answers else figures:
        if say is not None:
            say(name)
        found += figure()
    return found


Figure = Callable[[], list[Reading]]
Instrument = TypeVar("Instrument")


def _figures(
    data: Data,
    instruments: Instruments,
    again: Rescoring | None,
    gains: Judged | str | None,
    grounds: Grounds,
    prompts: int,
) -> list[tuple[str, Figure]]:
    """The figures in their order, by the name under which they are said to be under way."""
    scored, note = (data, "") if again is None else (again.data, again.note)
    student, writer, vectors = instruments.student, instruments.writer, instruments.embedder
    blind = instruments.why_no_embedder or "no embedder was given"
    no_writer = "nobody was given who scores texts as the writer: --writer URI"
    return [
        ("proxy_gain", lambda: proxy_gain(data, scorer=student, found=gains)),
        ("grounded", lambda: [grounds.reading()]),
        ("delta_I", lambda: _noted(delta_i(scored), note)),
        (
            "surprise",
            _by(
                student,
                NO_STUDENT,
                ("surprise", "transfer_kl"),
                "nats/token",
                lambda s: _noted(surprise(scored, scorer=s), note),
            ),
        ),
        ("curation_nats", lambda: curation(data)),
        ("tv_lower", _by(vectors, blind, ("tv_lower",), "prob", lambda e: [tv_lower(data, embedder=e)])),
        ("mdm", _by(vectors, blind, SPREAD, "unitless", lambda e: mdm(data, embedder=e))),
        ("vendi", _by(vectors, blind, ("vendi", "vendi_anchors"), "count", lambda e: vendi(data, embedder=e))),
        ("dup_rate", lambda: [*dup_rate(data), dup_rate_exact(data)]),
        ("distinct_2", lambda: distinct_2(data)),
        ("copy_rate", lambda: [copy_rate(data), copy_rate_any(data), test_overlap(data)]),
        ("nhsic", _by(vectors, blind, ("nhsic", "nhsic_p"), "", lambda e: nhsic(data, embedder=e))),
        (
            "i_prompt",
            _by(writer, no_writer, ("i_prompt",), "nats/sample", lambda w: i_prompt(data, scorer=w, prompts=prompts)),
        ),
        ("tokens_out", lambda: [tokens_out(data), kept_share(data)]),
    ]


def _asked(
    data: Data, instruments: Instruments, aim: Aim, also: Sequence[str], say: Callable[[str], None] | None
) -> list[tuple[str, Figure]]:
    """The figures that were asked for by name."""
    vectors, learner = instruments.embedder, instruments.learner
    blind = instruments.why_no_embedder or "no embedder was given"
    asked = {
        "h_meaning": _by(vectors, blind, ("h_meaning",), "nats/prompt", lambda e: [h_meaning(data, embedder=e)]),
        "grad_align": _by(
            instruments.folder, NO_STUDENT, GRADIENTS, "", lambda folder: grad_align(data, folder=folder, aim=aim)
        ),
        "probe_gain": _by(
            learner, NO_STUDENT, ("probe_gain",), UNIT, lambda found: probe_gain(data, aim, found, say=say)
        ),
        "context_gain": _by(
            learner, NO_STUDENT, CONTEXT, UNIT, lambda found: context_gain(data, aim, found.scorer, say=say)
        ),
    }
    return [(name, asked[name]) for name in also]


def _of_answers(
    data: Data, figures: Sequence[tuple[str, Figure]], found: Judged | str | None
) -> list[tuple[str, Figure]]:
    """The figures where value lies in answers: those of answers first, and those of whole texts say what they are."""
    by_name, right = dict(figures), right_share(data)
    wording = OF_WORDING if right.value is not None else ""
    first: list[tuple[str, Figure]] = [
        ("right_share", lambda: [right]),
        ("curation_nats", by_name.pop("curation_nats")),
        ("proxy_gain_answer", lambda: _noted(answer_gains(data, found), wording)),
    ]
    texts = by_name.pop("proxy_gain")
    return [*first, ("proxy_gain", lambda: _noted(texts(), OF_TEXTS)), *by_name.items()]


def _by(
    instrument: Instrument | None,
    why: str,
    names: Sequence[str],
    unit: str,
    figure: Callable[[Instrument], list[Reading]],
) -> Figure:
    """The figure by that instrument; where there is none, nulls with the reason."""
    return lambda: [nothing(name, why, unit=unit) for name in names] if instrument is None else figure(instrument)


def _noted(readings: Sequence[Reading], note: str) -> list[Reading]:
    return [replace(r, note="; ".join(filter(None, (note, r.note)))) for r in readings]


# ---------------------------------------------------------------------------------------------- plain counts


def tokens_out(data: Data) -> Reading:
    """Mean tokens that the models wrote for a kept row, by their own tokenizers."""
    total, without = 0, 0
    for table in data.rows(("tokens_out",)):
        counts = [max(n or 0, 0) for n in table.column("tokens_out").to_pylist()]
        total += sum(counts)
        without += counts.count(0)
    if not total:
        return nothing(
            "tokens_out", "there are no kept rows" if not data.n_rows else "no token counts", unit="tokens/row"
        )
    if without:
        return nothing("tokens_out", f"{without:,} of {data.n_rows:,} rows have no token count", unit="tokens/row")
    return Reading(
        "tokens_out",
        total / data.n_rows,
        unit="tokens/row",
        n=data.n_rows,
        estimator="mean over all kept rows",
        kind="exact",
    )
