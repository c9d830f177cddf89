"""What each reading means, in one sentence each, and what it must not be taken for.

The meter, the page and the command line all read these sentences here, so a figure means the same wherever it stands.
"""

from __future__ import annotations

import re

MEANINGS: dict[str, str] = {
    # ------------------------------------------------------------------------ the run
    "tokens_in": "Tokens of prompts that were read by the models.",
    "tokens_out": "Tokens that the models wrote for a row, by the writer's own tokenizer.",
    "rows_kept": "Rows that every check let pass: the size of the data set.",
    "kept_share": "Share of the candidates that every check let pass; low means strict checks or a weak writer, not bad data.",
    "logprob_per_token": "Mean log-probability that the writer gave to a token it wrote, under the law it was drawn from.",
    # ------------------------------------------------------------------------ the headline
    "proxy_gain": "How much better a small n-gram model predicts held-out real text when the synthetic rows are added to the anchors: a cheap stand-in for a student's gain.",
    "proxy_gain_1": "The proxy gain with single words instead of word triples: whether the rows bring the right words, whatever their order.",
    "proxy_gain_mixture": "The proxy gain for a student that mixes its own predictions with the n-gram model's: what the rows add to what it already knows.",
    "target_fit": "How well the synthetic rows alone predict held-out real text, against the anchors alone: above zero, the rows could replace them.",
    "target_fit_1": "The target fit with single words instead of word triples: whether the rows use the target's words.",
    "proxy_gain_answer": "The proxy gain on held-out answers alone, their prompts being given: what the rows' answers add for a small model, blind to whether they are right.",
    "target_fit_answer": "The target fit on held-out answers alone, their prompts being given: above zero, the rows' answers could replace the real ones.",
    "right_share": "Share of the writer's answers that a rule looked at (a gold answer, tests, a gold query, instructions that can be verified) and found right: what the writer knows, before choosing.",
    "grounded": "Share of the names and numbers in the rows that stand in what each was made from: what is missing was invented, or comes from elsewhere.",
    # ------------------------------------------------------------------------ randomness, and the student's view
    "delta_I": "Randomness of the generator: how unsure it was of its own words; this is randomness, not usefulness, and it grows with temperature without limit.",
    "delta_I_sample": "Randomness of the generator summed over a whole answer: long answers have more of it, and it is not usefulness.",
    "surprise": "How unexpected the rows are to the student before training: novelty and noise together.",
    "surprise_byte": "The student's surprise for each byte of text: the form in which models with different tokenizers can be compared.",
    "transfer_kl": "The part of the student's surprise that a perfect imitator of the writer would absorb; high can also mean invention.",
    "transfer_kl_byte": "What a perfect imitator of the writer would absorb, for each byte of text: the form for a writer and a student with different tokenizers.",
    "transfer_kl_sample": "What a perfect imitator of the writer would absorb from a whole row: long rows hold more of it.",
    # ------------------------------------------------------------------------ curation
    "curation_nats": "Information that the checks put in by choosing: minus the logarithm of the share accepted.",
    "curation_tv": "How far choosing moved the rows away from what the writer would write: one minus the share accepted, and not a fault.",
    "curation_nats_total": "Information that the checks put into all kept rows of a round by choosing.",
    "curation_nats_lost": "The part of what the checks put in that stands in rows which an earlier round had kept too: it is paid for again and teaches nothing new.",
    # ------------------------------------------------------------------------ distance and diversity
    "tv_lower": "A classifier tells synthetic from real at least this well: a lower bound on how far apart the two are.",
    "mdm": "How far the rows lie from the middle of their kind: more is more varied, and no real row is looked at; compare with the same figure for the anchors.",
    "vendi": "Effective number of different rows among 200; compare with the same figure for real anchors only.",
    "dup_rate": "Share of rows that are near-duplicates of another row: repetition that a student pays for and learns little from.",
    "dup_rate_exact": "Share of rows whose text another row has too, but for case and spacing: counted over all rows.",
    "repeated": "Share of a round's kept rows whose text an earlier round kept too, but for case and spacing.",
    "distinct_1": "Share of different words among all words; it falls as a set grows, so compare at equal size only.",
    "distinct_2": "Share of different word pairs among all word pairs; it falls as a set grows, so compare at equal size only.",
    # ------------------------------------------------------------------------ copying and leakage
    "copy_rate": "Share of the written 8-grams that stand in the row's own anchor: high means copying.",
    "copy_rate_any": "Share of the written 8-grams that stand in any anchor: high means copying, from whichever one.",
    "test_overlap": "Share of the written 8-grams that stand in the held-out test text: should be near zero.",
    # ------------------------------------------------------------------------ dependence
    "nhsic": "Dependence between anchors and what was written from them; only the permutation test says whether it is there.",
    "nhsic_p": "How often shuffled pairs of anchor and row look at least as dependent as the real ones: small means that the rows follow their anchors.",
    "i_prompt": "Bounds on how much an answer tells about which prompt it came from.",
    "i_prompt_low": "An answer tells at least this much about which prompt it came from; it can never exceed the logarithm of the prompts compared.",
    "i_prompt_high": "An answer tells at most this much about which prompt it came from; loose where answers depend strongly on their prompt.",
    "h_meaning": "How many different things the answers to one prompt mean, as an entropy over clusters.",
    "probe_gain": "How much a few very small steps on the rows lower the student's loss on held-out real text, or on its answers: a gain in small, before the real training.",
    "context_gain": "How much easier held-out real text, or its answers, become for the student when some rows stand before it; nothing is trained.",
    "context_gain_anchors": "The context gain of real anchors, to compare with.",
    "context_fit": "How much better rows serve the student as examples than real anchors do: below zero, the anchors serve better.",
    "grad_match": "How near a weighted choice of the rows comes to the direction in which held-out real text would move the student; rows that repeat each other count once.",
    "grad_align": "Whether a first training step on the rows points the same way as one on held-out real text.",
    # ------------------------------------------------------------------------ after training
    "accuracy": "Share of the test questions that the student answers right; test questions share no instance with training.",
    "pass_at_k": "Share of the test questions where at least one of k sampled answers is right.",
    "parsable": "Share of the answers from which a final answer can be read at all, right or wrong.",
    "accuracy_letter": "Share of multiple-choice questions whose right letter the student finds likeliest with the options in sight; a small model may prefer a letter.",
    "accuracy_generation": "Share of multiple-choice questions that the student answers right in writing with the options in sight; an answer that names no option is wrong.",
    "parsable_generation": "Share of the written answers that name one option.",
    "perplexity": "How many tokens the student is as good as torn between on held-out text; only models with the same tokenizer compare.",
    "loss_at": "Log-loss of held-out text by the place of a token in its text: what the text before it is worth.",
    "cut_off": "Share of the answers that ended at the limit of tokens and not at their end: above 5 % accuracy is too low, give more tokens.",
    "thinking_tokens": "Tokens that the model thought before it answered, with at most so many allowed.",
    "answer_margin": "By how many nats the student finds the right option likelier than the wrong ones; compare two students, the level itself depends on the options.",
    "preference_accuracy": "Share of the preference pairs whose better answer the student finds likelier than the worse one.",
    "preference_accuracy_per_token": "The same share by the mean log-likelihood a token, so that length alone does not decide.",
    "preference_margin": "By how many nats the student finds the better answer of a pair likelier than the worse one; compare two students, the level depends on the lengths.",
    "answer_coverage": "Share of the test questions whose right answer stands word for word in what the student will read; a hint before training, no more.",
    "gain": "How much lower the held-out loss is with the synthetic rows than with the anchors alone, at equal training.",
    "generalisation_gap": "Loss on rows held out of training less the loss on rows trained on: how much was learned by heart.",
    "generalisation_gap_calibrated": "The generalisation gap less what it was before training: what training alone made of it.",
    "held_out_loss": "Loss of the trained student on held-out real text; it does not see whether answers are right.",
    "held_out_loss_anchors": "Loss on held-out real text of the student trained on the anchors alone.",
    "memo_anchors": "Memory of single rows in the student trained on the anchors alone.",
    "memo": "Information that the student holds on which rows it was trained on: memory of single rows.",
    "memo_binned": "The same memory of single rows from the whole spread of loss differences instead of their signs; a check on memo.",
    "ggmi": "Memory of single rows after training on anchors, less that after training on synthetic rows; it proves no gain, so read it beside both held-out losses.",
    "absorbed": "How much of the rows the student took in during one pass over them.",
    "absorbed_token": "How much of each token of the rows the student took in during one pass over them.",
    "faithfulness": "Change of the log-loss on the anchors' held-out split by training: below zero, the student has come nearer to the real text.",
    "forgetting": "Change of the log-loss on general text by training: above zero, the student has forgotten.",
}


