"""Who looks at the data when it is measured: a student, a writer, vectors; and log-probabilities that are read again."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from synthgain.api.telling import Say
from synthgain.measure import (
    Data,
    Instruments,
    Rescoring,
    even_sample,
)
from synthgain.measure.data import batched
from synthgain.measure.probe import Learner
from synthgain.models import Reach, open_scorer, weights_at
from synthgain.store import Run
from synthgain.types import Sampling, SynthgainError

if TYPE_CHECKING:
    from synthgain.models.embedders import Embedder


RESCORED = 256  # rows whose log-probabilities are made anew


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


def law_of(folder: Path) -> Sampling:
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


def read_again(run: Run, data: Data, uri: str, say: Say | None) -> Rescoring:
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
