"""The data meter: every default figure of one data set, before any training, in a fixed order.

The headline comes first (`proxy_gain`, `target_fit`, with `grounded` beside them); everything behind it is diagnosis. There is no weighted
composite score: none has been shown to predict a gain on a task that it was not fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from synthgain.measure.copying import copy_rate, copy_rate_any, test_overlap
from synthgain.measure.curation import curation, kept_share
from synthgain.measure.data import Data, nothing
from synthgain.measure.dependence import nhsic
from synthgain.measure.gradients import grad_align
from synthgain.measure.grounded import Grounds
from synthgain.measure.prompt_information import i_prompt
from synthgain.measure.proxy import Judged, proxy_gain
from synthgain.measure.randomness import delta_i
from synthgain.measure.semantic_entropy import h_meaning
from synthgain.measure.student_eye import surprise
from synthgain.measure.two_sample import tv_lower
from synthgain.measure.variety import distinct_2, dup_rate, dup_rate_exact
from synthgain.measure.vendi import vendi
from synthgain.models.embedders import Embedder
from synthgain.types import Reading, Scorer, SynthgainError

ALSO = ("h_meaning", "grad_align")  # asked for by name: they cost generations or a student's gradients


@dataclass(frozen=True)
class Instruments:
    """The models that look at the data; None: the figures that need one are null, with the reason.

    `student` scores given texts before training; `writer` scores them as the model that wrote, under the rows' law.
    `embedder` gives vectors. `folder` is the student's transformers folder, for gradients.
    """

    student: Scorer | None = None
    writer: Scorer | None = None
    embedder: Embedder | None = None
    why_no_embedder: str = ""
    folder: Path | None = None


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
    grounds: Grounds | None = None,
    also: Sequence[str] = (),
    say: Callable[[str], None] | None = None,
) -> list[Reading]:
    """The default readings of ESTIMATORS section 6, with those of `also`. A figure that cannot be computed is null and says why.

    `again` are rows whose log-probabilities stand in for those of `data`; `gains` and `grounds` are what `judged` and
    `Grounds.of` gave of it, where they are known.
    """
    instruments = instruments or Instruments()
    unknown = [name for name in also if name not in ALSO]
    if unknown:
        raise SynthgainError(f"there is no further figure {unknown[0]!r}", next=f"choose from {', '.join(ALSO)}")
    found: list[Reading] = []
    for name, figure in _figures(data, instruments, again, gains, grounds, also):
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
    grounds: Grounds | None,
    also: Sequence[str],
) -> list[tuple[str, Figure]]:
    """The figures in their order, by the name under which they are said to be under way."""
    scored, note = (data, "") if again is None else (again.data, again.note)
    student, writer, vectors = instruments.student, instruments.writer, instruments.embedder
    blind = instruments.why_no_embedder or "no embedder was given"
    no_student, no_writer = (
        "no student was given: --student URI",
        "nobody was given who scores texts as the writer: --writer URI",
    )
    figures: list[tuple[str, Figure]] = [
        ("proxy_gain", lambda: proxy_gain(data, scorer=student, found=gains)),
        ("grounded", lambda: [(grounds or Grounds.of(data)).reading()]),
        ("delta_I", lambda: _noted(delta_i(scored), note)),
        (
            "surprise",
            _by(
                student,
                no_student,
                ("surprise", "transfer_kl"),
                "nats/token",
                lambda s: _noted(surprise(scored, scorer=s), note),
            ),
        ),
        ("curation_nats", lambda: curation(data)),
        ("tv_lower", _by(vectors, blind, ("tv_lower",), "prob", lambda e: [tv_lower(data, embedder=e)])),
        ("vendi", _by(vectors, blind, ("vendi", "vendi_anchors"), "count", lambda e: vendi(data, embedder=e))),
        ("dup_rate", lambda: [*dup_rate(data), dup_rate_exact(data)]),
        ("distinct_2", lambda: distinct_2(data)),
        ("copy_rate", lambda: [copy_rate(data), copy_rate_any(data), test_overlap(data)]),
        ("nhsic", _by(vectors, blind, ("nhsic", "nhsic_p"), "", lambda e: nhsic(data, embedder=e))),
        ("i_prompt", _by(writer, no_writer, ("i_prompt",), "nats/sample", lambda w: i_prompt(data, scorer=w))),
        ("tokens_out", lambda: [tokens_out(data), kept_share(data)]),
    ]
    asked = {
        "h_meaning": _by(vectors, blind, ("h_meaning",), "nats/prompt", lambda e: [h_meaning(data, embedder=e)]),
        "grad_align": _by(
            instruments.folder, no_student, ("grad_align",), "", lambda folder: grad_align(data, folder=folder)
        ),
    }
    return figures + [(name, asked[name]) for name in also]


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