RECORDS: dict[str, tuple[int, float, float, float]] = {  # sets, Spearman, its interval: studies/value_truth.json
    "mdm": (32, 0.71, 0.44, 0.88),
    "vendi": (32, 0.67, 0.36, 0.86),
    "target_fit_1": (32, 0.64, 0.33, 0.85),
    "distinct_2": (32, 0.64, 0.32, 0.86),
    "target_fit": (32, 0.64, 0.32, 0.84),
    "dup_rate": (32, -0.62, -0.83, -0.31),
    "proxy_gain": (32, 0.60, 0.26, 0.81),
    "tv_lower": (32, -0.59, -0.82, -0.24),
    "proxy_gain_1": (32, 0.56, 0.23, 0.79),
}


OWN: dict[
    str, tuple[int, float, float, float, tuple[int, int] | None]
] = {  # … and signs that were wrong, of how many: studies/own_truth.json
    "probe_gain": (20, 0.73, 0.30, 0.89, (0, 8)),
    "proxy_gain": (18, 0.27, -0.33, 0.68, (0, 8)),
    "proxy_gain_answer": (9, 0.28, -0.47, 0.71, (8, 8)),
    "mdm": (28, -0.26, -0.59, 0.19, None),
    "vendi": (28, -0.34, -0.67, 0.13, None),
}


