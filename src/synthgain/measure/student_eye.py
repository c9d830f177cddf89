"""The student's eye on the rows: how they surprise it, and how much of that it could learn (ESTIMATORS I2).

    CE_0 = E[-ln π0(y|p)] = H(Y|p) + KL(M(.|p) ‖ π0(.|p))         surprise = randomness + what is transferable

Both terms are taken on the same rows. The student reads a row's own prompt (its last user turn), which may be another text
than the writer was asked with; the difference is then the divergence of M given its prompt from the student given the row's.
After a filter of acceptance rate a, the mean over kept rows is KL(D_gen ‖ π0) - (-ln a), with `curation_nats` = -ln a.

Tokens belong to one tokenizer: a difference per token is given only where writer and student count the same tokens, a
difference per byte or per sample always.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synthgain.intervals import mean_t
from synthgain.measure.data import Data, even_sample, nothing, units
from synthgain.measure.randomness import Told, UnitSums, alone, counts_of, logprobs_of, ratio_t
from synthgain.types import Message, Reading, Scorer, SynthgainError, user

COLUMNS = ("prompt", "answer", "anchor_ids", "logprob", "tokens_out", "law")
UNITS = {
    "surprise": "nats/token",
    "surprise_byte": "nats/byte",
    "transfer_kl": "nats/token",
    "transfer_kl_byte": "nats/byte",
    "transfer_kl_sample": "nats/sample",
}
SAME = 0.9  # share of rows whose tokens writer and student must count alike to be called one tokenizer
OTHER = 1.8  # so many times more tokens on one side than two tokenizers make of one text: it was another text
LONGEST = 1 << 20  # characters of prompt and answer that are scored at all: more fits no context
Pair = tuple[str | Sequence[Message], str]


def surprise(data: Data, *, scorer: Scorer, most: int = 300, as_chat: bool = True) -> list[Reading]:
    """`surprise`, `surprise_byte`, `transfer_kl`, `transfer_kl_byte`, `transfer_kl_sample` on an even sample of `most` rows.

    `scorer` is the student before training. `as_chat`: a row's prompt is sent as a user's turn through the chat template (else as
    raw text). A scorer whose attribute `ends` is true also gives the log-probability of the answer's end, as its last value.
    """
    table = even_sample(data.rows, COLUMNS, data.n_rows, most, data.seed)
    if not len(table):
        return [nothing(name, "there are no kept rows", unit=unit) for name, unit in UNITS.items()]
    prompts, answers = table.column("prompt").to_pylist(), table.column("answer").to_pylist()
    pairs = [(conditioned(prompt or "", as_chat), answer or "") for prompt, answer in zip(prompts, answers)]
    scored, left_out = scores(scorer, pairs)
    taken = table.filter(pa.array([values is not None for values in scored], pa.bool_()))
    eye = align([v for v in scored if v is not None], counts_of(taken), bool(getattr(scorer, "ends", False)))
    why = unscored(eye.values, left_out)
    if why:
        return [nothing(name, why, unit=unit) for name, unit in UNITS.items()]
    sizes = np.array(
        [float(len((a or "").encode("utf-8", "surrogatepass"))) for a in taken.column("answer").to_pylist()]
    )
    note = _sampled(data, len(taken), len(table), left_out)
    return _surprise(taken, eye, sizes, note) + _transfer(taken, eye, sizes, note)


def conditioned(prompt: str, as_chat: bool = True) -> str | list[Message]:
    """What the answer is conditioned on: a user's turn, raw text, or nothing."""
    return [user(prompt)] if as_chat and prompt else prompt


