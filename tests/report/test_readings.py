"""Every figure of the meter has a sentence."""

from __future__ import annotations

import pytest

from synthgain.report.readings import MEANINGS, meaning

NAMED = [
    "tokens_out",
    "rows_kept",
    "distinct_1",
    "distinct_2",
    "copy_rate",
    "dup_rate",
    "delta_I",
    "kept_share",
    "accuracy",
    "pass_at_k",
    "parsable",
    "forgetting",
    "proxy_gain",
    "target_fit",
    "surprise",
    "transfer_kl",
    "curation_nats",
    "curation_tv",
    "tv_lower",
    "vendi",
    "test_overlap",
    "nhsic",
    "i_prompt",
    "h_meaning",
    "grad_align",
]


@pytest.mark.parametrize("name", NAMED)
def test_named_figures_have_one_sentence(name: str) -> None:
    sentence = MEANINGS[name]
    assert sentence[0].isupper() and sentence.endswith(".") and ". " not in sentence


def test_names_with_a_number_or_an_arm() -> None:
    assert meaning("pass_at_4") == MEANINGS["pass_at_k"]
    assert meaning("accuracy/hard") == MEANINGS["accuracy"]
    assert MEANINGS["distinct_2"] in (meaning("distinct_2_anchors") or "")
    assert meaning("never heard of") is None
    assert "randomness, not usefulness" in MEANINGS["delta_I"]
