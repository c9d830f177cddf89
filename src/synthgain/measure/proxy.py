"""What synthetic rows add for a cheap reader: held-out proxy gain and cross-entropy difference.

    proxy_gain = mean over held-out real tokens of  -ln q_A(x) + ln q_{A+S}(x)       I_V(S → X | A) for V = n-gram models
    target_fit = mean over held-out real tokens of  -ln q_A(x) + ln q_S(x)           (Moore and Lewis, ACL 2010)

q is an interpolated Witten–Bell n-gram model (`ngrams`) over the words of the real text (`words`). Held-out text is the target where
one was given. Else anchors are held out in turn (cross-fitting): the rows made from a held-out anchor leave S with it.
A text counts once, in A and in S, and what only repeats an anchor adds nothing to A: repetition is no information (and a model that
counts would take it for certainty). With a student π0 that gives its token ids, the same over its own tokens with (1 − λ) π0 + λ q in place of q.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from synthgain.measure.compare import PerDocument
from synthgain.measure.data import Data, nothing
from synthgain.measure.held_out import DEV_CHARACTERS, Dev, Earlier, Standing, guarded, hold_out
from synthgain.measure.ngrams import MOST_FOLDS, Asked, Counts, Floats, log_odds, mixed
from synthgain.measure.resample import ratio_interval
from synthgain.measure.words import Ids, Ints, Mask, blocks, content, piece_of
from synthgain.types import Reading, Scorer, SynthgainError
from synthgain.words import NAME

UNIT = "nats/token"
ORDER = {"proxy_gain": 3, "proxy_gain_1": 1, "target_fit": 3, "target_fit_1": 1}
NAMES = tuple(ORDER)
OVERLAP = 0.2  # of the held-out documents that may stand in S
DEV_DOCUMENTS = 1_000
SCORED = 200  # held-out documents that a student is asked about
SCORED_CHARACTERS = 2_000
ENOUGH = 100  # held-out documents
FEW = 8


@runtime_checkable
class TokenScorer(Scorer, Protocol):
    """A scorer that says which tokens it scores: `encode([text])[0]` goes with `logprobs([("", text)])[0]`, token for token."""

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]: ...


class Coder(Protocol):
    """Texts as numbers of a fixed event space."""

    @property
    def size(self) -> int: ...
    def encode(self, pieces: Sequence[str]) -> Ids: ...


@dataclass(frozen=True)
class TokenCodes:
    """The event space of a student's own tokens."""

    scorer: TokenScorer

    @property
    def size(self) -> int:
        return self.scorer.vocabulary

    def encode(self, pieces: Sequence[str]) -> Ids:
        """Token ids of all pieces, each piece after two marks of a beginning."""
        lead = [self.size, self.size]
        coded = [np.asarray(lead + list(ids), np.int32) for ids in self.scorer.encode(list(pieces))]
        return np.concatenate(coded) if coded else np.zeros(0, np.int32)


# ---------------------------------------------------------------------------------------------- counting


@dataclass(frozen=True)
class Counted:
    """The counts of A, of the rows that repeat no anchor, and of those that do, each text once; and what stands in S."""

    asked: Asked
    real: Counts
    made: Counts
    copied: Counts
    standing: Floats  # of each held-out document the share of its 8-word spans that stand in S; NaN: it has none
    words: int  # of the rows
    added: int  # of them in rows that say what no anchor says
    repeated: int  # rows that say what an anchor or an earlier row says
    staying: int  # rows that name no anchor that is here, so that they leave no fold


def count(data: Data, dev: Dev, coder: Coder) -> Counted:
    """One pass over the anchors and one over the rows."""
    size = coder.size
    coded = [(owners, coder.encode(pieces)) for owners, pieces in blocks(dev.texts)]
    flat = np.concatenate([f for _, f in coded])
    document = np.concatenate([owners[piece_of(f == size)] for owners, f in coded])
    asked = Asked.by(flat, document, dev.fold[document], size, dev.folds)
    real = Counts(asked)
    start = 0
    for table in data.anchors(("text",)):
        stop = start + len(table)
        _count(real, coder, _only(table.column("text").to_pylist(), dev.once[start:stop]), dev.left[start:stop])
        start = stop
    made, copied, standing = Counts(asked), Counts(asked), Standing(flat, document, dev, size)
    earlier, added, again, repeated, staying = Earlier(), 0, 0, 0, 0
    for table in data.rows(("text", "anchor_ids")):
        texts = table.column("text").to_pylist()
        numbers = np.array([content(text or "") for text in texts], np.int64)
        new, copy = earlier.new(numbers), np.isin(numbers, dev.contents)
        left = dev.rows_out(table.column("anchor_ids"))
        added += _count(made, coder, _only(texts, new & ~copy), left, standing)
        if copy.any():
            again += _count(copied, coder, _only(texts, new & copy), left, standing)
        repeated += int((~new | copy).sum())
        staying += int((left == 0).sum())
    return Counted(asked, real, made, copied, standing.shares(), added + again, added, repeated, staying)