def scores(scorer: Scorer, pairs: Sequence[Pair]) -> tuple[list[list[float] | None], Counter[str]]:
    """Token log-probabilities pair by pair, None where the scorer cannot take the pair; the reasons with their counts.

    A pair that is refused (longer than the context, …) is found by halving, so that it does not cost its batch.
    """
    short = [at for at, (before, text) in enumerate(pairs) if len(text) + _length(before) <= LONGEST]
    found: list[list[float] | None] = [None] * len(pairs)
    reasons: Counter[str] = Counter({f"longer than {LONGEST:,} characters": len(pairs) - len(short)})
    stack = [short] if short else []
    while stack:
        part = stack.pop()
        try:
            for at, values in zip(part, scorer.logprobs([pairs[at] for at in part]), strict=True):
                found[at] = values
        except SynthgainError as error:
            if len(part) == 1:
                reasons[error.what] += 1
            else:
                stack += [part[len(part) // 2 :], part[: len(part) // 2]]
    return found, +reasons


def _length(before: str | Sequence[Message]) -> int:
    return len(before) if isinstance(before, str) else sum(len(message["content"]) for message in before)


def unscored(scored: Sequence[Sequence[float] | None], left_out: Counter[str]) -> str:
    """Why there is no figure; "" where there is one."""
    values = np.array([math.fsum(one) for one in scored if one is not None and all(map(math.isfinite, one))])
    bad = sum(one is not None for one in scored) - len(values)
    if bad:
        return f"the scorer gives {bad:,} of {len(scored):,} rows no finite log-probability"
    if not len(values):
        return f"the scorer took no row: {left_out.most_common(1)[0][0]}" if left_out else "there are no rows"
    if not any(scored):
        return "the answers are empty"
    return ""


def _sampled(data: Data, kept: int, asked: int, left_out: Counter[str]) -> str:
    said = [f"on {kept:,} of {data.n_rows:,} kept rows"] if kept < data.n_rows else ["on all kept rows"]
    if left_out:
        named = ", ".join(f"{what} ({count:,})" for what, count in left_out.most_common(3))
        said.append(f"{asked - kept:,} of {asked:,} sampled rows left out: {named}")
    return "; ".join(said)


# ---------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True)
class Sums:
    """Sums of columns inside each prompt; the last counts rows."""

    columns: np.ndarray

    @staticmethod
    def of(table: pa.Table, *columns: np.ndarray) -> Sums:
        sums = UnitSums(len(columns) + 1)
        sums.add(units(table), *columns, np.ones(len(table)))
        return Sums(sums.columns())

    def ratio(self, name: str, estimator: str, note: str, kind: str = "estimate") -> Reading:
        """Reading of Σ first column / Σ second column."""
        top, bottom, rows = self.columns
        if not bottom.sum():
            return nothing(name, "the answers are empty", unit=UNITS[name])
        return _reading(
            name, alone(*ratio_t(top, bottom)), len(rows), f"{estimator}, delta-method t over prompts", note, kind
        )


def _reading(
    name: str, found: tuple[float, float | None, float | None], n: int, estimator: str, note: str, kind: str
) -> Reading:
    value, low, high = found
    if low is None:
        note += "; one prompt gives no interval" if n < 2 else "; every prompt gives the same figure: no interval"
    return Reading(
        name,
        value,
        low,
        high,
        unit=UNITS[name],
        n=n,
        estimator=estimator,
        note=note,
        kind="lower bound" if kind == "lower bound" else "estimate",
    )


def _surprise(table: pa.Table, eye: Alignment, sizes: np.ndarray, note: str) -> list[Reading]:
    nats, counts = eye.nats, eye.counts
    return [
        Sums.of(table, nats, counts).ratio("surprise", "Σ -ln π0(y|p) / Σ tokens of the student", note),
        Sums.of(table, nats, sizes).ratio("surprise_byte", "Σ -ln π0(y|p) / Σ bytes", note),
    ]


def _transfer(table: pa.Table, eye: Alignment, sizes: np.ndarray, note: str) -> list[Reading]:
    names = ("transfer_kl", "transfer_kl_byte", "transfer_kl_sample")
    told = Told()
    told.add(table)
    why = told.why()
    if why:
        return [nothing(name, f"delta_I on the same rows: {why}", unit=UNITS[name]) for name in names]
    writer, student = float(counts_of(table).sum()), float(eye.counts.sum())
    if writer > 0 and not writer / OTHER <= student <= writer * OTHER:
        why = f"the log-probabilities are of another text than the answers ({writer:,.0f} tokens, {student:,.0f} in the answers)"
        return [
            nothing(
                name,
                f"{why}: several calls made one row, one made several, or a token of the one is many of the other",
                unit=UNITS[name],
            )
            for name in names
        ]
    nats, tokens = eye.nats + logprobs_of(table), counts_of(table)
    kind = "lower bound" if eye.endless else "estimate"
    note = "; ".join(part for part in (note, f"law: {told.law}", eye.note) if part)
    how = "(-ln π0(y|p) + ln M_T(y|p)), paired by row"
    if eye.same:
        per_token = Sums.of(table, nats, tokens).ratio("transfer_kl", f"Σ {how} / Σ tokens", note, kind)
    else:
        per_token = nothing("transfer_kl", f"{eye.why}: see transfer_kl_byte", unit=UNITS["transfer_kl"])
    per_byte = Sums.of(table, nats, sizes).ratio("transfer_kl_byte", f"Σ {how} / Σ bytes", note, kind)
    total, rows = Sums.of(table, nats).columns
    mean = alone(*mean_t((total / rows).tolist()))
    over = f"mean over prompts of the mean of {how}, t over prompts"
    return [per_token, per_byte, _reading("transfer_kl_sample", mean, len(rows), over, note, kind)]


@dataclass(frozen=True)
class Alignment:
    """The student's token log-probabilities on what the writer's are of, and what must be known of them."""

    values: Sequence[Sequence[float]]
    same: bool  # one tokenizer
    endless: bool  # the end of the answers stands in the writer's sum only
    note: str
    why: str = ""

    @property
    def nats(self) -> np.ndarray:
        """-ln π0(y|p), a row."""
        return np.array([-math.fsum(values) for values in self.values])

    @property
    def counts(self) -> np.ndarray:
        """Tokens of the student, a row."""
        return np.array([float(len(values)) for values in self.values])


def align(scored: Sequence[Sequence[float]], tokens_out: np.ndarray, ends: bool) -> Alignment:
    """Sets the student's tokens beside the writer's counts, answer by answer.

    With one tokenizer the counts are equal; the student's is one less where it does not score the end of the answer, and one
    more where it does (`ends`) and the answer was cut off before it, so that the last value goes.
    """
    counts = np.array([float(len(values)) for values in scored])
    more = counts - tokens_out
    known = bool((tokens_out > 0).all())
    alike = ((more == 0) | (more == -1) | (ends & (more == 1))) & (tokens_out > 0)
    if not known or not len(scored) or alike.mean() < SAME:
        why = f"writer and student count other tokens ({tokens_out.sum():,.0f} and {counts.sum():,.0f} on the same answers)"
        why = why if known else "the writer's tokens are not counted"
        return Alignment(scored, False, False, f"{why}: whether both sums hold the end of the answer is not known", why)
    cut = ends & (more == 1)
    endless, rest = bool((more == -1).any()), int((~alike).sum())
    said = [f"{rest:,} rows cut into other tokens by the student"] * bool(rest)
    said += [
        "the end of the answer is in the writer's sum only, so the figure is too low by what the end costs the student"
    ] * endless
    return Alignment([v[:-1] if short else v for v, short in zip(scored, cut)], True, endless, "; ".join(said))
