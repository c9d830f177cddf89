"""What every figure is, and what became of every quantity that the paper names.

Two tables: the readings of the meter, and the words of Gan and Liu (arXiv 2410.01720) with what can be measured
of each. docs/theory.md says the same at length; the counter-examples that it rests on are tests/theory/.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from synthgain.meanings import MEANINGS, known, meaning
from synthgain.types import SynthgainError

PAPER = "Gan and Liu, arXiv 2410.01720"
V_INFORMATION = "Xu et al. 2020, arXiv 2002.10689 (V-information)"
CMI = "Steinke and Zakynthinou 2020; Harutyunyan et al. 2021; Wang and Mao 2023, arXiv 2302.02432"
BOOTSTRAP = "paired bootstrap over held-out documents, 95 %"
PROMPTS = "prompts resampled whole (or Student's t on prompts), 95 %"


@dataclass(frozen=True)
class Explanation:
    """One figure, or one quantity of the paper. `kind` is a reading's class, or says that a quantity is not measurable.

    `readings` are the figures that measure it, or that have to be read beside it.
    """

    name: str
    symbols: tuple[str, ...]
    meaning: str
    definition: str
    estimator: str
    unit: str
    kind: str
    interval: str
    not_for: str
    reference: str
    readings: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """One JSON object; `kind` is called "class" and `not_for` "must_not_be_taken_for" there."""
        names = ("name", "symbols", "meaning", "definition", "estimator", "unit", "interval", "reference", "readings")
        told = {n: list(v) if isinstance(v := getattr(self, n), tuple) else v for n in names}
        return told | {"class": self.kind, "must_not_be_taken_for": self.not_for}

    def __str__(self) -> str:
        symbols = f" ({', '.join(self.symbols)})" if self.symbols else ""
        lines = (
            ("definition", self.definition),
            ("estimator", self.estimator),
            ("unit", self.unit),
            ("class", self.kind),
            ("interval", self.interval),
            ("not to be taken for", self.not_for),
            ("read with", ", ".join(self.readings)),
            ("reference", self.reference),
        )
        return "\n".join(
            [f"{self.name}{symbols}", self.meaning, *(f"  {name}: {said}" for name, said in lines if said)]
        )


# ---------------------------------------------------------------------------------------------- the readings

# name: (symbols, definition, estimator, unit, class, interval, must not be taken for, reference, read beside)
_Entry = tuple[str, str, str, str, str, str, str, str, str]

_FIGURES: dict[str, _Entry] = {
    "proxy_gain": (
        "I(X_test; S_gen | S_anchor)",
        "mean over held-out documents of [−ln q_A(x) + ln q_{A+S}(x)], per token",
        "q: interpolated Witten–Bell word trigrams trained on anchors (A) and on anchors with rows (A+S); cross-fitted by anchor: where an anchor is held out, the rows made from it leave S too",
        "nats/token",
        "estimate",
        BOOTSTRAP,
        "a trained student's gain: held-out likelihood does not see whether answers are right, so a task score has to stand beside it",
        f"{V_INFORMATION}, with n-grams as the family V",
        "target_fit, gain, accuracy",
    ),
    "proxy_gain_1": (
        "",
        "proxy_gain with q of order 1",
        "the same with word unigrams",
        "nats/token",
        "estimate",
        BOOTSTRAP,
        "a verdict of its own: it cannot see word order",
        V_INFORMATION,
        "proxy_gain",
    ),
    "proxy_gain_mixture": (
        "",
        "proxy_gain with q replaced by (1 − λ) π0 + λ q",
        "λ is cross-fitted over held-out documents; π0 are the untrained student's token probabilities",
        "nats/token",
        "estimate",
        BOOTSTRAP,
        "the gain of a trained student: this one only mixes predictions",
        V_INFORMATION,
        "proxy_gain",
    ),
    "target_fit": (
        "KL(D‖S_anchor) − KL(D‖S_gen)",
        "mean over held-out documents of [−ln q_A(x) + ln q_S(x)]; the entropy of D cancels",
        "q as in proxy_gain, from the anchors alone and from the rows alone",
        "nats/token",
        "estimate",
        BOOTSTRAP,
        "a reason to throw the anchors away: both sets are judged by one cheap model",
        "Moore and Lewis 2010; Xie et al. 2023 (DSIR)",
        "proxy_gain",
    ),
    "target_fit_1": (
        "",
        "target_fit with q of order 1",
        "the same with word unigrams",
        "nats/token",
        "estimate",
        BOOTSTRAP,
        "a verdict of its own: it cannot see word order",
        "Moore and Lewis 2010",
        "target_fit",
    ),
    "proxy_gain_answer": (
        "I(Y_test; S_gen | X_test, S_anchor)",
        "mean over held-out pairs of [−ln q_A(y|x) + ln q_{A+S}(y|x)], per token of the answers y",
        "q: Witten–Bell word trigrams of answers in a mixture with the words of the pair's own prompt x, weights cross-fitted; otherwise as proxy_gain",
        "nats/token",
        "estimate",
        BOOTSTRAP,
        "a student's gain, or that answers are right or fit their prompts: answers dealt to the wrong prompts score alike",
        f"{V_INFORMATION}, with n-grams as the family V",
        "right_share, probe_gain, accuracy",
    ),
    "target_fit_answer": (
        "",
        "mean over held-out pairs of [−ln q_A(y|x) + ln q_S(y|x)], per token of the answers y",
        "q as in proxy_gain_answer, from the anchors' answers alone and from the rows' alone",
        "nats/token",
        "estimate",
        BOOTSTRAP,
        "a reason to throw the real answers away: both sets are judged by one cheap model",
        "Moore and Lewis 2010",
        "proxy_gain_answer",
    ),
    "right_share": (
        "",
        "answers that the first check which verifies let through / answers that reached it",
        "counting",
        "prob",
        "estimate",
        "score interval over prompts, 95 %",
        "what a student gains: a writer that is always right may teach nothing new",
        "",
        "curation_nats, accuracy",
    ),
    "grounded": (
        "",
        "share of the names and numbers of the rows that stand in the row's own anchors, each once a row",
        "numbers: digits, thousands marks and idle zeros aside; names: words with a capital that begin no sentence, up to three letters at the end aside; null where rows answer their anchors",
        "prob",
        "proxy",
        "over prompts, 95 %",
        "truth: a sentence turned round keeps its names; on 4,681 labelled summaries (SummEdits) it was 0.97 of the consistent and 0.89 of the inconsistent ones",
        "a rule of ours",
        "proxy_gain, copy_rate",
    ),
    "delta_I": (
        "ΔI, H(M(p)|p)",
        "Σ −ln M_T(y|p) / Σ tokens",
        "mean of the answers' own log-probabilities under the law they were sampled from; null where the server gives another law's",
        "nats/token",
        "estimate",
        PROMPTS,
        "usefulness: at temperature 3 it is near its maximum while the benefit is 0",
        f"{PAPER}, definition 4.2",
        "proxy_gain, curation_nats",
    ),
    "delta_I_sample": (
        "ΔI",
        "mean of −ln M_T(y|p) over answers",
        "as delta_I",
        "nats/sample",
        "estimate",
        PROMPTS,
        "usefulness; nor comparable between sets whose answers differ in length",
        f"{PAPER}, definition 4.2",
        "delta_I",
    ),
    "surprise": (
        "E[−ln π0(y|p)]",
        "Σ −ln π0(y|p) / Σ tokens, π0 the student before training",
        "one forward pass of the student over the rows; equals randomness plus transfer_kl",
        "nats/token",
        "estimate",
        PROMPTS,
        "novelty: randomness is in it too, and so is nonsense",
        "the identity I2 of docs/theory.md",
        "delta_I, transfer_kl",
    ),
    "surprise_byte": (
        "",
        "Σ −ln π0(y|p) / Σ UTF-8 bytes",
        "as surprise",
        "nats/byte",
        "estimate",
        PROMPTS,
        "a figure per token: tokenizers differ, bytes do not",
        "",
        "surprise",
    ),
    "transfer_kl": (
        "KL(M(·|p)‖π0(·|p))",
        "surprise − delta_I, both per token of one tokenizer and from one scoring path",
        "difference of two means, paired by prompt",
        "nats/token",
        "estimate",
        PROMPTS,
        "something to be maximised: it was high where the writer hallucinated; it is 0 exactly when a model writes for itself unfiltered",
        "the identity I2 of docs/theory.md",
        "surprise, delta_I",
    ),
    "transfer_kl_byte": (
        "",
        "the same sums per UTF-8 byte",
        "as transfer_kl",
        "nats/byte",
        "estimate",
        PROMPTS,
        "something to be maximised",
        "the identity I2 of docs/theory.md",
        "transfer_kl, surprise_byte",
    ),
    "transfer_kl_sample": (
        "",
        "mean over rows of ln M_T(y|p) − ln π0(y|p)",
        "as transfer_kl",
        "nats/sample",
        "estimate",
        PROMPTS,
        "something to be maximised; nor comparable between sets whose rows differ in length",
        "the identity I2 of docs/theory.md",
        "transfer_kl",
    ),
    "curation_nats": (
        "KL(D_gen‖D_M)",
        "−ln a, a the share of candidates accepted; filters in a row add up",
        "counting",
        "nats/kept sample",
        "estimate",
        "score interval of a over prompts, through −ln",
        "quality: a coin that rejects half puts in ln 2 as well",
        "the identity I3 of docs/theory.md",
        "curation_tv, kept_share",
    ),
    "curation_nats_total": (
        "",
        "−ln a times the rows kept",
        "counting",
        "nats",
        "estimate",
        "that of curation_nats, times the rows",
        "quality, or what a student learns: rows that are alike are counted each",
        "",
        "curation_nats, curation_nats_lost",
    ),
    "curation_nats_lost": (
        "",
        "−ln a times the kept rows that an earlier round kept too",
        "counting",
        "nats",
        "estimate",
        "that of curation_nats, times the rows",
        "near-duplicates, which it does not see",
        "",
        "curation_nats_total, repeated",
    ),
    "curation_tv": (
        "D_TV(D_M,D_gen)",
        "1 − a",
        "counting",
        "prob",
        "estimate",
        "score interval of a over prompts, through 1 − a",
        "harm: the bound of theorem 4.7 charges a strict filter for it, however good the filter is",
        "the identity I3 of docs/theory.md",
        "curation_nats, tv_lower",
    ),
    "tv_lower": (
        "D_TV(D,D_gen)",
        "max(0, TPR + TNR − 1) of a classifier on held-out texts",
        "word n-grams and embeddings into a logistic regression, rows against real text",
        "prob",
        "lower bound",
        "one-sided Wilson for each class, 97.5 % together",
        "the distance itself: with d = 384 and 200 texts a distance of 0.55 shows as 0.25; nor for bad where it is high: a filter raises it too",
        "Lopez-Paz and Oquab 2017",
        "curation_tv",
    ),
    "mdm": (
        "",
        "mean over five clusters of the mean distance of the cluster's texts to its medoid, texts as unit vectors",
        "k-medoids by swaps on at most 1,000 texts; the same for the anchors",
        "unitless",
        "proxy",
        "jackknife over groups of prompts, 95 %",
        "quality: it looks at no real text, so varied nonsense has much of it; nor comparable between sets of very different size, or embedders",
        "Chen and Zhong 2025, arXiv 2511.03928",
        "mdm_anchors, vendi",
    ),
    "vendi": (
        "",
        "exp of the entropy of the eigenvalues of K/n, K the texts' cosine similarities",
        "200 texts, mean of 10 subsamples; the same for anchors",
        "count",
        "estimate",
        "over subsamples and prompts, 95 %",
        "diversity of meaning (it sees the embedder's), nor comparable at another n",
        "Friedman and Dieng 2022, arXiv 2210.02410",
        "vendi_anchors",
    ),
    "dup_rate": (
        "",
        "share of texts with a near-duplicate among the others",
        "MinHash over word n-grams at a fixed Jaccard threshold; the same for anchors",
        "prob",
        "estimate",
        "over prompts, 95 %",
        "repetition of content in other words, which it does not see",
        "Broder 1997 (MinHash)",
        "dup_rate_anchors",
    ),
    "dup_rate_exact": (
        "",
        "1 − different texts / rows, case and spacing aside",
        "counting all rows",
        "prob",
        "exact",
        "none: all rows are counted",
        "near-duplicates, which it does not see",
        "",
        "dup_rate",
    ),
    "repeated": (
        "",
        "kept rows whose text an earlier round of the loop kept too / kept rows, case and spacing aside",
        "comparing texts",
        "prob",
        "estimate",
        "score interval over prompts, 95 %",
        "near-duplicates, which it does not see",
        "",
        "dup_rate_exact, distinct_2",
    ),
    "distinct_1": (
        "",
        "different words / words, at a fixed budget of words",
        "counting on texts in a seeded order",
        "prob",
        "estimate",
        "over prompts, 95 %",
        "anything comparable at another budget",
        "Li et al. 2016 (distinct-n)",
        "distinct_1_anchors",
    ),
    "distinct_2": (
        "",
        "different word pairs / word pairs, at a fixed budget of words",
        "counting on texts in a seeded order; the same for anchors",
        "prob",
        "estimate",
        "over prompts, 95 %",
        "quality: random words have the most of it",
        "Li et al. 2016 (distinct-n)",
        "distinct_2_anchors, vendi",
    ),
    "copy_rate": (
        "",
        "share of the rows' word 8-grams that stand in the row's own anchors",
        "counting",
        "prob",
        "exact",
        "over prompts, 95 %",
        "plagiarism of what the writer saw in training, which nobody can see here",
        "",
        "copy_rate_any",
    ),
    "copy_rate_any": (
        "",
        "share of the rows' word 8-grams that stand in any anchor",
        "counting",
        "prob",
        "exact",
        "over prompts, 95 %",
        "paraphrase, which it does not see",
        "",
        "copy_rate",
    ),
    "test_overlap": (
        "",
        "share of the rows' word 8-grams that stand in the held-out text",
        "counting",
        "prob",
        "exact",
        "over prompts, 95 %",
        "proof that nothing leaked: leaks in other words have no overlap",
        "",
        "proxy_gain",
    ),
    "nhsic": (
        "",
        "HSIC_u(A,S) / √(HSIC_u(A,A) · HSIC_u(S,S)), Gaussian kernels at the median distance",
        "unbiased HSIC of embeddings, exact to 2,000 pairs, blocks of 50 beyond",
        "unitless",
        "test",
        "over prompts, 95 %",
        "information in nats: every estimator of that from embeddings fails (−13.6 of 14.3 nats in 64 dimensions)",
        "Gretton et al. 2005; Song et al. 2012",
        "nhsic_p",
    ),
    "nhsic_p": (
        "",
        "share of shuffles whose HSIC reaches that of the data",
        "199 permutations of whole prompts",
        "prob",
        "test",
        "none: it is a p-value",
        "evidence of independence where it is large: the test has little power against weak dependence",
        "Gretton et al. 2008",
        "nhsic",
    ),
    "i_prompt": (
        "I(h(e_p),M(p))",
        "the interval [i_prompt_low, i_prompt_high]",
        "score matrix ln M(y_i|p_j), 31 random other prompts for each answer",
        "nats/sample",
        "lower bound",
        "over prompts, for each end, 95 %",
        "a point: between its ends nothing is known",
        "Poole et al. 2019, arXiv 1905.06922",
        "i_prompt_low, i_prompt_high",
    ),
    "i_prompt_low": (
        "",
        "mean of L_ii − ln mean_j exp L_ij, own prompt among the j",
        "leave-in; L_ij = ln M(y_i|p_j)",
        "nats/sample",
        "lower bound",
        PROMPTS,
        "the information itself: it stops at the logarithm of the prompts compared",
        "Poole et al. 2019",
        "i_prompt_high",
    ),
    "i_prompt_high": (
        "",
        "the least of: mean of L_ii − ln mean_{j≠i} exp L_ij; the same against an empty prompt; ln of the number of prompts",
        "leave-one-out",
        "nats/sample",
        "upper bound",
        PROMPTS,
        "the information itself: ln M(y|empty prompt) is not ln p(y) and overstates it",
        "Poole et al. 2019",
        "i_prompt_low",
    ),
    "h_meaning": (
        "H(C|p)",
        "entropy of the clusters of meaning among the answers to one prompt, mean over prompts",
        "Chao–Shen over clusters of embeddings, 10 answers a prompt or more",
        "nats/prompt",
        "estimate",
        PROMPTS,
        "a property of the texts alone: it depends on the clustering",
        "Kuhn et al. 2023; Farquhar et al. 2024; Chao and Shen 2003",
        "delta_I",
    ),
    "probe_gain": (
        "",
        "mean over held-out real pairs of [loss before − loss after a few steps on the rows], per token",
        "AdamW at 1e-5, 8 steps of 4 rows, four samples of rows; where anchors are held out, what was made from them is not learnt",
        "nats/token",
        "estimate",
        "held-out texts × samples of rows, 95 %",
        "the gain of training to the end, or of another student: where rows stop helping is not seen, and of fine-tuning no study has shown that the order holds",
        "after arXiv 2512.24503 (pretraining)",
        "gain, context_gain, accuracy",
    ),
    "context_gain": (
        "",
        "mean over held-out real pairs of [loss with nothing before − loss with some rows before], per token",
        "six samples of four rows each, the first 400 characters; of answers as earlier turns of the chat",
        "nats/token",
        "estimate",
        "held-out texts × samples of rows, 95 %",
        "what training gives: a form or a manner is seen in a context at once, knowledge is not",
        "cf. arXiv 2510.14459",
        "context_gain_anchors, context_fit, probe_gain",
    ),
    "context_gain_anchors": (
        "",
        "context_gain with real anchors in the place of the rows",
        "as context_gain",
        "nats/token",
        "estimate",
        "held-out texts × samples of anchors, 95 %",
        "a limit: rows may serve better",
        "",
        "context_gain",
    ),
    "context_fit": (
        "",
        "mean over held-out real pairs of [loss with anchors before − loss with rows before], per token",
        "as context_gain, paired by held-out text",
        "nats/token",
        "estimate",
        "held-out texts × samples of both, 95 %",
        "a reason to throw the anchors away",
        "",
        "context_gain",
    ),
    "grad_match": (
        "",
        "cos(Σ b_i ∇L_i, ∇L_held-out), b ≥ 0 of least ½ b'Kb − c'b + λ|b|₁ over shards i of the rows; K and c inner products of gradients",
        "b fitted on one half of the held-out texts, the cosine taken on the other, both ways",
        "unitless",
        "proxy",
        "jackknife over shards of the rows",
        "a gain, nor a value of the rows as they are: it is of the best choice among them",
        "arXiv 2605.16704 (kernel mean matching of data sets)",
        "grad_align",
    ),
    "grad_align": (
        "",
        "cos(∇L_rows, ∇L_held-out) at the untrained student",
        "last layers only",
        "unitless",
        "proxy",
        "jackknife over shards of the rows",
        "a gain: one step's direction says nothing of where training ends",
        "",
        "proxy_gain",
    ),
    "gain": (
        "KL(D‖π_anchor) − KL(D‖π_gen)",
        "mean over real test documents of the loss of the student trained on anchors less that of the student trained on anchors and rows",
        "both students at equal optimiser steps; the entropy of D cancels, so it is the KL gap in its forward direction",
        "nats/token",
        "estimate",
        "documents × seeds, 95 %",
        "correctness: wrong answers lowered the loss as much as right ones in a pilot, so the task score stands beside it",
        f"{PAPER}, section 4.4, forward instead of reverse",
        "accuracy, proxy_gain",
    ),
    "generalisation_gap": (
        "R_gen − R̂_gen",
        "loss on held-out siblings less loss on rows trained on",
        "10 % of the prompts are held out of training",
        "nats/token",
        "estimate",
        "paired over prompts, 95 %",
        "loss on the real task, which may be elsewhere",
        f"{PAPER}, lemma 3.1, last term",
        "memo",
    ),
    "generalisation_gap_calibrated": (
        "",
        "generalisation_gap after training less the same before training",
        "the untrained student's losses on the same rows and siblings are taken off",
        "nats/token",
        "estimate",
        "paired over prompts, 95 %",
        "loss on the real task, which may be elsewhere",
        "",
        "generalisation_gap",
    ),
    "held_out_loss": (
        "R_D(π), as log-loss",
        "mean −ln W(x) per token over held-out real documents",
        "one forward pass over the documents",
        "nats/token",
        "estimate",
        "documents × seeds, 95 %",
        "correctness; nor comparable between tokenizers",
        "",
        "gain, held_out_loss_anchors",
    ),
    "held_out_loss_anchors": (
        "R_D(π), as log-loss",
        "held_out_loss of the student trained on the anchors alone",
        "as held_out_loss",
        "nats/token",
        "estimate",
        "documents × seeds, 95 %",
        "correctness; nor comparable between tokenizers",
        "",
        "gain, held_out_loss",
    ),
    "memo_anchors": (
        "I(S_anchor;W'), for one example",
        "memo of the student trained on the anchors alone",
        "as memo",
        "nats/example",
        "lower bound",
        "Wilson's interval of α, through the same map",
        "I(S_anchor;W') of the whole set",
        CMI,
        "memo, ggmi",
    ),
    "memo": (
        "I(S_gen;W), for one example",
        "ln 2 − h(α), at most ln 2; α is how often the sign of the calibrated loss difference finds the member of a pair (row trained on, sibling)",
        "losses after training less losses before",
        "nats/example",
        "lower bound",
        "Wilson's interval of α, through the same map",
        "I(S_gen;W) of the whole set, which cannot be computed",
        CMI,
        "memo_binned, generalisation_gap",
    ),
    "memo_binned": (
        "I(Δ;U)",
        "mutual information of the binned loss difference and the coin that chose the member",
        "plug-in with Miller–Madow's correction",
        "nats/example",
        "estimate",
        "over pairs, 95 %",
        "a bound: it is an estimate with a small bias",
        CMI,
        "memo",
    ),
    "ggmi": (
        "GGMI, for one example",
        "memo of the student trained on anchors − memo of the student trained on rows",
        "two memos",
        "nats/example",
        "proxy",
        "Newcombe's, from both Wilson intervals",
        "a gain: a student that learned nothing has the largest",
        f"{PAPER}, definition 4.9, per example",
        "memo, memo_anchors, held_out_loss, held_out_loss_anchors, gain",
    ),
    "absorbed": (
        "I(Θ;S_gen), prequential",
        "Σ over one pass of [loss when first seen − mean loss of held-out siblings at the end]",
        "area under the online loss curve, above its end",
        "nats/dataset",
        "estimate",
        "over at least 3 orders of the data",
        "benefit: noise learned by heart is absorbed too",
        "Blier and Ollivier 2018; Finzi et al. 2026, arXiv 2601.03220",
        "absorbed_token, gain",
    ),
    "absorbed_token": (
        "",
        "absorbed / tokens of the rows",
        "as absorbed",
        "nats/token",
        "estimate",
        "over at least 3 orders of the data",
        "benefit",
        "Blier and Ollivier 2018",
        "absorbed",
    ),
    "faithfulness": (
        "−ln W on S_anchor's held-out split",
        "loss on held-out real text after training less before",
        "per-document losses, paired",
        "nats/token",
        "estimate",
        "paired over documents, 95 %",
        "an entropy of the anchors given W, which has no estimator",
        f"{PAPER}, remark 2 to theorem 4.10",
        "forgetting, gain",
    ),
    "forgetting": (
        "",
        "loss on general text after training less before",
        "per-document losses, paired",
        "nats/token",
        "estimate",
        "paired over documents, 95 %",
        "harm to the task: look at accuracy",
        "",
        "faithfulness",
    ),
    "kept_share": (
        "a",
        "rows kept / candidates",
        "counting",
        "prob",
        "estimate",
        "score interval over prompts, 95 %",
        "quality of the data: it is the price of it",
        "",
        "curation_nats",
    ),
    "tokens_in": (
        "",
        "tokens of all prompts",
        "counting by the model's server",
        "tokens",
        "exact",
        "none",
        "money: cached tokens cost less",
        "",
        "tokens_out",
    ),
    "tokens_out": (
        "",
        "mean tokens of an answer",
        "counting by the writer's tokenizer",
        "tokens/row",
        "exact",
        "none: all rows are counted",
        "a figure comparable between tokenizers",
        "",
        "delta_I",
    ),
    "rows_kept": (
        "",
        "rows that passed every check",
        "counting",
        "count",
        "exact",
        "none",
        "information: duplicates count too",
        "",
        "kept_share",
    ),
    "logprob_per_token": (
        "",
        "Σ ln M_T(y|p) / Σ tokens",
        "as delta_I, with the other sign",
        "nats/token",
        "estimate",
        PROMPTS,
        "confidence in being right",
        "",
        "delta_I",
    ),
    "accuracy": (
        "1 − Err(π), as a task counts it",
        "share of test questions answered right",
        "checked by a program, or the likeliest option of four",
        "prob",
        "estimate",
        "over questions, 95 %",
        "anything beyond these questions",
        "",
        "gain, parsable",
    ),
    "pass_at_k": (
        "",
        "share of test questions with at least one right answer among k",
        "sampling, checked by a program",
        "prob",
        "estimate",
        "over questions, 95 %",
        "what a user of one answer sees",
        "",
        "accuracy",
    ),
    "parsable": (
        "",
        "share of answers with a final answer that can be read",
        "a rule",
        "prob",
        "estimate",
        "over questions, 95 %",
        "being right: a student may learn the form alone",
        "",
        "accuracy",
    ),
    "accuracy_letter": (
        "",
        "share of multiple-choice questions whose right letter is the likeliest, options in sight",
        "log-likelihood of the letters",
        "prob",
        "estimate",
        "over questions, 95 %",
        "knowing without letters: a small model may prefer one of them whatever is asked",
        "",
        "accuracy, accuracy_generation",
    ),
    "accuracy_generation": (
        "",
        "share of multiple-choice questions answered right in writing, options in sight",
        "a greedy answer, read by a rule",
        "prob",
        "estimate",
        "over questions, 95 %",
        "knowing without letters; an answer that names no option is wrong",
        "",
        "accuracy, parsable_generation",
    ),
    "parsable_generation": (
        "",
        "share of written answers that name one option",
        "a rule",
        "prob",
        "estimate",
        "none",
        "being right",
        "",
        "accuracy_generation",
    ),
    "perplexity": (
        "",
        "exp of nats a token on held-out text",
        "per-text losses",
        "",
        "estimate",
        "over texts, 95 %",
        "right answers; models with other tokenizers",
        "",
        "forgetting, loss_at",
    ),
    "loss_at": (
        "",
        "loss on held-out text by the place of a token in its text",
        "per-text losses of first windows",
        "nats/token",
        "estimate",
        "over texts, 95 %",
        "the same texts at every place: only long ones reach the later places",
        "",
        "perplexity",
    ),
    "cut_off": (
        "",
        "share of answers that ended at the limit of tokens and not at their end",
        "what the server or the runtime says of the end",
        "prob",
        "estimate",
        "over questions, 95 %",
        "being wrong: an answer may be right before its end",
        "",
        "accuracy, parsable",
    ),
    "answer_margin": (
        "",
        "ln p of the right option less the mean of ln p of the wrong ones, each summed over the option's tokens",
        "mean over questions; compared in pairs",
        "nats",
        "estimate",
        "over questions (over sets of options that several share, else documents), Student's t, 95 %",
        "accuracy: a student may gain nats and still prefer a wrong option",
        "",
        "accuracy",
    ),
    "preference_accuracy": (
        "",
        "share of preference pairs whose chosen answer the student finds likelier than the rejected one, summed over tokens",
        "log-likelihood after the same turns, with the end of the answer",
        "prob",
        "estimate",
        "Wilson at the effective size over prompts, 95 %",
        "what it would write: both answers may be unlikely; and where lengths differ the shorter one is likelier whoever reads it",
        "",
        "preference_accuracy_per_token, preference_margin",
    ),
    "preference_accuracy_per_token": (
        "",
        "share of preference pairs whose chosen answer has the larger mean log-probability a token",
        "log-likelihood after the same turns, with the end of the answer",
        "prob",
        "estimate",
        "Wilson at the effective size over prompts, 95 %",
        "what it would write",
        "",
        "preference_accuracy",
    ),
    "preference_margin": (
        "",
        "ln p of the chosen answer less ln p of the rejected one, each summed over its tokens",
        "mean over pairs; compared in pairs of two students, where it is DPO's implicit reward over beta",
        "nats",
        "estimate",
        "over prompts, Student's t, 95 %",
        "the level: a long answer costs more nats than a short one; compare two students",
        "",
        "preference_accuracy",
    ),
    "answer_coverage": (
        "",
        "share of test questions whose right option stands in the training text",
        "search for the words",
        "prob",
        "exact",
        "Wilson, 95 %",
        "knowledge: the right words may stand in a wrong sentence",
        "",
        "accuracy",
    ),
}


# ---------------------------------------------------------------------------------------------- the paper's words

NOT = "not measurable"
NO = "none"
# name: (other spellings, meaning, definition with its place, estimator, unit, class, must not be taken for, readings)
_WORDS: dict[str, tuple[str, str, str, str, str, str, str, str]] = {
    "ΔI": (
        "delta I; information gain; H(M(p)|h(e_p)); H(M(p)|p); H(Y|p)",
        "What the writer adds to its prompt: for a language model, how random its answer is given the prompt.",
        "definition 4.2: H(M(p)) − I(h(e_p); M(p)). That is H(M(p) | h(e_p)), and at least H(M(p)|p), with equality where the prompt's factor is the whole prompt",
        "mean of −ln M_T(y|p), free where the model gives log-probabilities",
        "nats/token",
        "estimate",
        "a lever of the two bounds: in lemma 4.5 it cancels against H(e_M), in theorem 4.10 it enters with −1 in the end (M9, M13)",
        "delta_I, delta_I_sample, h_meaning",
    ),
    "H(M(p))": (
        "H(M); entropy of the output",
        "How random the writer's answers are when the prompt is not known.",
        "definitions 4.2 and A.1: entropy of the marginal law of answers",
        "the sum of delta_I and the interval i_prompt, where both are there",
        "nats/sample",
        "lower bound, upper bound",
        "a figure that text alone gives: plug-in estimates and compressors miss it by far at 10,000 tokens",
        "delta_I_sample, i_prompt",
    ),
    "I(h(e_p),M(p))": (
        "I(h(e_p);M(p)); I(p;M(p)); prompt information",
        "How much an answer tells about its prompt.",
        "definition 4.2, second term",
        "an interval from the score matrix ln M(y_i|p_j)",
        "nats/sample",
        "lower bound, upper bound",
        "pointwise information against an empty prompt, which overstates it",
        "i_prompt, i_prompt_low, i_prompt_high, nhsic",
    ),
    "B_syn": (
        "compression bottleneck; bottleneck",
        "What the student's weights keep of the two factors behind the synthetic data.",
        "definition 4.3: I(e_M; W) + I(e_p; W)",
        NO,
        "nats",
        NOT,
        "memo, which is what the weights keep of single rows: e_M and e_p are not observed, so no data can tell the two summands",
        "memo, generalisation_gap",
    ),
    "H(e_M)": (
        "H(eM); entropy of the model factor",
        "How random the writer's own factor is.",
        "definition 4.1 and remark 3: M(p) = h(e_p) + g(e_M), and H(e_M) is the entropy of the second factor",
        NO,
        "nats",
        NOT,
        "delta_I: only H(e_M) − ΔI enters the bound, it is at least 0, and it is 0 for independent factors and injective g, whatever the writer (M9)",
        "delta_I",
    ),
    "H(e_p)": (
        "H(ep); entropy of the prompt factor",
        "How much there is to say in the prompts.",
        "definition 4.1 and lemma E.1: entropy of the prompt's factor",
        "only an upper bound: the logarithm of the number of different prompts, for a fixed list",
        "nats",
        NOT,
        "a property of the data set: the factor is not observed",
        "i_prompt_high",
    ),
    "λ": (
        "lambda",
        "How badly the writer uses its prompt.",
        "lemma E.1: H(e_p) ≤ λ I(e_p, M(p)), λ ≥ 1; the least such λ is the ratio",
        NO,
        "unitless",
        NOT,
        "efficiency: a larger λ means less information from the prompt, the reverse of the paper's sentence (M11)",
        "i_prompt",
    ),
    "δ_{ε,p}": (
        "delta; δ; delta_epsilon_p; δ_ε,p",
        "What curation and prompting waste, as the bound counts it.",
        "lemma 4.5 and equation (27): (λ − 1) I(e_p, M(p)) − δ_ε",
        "its curation part is known exactly: −ln a and 1 − a",
        "nats",
        NOT,
        "a loss: with noise after the writer, δ_ε is at most 0, because data processing goes the other way (M4)",
        "curation_nats, curation_tv, kept_share",
    ),
    "δ_ε": (
        "delta_epsilon; delta epsilon",
        "How much the noise of curation lowers what the student keeps.",
        "equation (17): I(M(p); W) − I(S_gen; W)",
        "what a filter does is known exactly: −ln a and 1 − a",
        "nats",
        NOT,
        "a loss: M(p) → S_gen → W gives I(M(p); W) ≤ I(S_gen; W), so it is at most 0 (M4)",
        "curation_nats, curation_tv",
    ),
    "ε_{W,p}": (
        "epsilon_W,p; epsilon_w_p; epsilon",
        "What training loses of what the answers knew about the anchors.",
        "theorem 4.10: H(S_anchor|W) − H(S_anchor|M(p)) = I(S_anchor; M(p)) − I(S_anchor; W)",
        NO,
        "nats",
        NOT,
        "something that an interval settles: i_prompt less memo bounds it too loosely to say anything",
        "i_prompt, memo",
    ),
    "ΔH": (
        "delta H; entropy decrease",
        "How much less random the synthetic set is than the anchors.",
        "theorem 4.10: H(S_anchor) − H(S_gen)",
        NO,
        "nats",
        NOT,
        "a difference of cross-entropies under one model, which is relative to that model; the entropy of a whole data set grows with its size, so the paper's ΔH mixes sizes",
        "vendi, distinct_2",
    ),
    "GGMI": (
        "generalization gain via mutual information; generalisation gain via mutual information",
        "By how much less the student knows its synthetic rows by heart than it would its anchors.",
        "definition 4.9: I(S_anchor; W') − I(S_gen; W)",
        "per example and by losses: memo after training on anchors less memo after training on rows",
        "nats/example",
        "proxy",
        "a gain: a student that learned nothing has the largest (M14); and bounds compare per example, where the sign may turn (M15)",
        "ggmi, memo, gain",
    ),
    "I(S_gen,W)": (
        "I(S_gen;W); mutual information of data and weights",
        "What the weights keep of the synthetic set.",
        "lemmas 4.4 to 4.6: mutual information of the whole training set and the weights",
        "per example: which of two exchangeable rows was trained on, from their losses",
        "nats/example",
        "lower bound",
        "the whole set's information, which needs the law of the weights",
        "memo, memo_binned, absorbed",
    ),
    "I(S_anchor,W')": (
        "I(S_anchor;W'); I(S_anchor;W)",
        "What the weights keep of the anchors when trained on them.",
        "lemma 4.8",
        "memo of the anchor-only student",
        "nats/example",
        "lower bound",
        "the whole set's information",
        "memo, ggmi",
    ),
    "H(S_anchor|W)": (
        "faithfulness of the paper",
        "How much of the anchors the student cannot foretell.",
        "theorem 4.10 and remark 2: entropy of the anchors given the weights",
        "in its place: the student's loss on held-out real text, before and after",
        "nats/token",
        NOT,
        "a cross-entropy: the anchors are one data set, not a random variable that can be drawn again",
        "faithfulness, gain",
    ),
    "H(S_gen|W)": (
        "",
        "How much of the synthetic set the student cannot foretell.",
        "theorem 4.10 and remark 4: entropy of the synthetic set given the weights",
        "in its place: the loss on held-out siblings and on rows trained on",
        "nats/token",
        NOT,
        "diversity",
        "generalisation_gap, memo",
    ),
    "η": (
        "eta; contraction factor; lemma 4.4",
        "How much each layer of the student contracts information.",
        "lemma 4.4: exp(−(L/2) ln 1/η) multiplies the bound, where all L layers contract",
        NO,
        "unitless",
        NOT,
        "a property of transformers: a residual layer can be undone, so it need not contract and the factor is then 1 (M17); the paper says that η is hard to quantify",
        "",
    ),
    "D_TV(D,D_M)": (
        "task divergence; D_TV(D;D_M)",
        "How far the writer's law is from the task's.",
        "lemma 3.1, first divergence",
        "at least tv_lower − curation_tv, by the triangle inequality",
        "prob",
        "lower bound",
        "a price that has to be paid: what matters is D_TV(D,D_gen), which the sum only bounds (M2)",
        "tv_lower, curation_tv",
    ),
    "D_TV(D_M,D_gen)": (
        "generation divergence; D_TV(D_M;D_gen)",
        "How far curation moved the rows from what the writer would write.",
        "lemma 3.1, second divergence",
        "exact where rows are accepted or rejected: 1 − a",
        "prob",
        "exact",
        "harm: a filter that keeps one row in ten has 0.9, however good it is (M2)",
        "curation_tv, curation_nats",
    ),
    "D_TV": (
        "total variation; D_TV(D,D_gen); TV; divergence",
        "How far apart two laws are: the best classifier's advantage.",
        "definition A.4; the bound of lemma 3.1 needs D_TV(D, D_gen) only",
        "max(0, TPR + TNR − 1) of a held-out classifier; no data give an upper bound without densities",
        "prob",
        "lower bound",
        "∫|P − Q|, which is twice as large (M1)",
        "tv_lower, curation_tv",
    ),
    "KL Gap": (
        "KL-gap; KL divergence gap",
        "How much nearer to the truth the student is with synthetic data than with the anchors alone.",
        "section 4.4: KL(π_anchor ‖ G) − KL(π_gen ‖ G), the reverse direction, by histograms",
        "forward instead: E_D[loss of the anchor-only student − loss of the other]; the entropy of D cancels, so it needs held-out real text only",
        "nats/token",
        "estimate",
        "the paper's direction: reverse and forward gaps disagree in two of the figure's three trends (docs/laboratory.md)",
        "gain, proxy_gain, target_fit",
    ),
    "Err(π)": (
        "Err; generalization error; generalisation error; Err(pi)",
        "How wrong the student is on the task, less how wrong on its training rows.",
        "section 3.3: |R_D(π) − R̂(π)|",
        "both parts by themselves: held-out loss and task score; loss on rows and on their siblings",
        "nats/token; prob",
        "estimate",
        "how wrong the student is: a student that is equally wrong everywhere has Err = 0",
        "accuracy, gain, generalisation_gap",
    ),
    "Theorem 4.7": (
        "bound 4.7; lemma 4.5; lemma 4.6; generalization bound; upper bound",
        "An upper bound on a student's generalisation error after synthetic data.",
        "lemmas 4.5 and 4.6, theorem 4.7: C (D_TV + D_TV) + √(2σ² [−ΔI + B_syn + H(e_M) + δ] / n)",
        NO,
        "loss",
        NOT,
        "something that can be computed or that holds in general: lemma 4.5 says 1 bit ≤ 0 for a learner that stores only whether prompt and answer agree (M8); for text the last term is vacuous above 2 nats a sample (M18)",
        "generalisation_gap, tv_lower, curation_tv",
    ),
    "Theorem 4.10": (
        "bound 4.10; bound of GGMI; upper bound of GGMI",
        "An upper bound on GGMI.",
        "theorem 4.10: ΔI − (α + 1) H(S_anchor|W) + 2ΔH + H(S_gen|W) + ε_{W,p}",
        NO,
        "nats",
        NOT,
        "evidence of a gain: without noise its slack is 0, so it is the definition of GGMI rewritten; noise that raises entropy breaks it (M13); and an upper bound on a gain proves none (M14)",
        "ggmi, gain",
    ),
    "bound": (
        "bounds; the two bounds; generalization upper bound",
        "The paper's two upper bounds: theorem 4.7 on the error, theorem 4.10 on GGMI.",
        "theorem 4.7 and theorem 4.10; ask for either by its name",
        NO,
        "",
        NOT,
        "a number that a run could print: neither can be computed, one is false without a strong assumption (M8), the other an identity (M13)",
        "gain, generalisation_gap, ggmi",
    ),
    "α": (
        "alpha",
        "The ratio of what two students cannot foretell of the anchors.",
        "theorem 4.10: H(S_anchor|W') = α H(S_anchor|W), α ≥ 0",
        NO,
        "unitless",
        NOT,
        "at least 0 in general: for densities entropies may be negative, and so may α (M19)",
        "faithfulness",
    ),
}


# ---------------------------------------------------------------------------------------------- the tables, built


def _figure(name: str, entry: _Entry) -> Explanation:
    symbols, definition, estimator, unit, kind, interval, not_for, reference, beside = entry
    return Explanation(
        name,
        (symbols,) if symbols else (),
        MEANINGS[name],
        definition,
        estimator,
        unit,
        kind,
        interval,
        not_for,
        reference,
        _split(beside, ", "),
    )


def _word(name: str, entry: tuple[str, ...]) -> Explanation:
    _, said, definition, estimator, unit, kind, not_for, readings = entry
    interval = "" if kind == NOT else "that of its readings"
    return Explanation(
        name, (name,), said, definition, estimator, unit, kind, interval, not_for, PAPER, _split(readings, ", ")
    )


def _split(text: str, by: str) -> tuple[str, ...]:
    return tuple(text.split(by)) if text else ()


_READINGS = {name: _figure(name, entry) for name, entry in _FIGURES.items()}
_PAPER = {name: _word(name, entry) for name, entry in _WORDS.items()}
_BESIDE = ("vendi_anchors", "dup_rate_anchors", "distinct_1_anchors", "distinct_2_anchors")
GREEK = {
    letter: word
    for word in ("alpha", "delta", "epsilon", "eta", "lambda", "phi", "pi", "sigma", "theta")
    for letter in (unicodedata.lookup(f"GREEK SMALL LETTER {word.replace('lambda', 'lamda').upper()}"),)
}


def names() -> tuple[str, ...]:
    """Every name that `explain` knows as it is written: the readings first, then the paper's words."""
    return (*_READINGS, *_BESIDE, *_PAPER)