def _only(texts: list[str | None], these: Mask) -> list[str | None]:
    """The texts, empty where they do not count."""
    return texts if these.all() else [text if counts else "" for text, counts in zip(texts, these.tolist())]


def _count(counts: Counts, coder: Coder, texts: list[str | None], left: Ints, standing: Standing | None = None) -> int:
    """Count texts; `left`: the folds (bits) that each is left out of. Gives the number of words."""
    words = 0
    for owners, pieces in blocks(texts):
        flat = coder.encode(pieces)
        begins = flat == coder.size
        leaves = left[owners][piece_of(begins)]
        counts.add(flat, leaves)
        if standing is not None:
            standing.add(flat, begins, leaves)
        words += int(len(flat) - begins.sum())
    return words


# ---------------------------------------------------------------------------------------------- the figures


@dataclass(frozen=True)
class Judged:
    """The gains document by document: sums of nats by figure, and of tokens (0: left out). `added`: words of rows that say what no anchor says."""

    dev: Dev
    gains: dict[str, Floats]
    length: Floats
    use: Mask
    notes: list[str]
    added: int


def judged(
    data: Data,
    dev_limit: int = DEV_DOCUMENTS,
    folds: int = 10,
    overlap: float | None = OVERLAP,
    beside: Callable[[Dev, Asked], Floats] | None = None,
) -> Judged | str:
    """Every held-out document's gains, or why there are none.

    `beside` gives ln p of every held-out event under a law that needs no counting; each model is then a mixture with it, its weight cross-fitted.
    """
    dev = hold_out(data, dev_limit, max(2, min(folds, MOST_FOLDS)))
    if isinstance(dev, str):
        return dev
    counted = count(data, dev, dev.vocabulary)
    if not counted.words:
        return "no row has any words"
    use, refused, guard = guarded(counted.standing, overlap)
    if refused:
        return refused
    document, n = counted.asked.document, len(dev.texts)
    length = np.where(use, _by_document(document, np.ones(len(document)), n), 0.0)
    if (length > 0).sum() < 2:
        return "fewer than 2 held-out documents have words"
    notes = [*_notes(data, dev, counted.staying), *guard]
    if counted.repeated:
        notes.append(f"each text counts once: {counted.repeated:,} rows repeat an anchor or an earlier row")
    real, both = log_odds(counted.real), log_odds(counted.real, counted.made)
    made = log_odds(counted.made, counted.copied)
    if beside is not None:
        law = beside(dev, counted.asked)
        real, both, made = ([mixed(q, law, document) for q in model] for model in (real, both, made))
    gains = {
        name: np.where(use, _by_document(document, against[order - 1] - real[order - 1], n), 0.0)
        for name, order, against in zip(NAMES, ORDER.values(), (both, both, made, made))
    }
    return Judged(dev, gains, length, use, notes, counted.added)


def proxy_gain(
    data: Data,
    *,
    scorer: Scorer | None = None,
    dev_limit: int = DEV_DOCUMENTS,
    folds: int = 10,
    overlap: float | None = OVERLAP,
    found: Judged | str | None = None,
) -> list[Reading]:
    """`proxy_gain` (3-grams), `proxy_gain_1` (words alone), `target_fit`, `target_fit_1`; with a scorer also `proxy_gain_mixture`.

    `overlap` is the guard: held-out documents more than half of whose 8-word spans stand in S are left out, and where their share is
    above `overlap` nothing is measured. None switches it off. `found` is what `judged` gave, where that is known already.
    """
    found = judged(data, dev_limit, folds, overlap) if found is None else found
    if isinstance(found, str):
        names = (*NAMES, "proxy_gain_mixture") if scorer is not None else NAMES
        return [nothing(name, found, unit=UNIT) for name in names]
    readings = []
    for name, gain in found.gains.items():
        model = f"interpolated Witten–Bell {ORDER[name]}-gram, V = {found.dev.vocabulary.size:,} ({NAME})"
        readings.append(gain_reading(name, gain, found.length, model, found.notes, data))
    if scorer is not None:
        readings.append(mixture(data, found.dev, scorer, found.use, found.notes))
    return readings


