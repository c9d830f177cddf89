"""What the rows' answers add, their prompts being given: `proxy_gain` and `target_fit` on the answers of held-out real pairs alone.

    proxy_gain_answer = mean over tokens of held-out answers of  -ln q_A(y | x) + ln q_{A+S}(y | x)
    target_fit_answer = the same with q_S in place of q_{A+S}

q is the n-gram model of `proxy`, counted over answers only, in a mixture with the words of the pair's own prompt (an answer names what it was
asked about); the mixture's weight is cross-fitted over held-out pairs, for each model its own. So what predicts questions has no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthgain.measure.compare import PerDocument
from synthgain.measure.data import Batches, Data, even_sample, nothing
from synthgain.measure.held_out import DEV_CHARACTERS, Dev
from synthgain.measure.ngrams import Asked, Floats
from synthgain.measure.proxy import UNIT, Judged, gain_reading, judged
from synthgain.measure.words import Ints, blocks, content, piece_of
from synthgain.types import Reading
from synthgain.words import NAME, tokens

ADDED = "proxy_gain_answer"
NAMES = {ADDED: "proxy_gain", "target_fit_answer": "target_fit"}
WORDS = 3  # of a held-out answer (median): in fewer an n-gram model sees nothing of its prompt
BARE = 4  # times shorter than the rows' answers, from which held-out answers are not written as the rows are
LOOKED_AT = 1_000
ASK = "ask a student: --student URI --also probe_gain"
REPEATED = (
    "every answer of the rows is an answer of the anchors, word for word, so nothing was written whose worth could be read: "
    "give --anchors whose answers the rows do not hold; a rule that finds answers right (`right_share`), or a student, says more"
)
GIVE = "give anchors, or --target, with whole answers (chats, or a column `worked`, `solution` or `output`)"


def judged_answers(data: Data) -> Judged | str:
    """Every held-out answer's gains, or why there are none and what to give."""
    real = data.anchors if data.target is None else data.target
    n = data.n_anchors if data.target is None else data.n_target
    why = _unfit(_lengths(data.rows, data.n_rows, data.seed), _lengths(real, n, data.seed), n)
    if why:
        return why
    said = of_answers(data)
    found = judged(said, beside=lambda dev, asked: prompt_words(real, dev, asked))
    return found if isinstance(found, str) else replace(found, notes=["loss on the answers alone", *found.notes])


def answer_gains(data: Data, found: Judged | str | None = None) -> list[Reading]:
    """`proxy_gain_answer` and `target_fit_answer`. `found` is what `judged_answers` gave, where that is known already."""
    found = judged_answers(data) if found is None else found
    if isinstance(found, str):
        return [nothing(name, found, unit=UNIT) for name in NAMES]
    model = f"Witten–Bell 3-gram of answers in a mixture with the prompt's words, V = {found.dev.vocabulary.size:,} ({NAME})"
    told = {n: gain_reading(n, found.gains[of], found.length, model, found.notes, data) for n, of in NAMES.items()}
    if not found.added:
        told[ADDED] = nothing(ADDED, REPEATED, unit=UNIT)
    return list(told.values())


def held_out_answer_gains(found: Judged | str) -> dict[str, PerDocument]:
    """The same answer by answer, to pair two sets on the same held-out answers."""
    if isinstance(found, str):
        return {}
    said = found.length > 0
    documents = np.array([content(text) for text in found.dev.texts], np.int64)[said]
    return {
        n: PerDocument(documents, found.gains[of][said], found.length[said])
        for n, of in NAMES.items()
        if found.added or n != ADDED
    }


# ---------------------------------------------------------------------------------------------- answers as texts


def of_answers(data: Data) -> Data:
    """The same data with the answers in the place of the texts; what has no answer is left out."""
    target = None if data.target is None else _said(data.target)
    return replace(
        data,
        rows=_said(data.rows),
        n_rows=_count(data.rows),
        anchors=_said(data.anchors),
        n_anchors=_count(data.anchors),
        target=target,
        n_target=0 if data.target is None else _count(data.target),
    )


def _said(read: Batches) -> Batches:
    def batches(names: Sequence[str]) -> Iterator[pa.Table]:
        for table in read([*(n for n in names if n != "text"), "answered"]):
            there = table.filter(pc.is_valid(table.column("answered")))
            yield pa.table({n: there.column("answered" if n == "text" else n) for n in names})

    return batches


def _count(read: Batches) -> int:
    return sum(len(table) - table.column(0).null_count for table in read(("answered",)))


def _lengths(read: Batches, total: int, seed: int) -> list[int]:
    """Words of the answers of an even sample; empty where there are none."""
    if not total:
        return []
    column = even_sample(read, ("answered",), total, LOOKED_AT, seed).column("answered").drop_null()
    return [len(tokens(text)) for text in column.to_pylist()]


def _unfit(rows: Sequence[int], real: Sequence[int], n: int) -> str:
    """Why an n-gram model says nothing of these answers; "" where it does."""
    if not rows:
        return "rows have no answers"
    if not real:
        return f"{'the held-out texts have no answers' if n else 'there are no held-out answers'}: {GIVE}"
    mine, theirs = float(np.median(rows)), float(np.median(real))
    if theirs < WORDS and mine < WORDS:
        return (
            f"the held-out answers are labels (median {theirs:.0f} words), of which an n-gram model says nothing: {ASK}"
        )
    if theirs < WORDS or theirs * BARE < mine:
        return f"the held-out answers are bare (median {theirs:.0f} words, the rows' {mine:.0f}): {GIVE}"
    return ""


# ---------------------------------------------------------------------------------------------- the prompt's words


def prompt_words(real: Batches, dev: Dev, asked: Asked) -> Floats:
    """ln of the share of the prompt's words that each held-out word is; −∞ where its prompt does not have it."""
    prompts = _prompts(real, dev)
    share = np.zeros(len(asked.document))
    keys = asked.document * (asked.size + 1) + asked.events
    for owners, pieces in blocks(prompts):
        flat = dev.vocabulary.encode(pieces)
        begins = flat == asked.size
        owner: Ints = owners[piece_of(begins)][~begins]
        known, counts = np.unique(owner * (asked.size + 1) + flat[~begins], return_counts=True)
        if not len(known):
            continue
        whole = np.bincount(owner, minlength=len(prompts))
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        hit = known[place] == keys
        share[hit] += counts[place[hit]] / whole[asked.document[hit]]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(share))


def _prompts(real: Batches, dev: Dev) -> list[str]:
    """The prompt of each held-out answer: of equal answers that of the first, which is the one held out."""
    place = {content(text): i for i, text in enumerate(dev.texts)}
    found: list[str | None] = [None] * len(dev.texts)
    for table in real(("asked", "answered")):
        for prompt, answer in zip(table.column("asked").to_pylist(), table.column("answered").to_pylist()):
            at = None if answer is None else place.get(content(answer[:DEV_CHARACTERS]))
            if at is not None and found[at] is None:
                found[at] = prompt
    return [prompt or "" for prompt in found]
