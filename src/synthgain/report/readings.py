"""What each figure means, in one sentence each, and what it must not be taken for."""

from __future__ import annotations

import re

MEANINGS: dict[str, str] = {
    # ------------------------------------------------------------------------ first figures
    "tokens_in": "Tokens of prompts that were read by the models.",
    "tokens_out": "Tokens that the models wrote for a row, by the writer's own tokenizer.",
    "rows_kept": "Rows that every check let pass: the size of the data set.",
    "kept_share": "Share of the candidates that every check let pass; low means strict checks or a weak writer, not bad data.",
    "distinct_1": "Share of different words among all words; it falls as a set grows, so compare at equal size only.",
    "distinct_2": "Share of different word pairs among all word pairs; it falls as a set grows, so compare at equal size only.",
    "copy_rate": "Share of the written 8-grams that stand in the row's own anchor: high means copying.",
    "dup_rate": "Share of rows that are near-duplicates of another row: repetition that a student pays for and learns little from.",
    "logprob_per_token": "Mean log-probability that the writer gave to a token it wrote, under the law it was drawn from.",
    "delta_I": "Randomness of the generator: how unsure it was of its own words; this is randomness, not usefulness, and it grows with temperature without limit.",
    # ------------------------------------------------------------------------ the meter, before training
    "proxy_gain": "How much better a small n-gram model predicts held-out real text when the synthetic rows are added to the anchors: a cheap stand-in for a student's gain.",
    "target_fit": "How well the synthetic rows alone predict held-out real text, against the anchors alone.",
    "surprise": "How unexpected the rows are to the student before training: novelty and noise together.",
    "transfer_kl": "The part of the student's surprise that a perfect imitator of the writer would absorb; high can also mean invention.",
    "curation_nats": "Information that the checks put in by choosing: minus the logarithm of the share accepted, exact.",
    "curation_tv": "How far choosing moved the rows away from what the writer would write: one minus the share accepted, exact.",
    "tv_lower": "A classifier tells synthetic from real at least this well: a lower bound on how far apart the two are.",
    "vendi": "Effective number of different rows among 200; compare with the same figure for real anchors only.",
    "test_overlap": "Share of the written 8-grams that stand in the held-out test text: should be near zero.",
    "nhsic": "Dependence between anchors and what was written from them; only the permutation test says whether it is there.",
    "i_prompt": "Bounds on how much an answer tells about which prompt it came from.",
    "h_meaning": "How many different things the answers to one prompt mean, as an entropy over clusters.",
    "grad_align": "Whether a first training step on the rows points the same way as one on held-out real text.",
    # ------------------------------------------------------------------------ after training
    "accuracy": "Share of the test questions that the student answers right; test questions share no instance with training.",
    "pass_at_k": "Share of the test questions where at least one of k sampled answers is right.",
    "parsable": "Share of the answers from which a final answer can be read at all, right or wrong.",
    "forgetting": "Change of the log-loss on general text by training: above zero, the student has forgotten.",
    "gain": "How much lower the held-out loss is with the synthetic rows than with the anchors alone, at equal training.",
    "generalisation_gap": "Loss on rows held out of training less the loss on rows trained on: how much was learned by heart.",
    "memo": "Information that the student holds on which rows it was trained on: memory of single rows.",
    "ggmi_proxy": "Memory of single rows after training on anchors, less that after training on synthetic rows.",
    "absorbed_information": "How much of the rows the student took in during one pass over them.",
    "faithfulness": "Change of the log-loss on the anchors' held-out split by training.",
}  # fmt: skip


def meaning(name: str) -> str | None:
    """The sentence for a reading, also where its name carries a number or an arm (`pass_at_4`, `accuracy/hard`)."""
    if name.endswith("_anchors") and (same := meaning(name.removesuffix("_anchors"))):
        return f"The same figure for the anchors, to compare with. {same}"
    short = re.split(r"[/:@ ]", name, maxsplit=1)[0]
    for known in (name, short, re.sub(r"pass_at_\d+$", "pass_at_k", short), short.lower()):
        if known in MEANINGS:
            return MEANINGS[known]
    return None