def held_out_gains(data: Data, found: Judged | str | None = None) -> dict[str, PerDocument]:
    """The same figures document by document, so that two sets are paired on the same held-out text. Empty where nothing is measured."""
    found = judged(data) if found is None else found
    if isinstance(found, str):
        return {}
    said = found.length > 0
    documents = np.array([content(text) for text in found.dev.texts], np.int64)[said]
    return {name: PerDocument(documents, gain[said], found.length[said]) for name, gain in found.gains.items()}


def _by_document(document: Ints, values: Floats, n: int) -> Floats:
    return np.asarray(np.bincount(document, weights=values, minlength=n), np.float64)


def _notes(data: Data, dev: Dev, staying: int) -> list[str]:
    """`staying`: rows that name none of the anchors that are here."""
    notes = list(dev.said)
    if data.target is None and staying == data.n_rows:
        who = "rows name anchors that are not here" if data.linked else "rows do not name their anchors"
        notes.append(f"{who}, so what was made from a held-out anchor stays in S: the gain may be too high")
    elif data.target is None:
        stay = f"; {staying:,} rows that name none that is here stay in every fold" if staying else ""
        notes.append(f"rows made from a held-out anchor leave S with it{stay}")
    cut = sum(len(text) == DEV_CHARACTERS for text in dev.texts)
    if cut:
        notes.append(f"{cut:,} held-out documents read up to {DEV_CHARACTERS:,} characters")
    return notes


def gain_reading(name: str, gain: Floats, length: Floats, model: str, notes: Sequence[str], data: Data) -> Reading:
    """Σ gain / Σ length over documents, with its interval."""
    documents = int((length > 0).sum())
    ratio = ratio_interval(gain, length, seed=data.seed)
    said = list(notes)
    if documents < FEW:
        said.append(f"only {documents} held-out documents: the interval is wide and yet too narrow")
    elif documents < ENOUGH:
        said.append(f"{documents} held-out documents; {ENOUGH} or more are recommended")
    said.append(
        "the interval is that of the held-out documents, around the mean over the folds' A and S, which are a little smaller than the whole"
        if data.target is None
        else "A and S are held fixed: the interval is that of the held-out documents"
    )
    return Reading(
        name,
        ratio.value,
        ratio.low,
        ratio.high,
        unit=UNIT,
        n=documents,
        estimator=f"{model}; {ratio.method}",
        note="; ".join(said),
    )


# ---------------------------------------------------------------------------------------------- with a student


def mixture(data: Data, dev: Dev, scorer: Scorer, use: Mask, notes: Sequence[str]) -> Reading:
    """`proxy_gain_mixture`: q in a mixture with π0, token by token over π0's own tokens, which q is a law of too."""
    name = "proxy_gain_mixture"
    if not isinstance(scorer, TokenScorer):
        why = "the student does not give its token ids (encode, vocabulary), so it has no token mixture with q"
        return nothing(name, why, unit=UNIT)
    chosen = np.flatnonzero(use)[:: max(1, -(-int(use.sum()) // SCORED))]
    texts = [dev.texts[i][:SCORED_CHARACTERS] for i in chosen]
    try:
        student = np.array([p for found in scorer.logprobs([("", text) for text in texts]) for p in found], float)
        counted = count(data, replace(dev, texts=texts, fold=dev.fold[chosen]), TokenCodes(scorer))
    except SynthgainError as error:
        return nothing(name, f"the student cannot score held-out text: {error.what}", unit=UNIT)
    document = counted.asked.document
    length = _by_document(document, np.ones(len(document)), len(texts))
    for wrong, why in (
        (len(student) != len(document), "the student scores other tokens than it encodes"),
        (not np.isfinite(student).all(), "the student's log-probabilities are not all finite"),
        ((length > 0).sum() < 2, "fewer than 2 held-out documents have tokens"),
    ):
        if wrong:
            return nothing(name, why, unit=UNIT)
    real = mixed(student, log_odds(counted.real)[2], document)
    both = mixed(student, log_odds(counted.real, counted.made)[2], document)
    model = f"(1 − λ) π0 + λ q over π0's tokens, q a Witten–Bell 3-gram, λ cross-fitted; π0 {scorer.identity[:12]}"
    if any(len(text) == SCORED_CHARACTERS for text in texts):
        notes = [*notes, f"the student read documents up to {SCORED_CHARACTERS:,} characters"]
    return gain_reading(name, _by_document(document, both - real, len(texts)), length, model, notes, data)
