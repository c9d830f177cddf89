"""Which figures answer one question together, which are gains, and which have earned a colour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from synthgain.meanings import known
from synthgain.types import Reading

GAINS = (
    "probe_gain",
    "context_gain",
    "proxy_gain",
    "target_fit",
    "proxy_gain_answer",
    "target_fit_answer",
)  # on one scale
EARNED = frozenset({"gain"})  # figures whose sign has a colour
ADDS = frozenset(
    {*GAINS, *EARNED, "context_fit", "proxy_gain_1", "proxy_gain_mixture", "target_fit_1"}
)  # more is more added
MINOR = {"proxy_gain": ("proxy_gain_1", "proxy_gain_mixture"), "target_fit": ("target_fit_1",)}


@dataclass(frozen=True)
class Group:
    """Figures that answer one question together."""

    slug: str
    title: str
    asks: str
    names: tuple[str, ...]


GROUPS = (
    Group(
        "headline",
        "What it adds",
        "do held-out answers, or does held-out real text, become easier for a student or for a reader that counts words",
        (
            "probe_gain",
            "context_gain",
            "context_fit",
            "right_share",
            "proxy_gain_answer",
            "target_fit_answer",
            "grounded",
            "proxy_gain",
            "proxy_gain_1",
            "proxy_gain_mixture",
            "target_fit",
            "target_fit_1",
        ),
    ),
    Group(
        "after",
        "After training",
        "what a trained student gained, and what it learned by heart",
        (
            "gain",
            "accuracy",
            "accuracy_letter",
            "accuracy_generation",
            "answer_margin",
            "preference_accuracy",
            "preference_accuracy_per_token",
            "preference_margin",
            "pass_at_k",
            "parsable",
            "parsable_generation",
            "cut_off",
            "thinking_tokens",
            "answer_coverage",
            "held_out_loss",
            "perplexity",
            "loss_at",
            "generalisation_gap",
            "generalisation_gap_calibrated",
            "memo",
            "memo_binned",
            "ggmi",
            "absorbed",
            "absorbed_token",
            "faithfulness",
            "forgetting",
        ),
    ),
    Group(
        "randomness",
        "Randomness, and the student’s view",
        "how unsure the writer was, and how unexpected its words are to the student",
        (
            "delta_I",
            "delta_I_sample",
            "h_meaning",
            "surprise",
            "surprise_byte",
            "transfer_kl",
            "transfer_kl_byte",
            "transfer_kl_sample",
            "grad_align",
            "grad_match",
            "logprob_per_token",
        ),
    ),
    Group(
        "curation",
        "Curation",
        "what the checks did by choosing",
        ("kept_share", "curation_nats", "curation_nats_total", "curation_nats_lost", "curation_tv"),
    ),
    Group("distance", "Distance", "how far the rows are from real text", ("tv_lower",)),
    Group(
        "diversity",
        "Diversity",
        "how different the rows are from each other; real anchors beside them",
        ("mdm", "vendi", "dup_rate", "dup_rate_exact", "repeated", "distinct_2", "distinct_1"),
    ),
    Group(
        "copying",
        "Copying and leakage",
        "how much was copied from the anchors, or leaked from the test",
        ("copy_rate", "copy_rate_any", "test_overlap"),
    ),
    Group(
        "dependence",
        "Dependence",
        "whether the rows follow what they were made from",
        ("nhsic", "nhsic_p", "i_prompt", "i_prompt_low", "i_prompt_high"),
    ),
    Group("size", "Size, and other figures", "", ("rows_kept", "tokens_out", "tokens_in")),
)


def grouped(names: Iterable[str]) -> list[tuple[Group, list[str]]]:
    """Names by group, in the groups' order; what no group knows comes last. Anchors' figures go with the rows'."""
    given = list(names)
    left = [n for n in given if not (n.endswith("_anchors") and n.removesuffix("_anchors") in given)]
    place = {name: (g, i) for g, group in enumerate(GROUPS) for i, name in enumerate(group.names)}
    last = (len(GROUPS) - 1, 99)
    order = {n: place.get(n) or place.get(known(n) or "", last) for n in left}
    found = [
        (group, sorted((n for n in left if order[n][0] == g), key=lambda n: order[n][1]))
        for g, group in enumerate(GROUPS)
    ]
    return [(group, mine) for group, mine in found if mine]


def side(r: Reading) -> str:
    """The colour of a figure: of those that have earned one, by the side of zero that its interval lies on; else none."""
    if r.name not in EARNED:
        return "mark"
    if r.low is not None and r.low > 0:
        return "kept"
    return "below" if r.high is not None and r.high < 0 else "mark"