def record_of(name: str) -> str:
    """What a figure has shown against trained students, of others and of ours, to stand behind its name; "" where it was not tried."""
    said = []
    if name in RECORDS:
        said.append(_sets("{} foreign sets", *RECORDS[name]))
    if name in OWN:
        sets, value, low, high, signs = OWN[name]
        wrong = "" if signs is None else f" with the wrong sign on {signs[0]} of {signs[1]}"
        said.append(_sets("{} sets of our own", sets, value, low, high) + wrong)
    return f"ranked {' and '.join(said)}" if said else ""


def _sets(words: str, sets: int, *figures: float) -> str:
    value, low, high = (f"{x:.2f}".replace("-", "−") for x in figures)
    return f"{words.format(sets)} at {value} [{low}, {high}]"


def known(name: str) -> str | None:
    """The entry that a reading's name stands for: itself, or what it varies (`vendi_anchors`, `curation_nats/final_answer`, `pass_at_4`)."""
    short = re.split(r"[/:@ ]", name, maxsplit=1)[0]
    bare = short.removesuffix("_anchors")
    order = re.sub(r"_\d+$", "", bare)
    for stem in (name, short, bare, re.sub(r"^pass_at_\d+$", "pass_at_k", bare), bare.removesuffix("_sample"), order):
        if stem in MEANINGS:
            return stem
    return None


def meaning(name: str) -> str | None:
    """The sentence for a reading, also where its name carries a number, a check or an arm."""
    entry = known(name)
    if entry is None:
        return None
    of_anchors = re.split(r"[/:@ ]", name, maxsplit=1)[0].endswith("_anchors") and not entry.endswith("_anchors")
    return f"The same figure for the anchors, to compare with. {MEANINGS[entry]}" if of_anchors else MEANINGS[entry]