def explain(name: str) -> Explanation:
    """What a reading is (`proxy_gain`, `vendi_anchors`, `curation_nats/final_answer`), or a quantity of the paper (ΔI, "delta I", "H(e_M)", "bound").

    Upper and lower case, Greek or Latin letters, underscores and brackets make no difference where they need not.
    SynthgainError with the nearest names where the name is not known.
    """
    asked = name.strip()
    found = _exactly(asked) or _PAPER.get(asked) or _exactly_in_any_case(asked)
    found = found or _PAPER.get(_SPELT.get(plain(asked), "")) or _READINGS.get(_TYPED.get(plain(asked), ""))
    if found is None:
        raise SynthgainError(f"no figure is called {name!r}", next=_next(asked))
    return found


def _exactly(name: str) -> Explanation | None:
    entry = known(name)
    if entry is None or entry not in _READINGS:
        return None
    one = _READINGS[entry]
    return one if name == entry else replace(one, name=name, meaning=meaning(name) or one.meaning)


def _exactly_in_any_case(name: str) -> Explanation | None:
    return next((one for key, one in _READINGS.items() if key.casefold() == name.casefold()), None)


def plain(name: str) -> str:
    """A name without case, Greek letters, spaces, underscores, brackets, backslashes and commas."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[^a-z0-9]", "", "".join(GREEK.get(letter, letter) for letter in text))


def _next(asked: str) -> str:
    typed = {plain(spelt): name for spelt, name in (*_SPELT_NAMES.items(), *zip(_READINGS, _READINGS))}
    near = difflib.get_close_matches(plain(asked)[:80], typed, n=3, cutoff=0.55)
    if not near:
        return f"figures: {', '.join(_READINGS)}; of the paper: {', '.join(_PAPER)}"
    *most, last = dict.fromkeys(typed[key] for key in near)
    return f"did you mean {', '.join(most)} or {last}?" if most else f"did you mean {last}?"


_SPELT_NAMES = {other: name for name, entry in _WORDS.items() for other in (name, *_split(entry[0], "; "))}
_SPELT = {plain(other): name for other, name in _SPELT_NAMES.items()}
_TYPED = {plain(name): name for name in _READINGS}
