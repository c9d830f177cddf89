"""Every figure and every word of the paper is explained, and found however it is typed."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from synthgain.meanings import MEANINGS, meaning
from synthgain.measure.explain import NOT, Explanation, explain, names, plain
from synthgain.types import ReadingClass, SynthgainError

# ESTIMATORS.md section 6, with what the rooms of the meter add
SECTION_6 = [
    "proxy_gain",
    "proxy_gain_1",
    "proxy_gain_mixture",
    "target_fit",
    "target_fit_1",
    "grounded",
    "delta_I",
    "delta_I_sample",
    "surprise",
    "surprise_byte",
    "transfer_kl",
    "curation_nats",
    "curation_tv",
    "tv_lower",
    "vendi",
    "vendi_anchors",
    "dup_rate",
    "dup_rate_anchors",
    "distinct_2",
    "distinct_2_anchors",
    "copy_rate",
    "copy_rate_any",
    "test_overlap",
    "nhsic",
    "nhsic_p",
    "i_prompt",
    "i_prompt_low",
    "i_prompt_high",
    "h_meaning",
    "grad_align",
    "gain",
    "generalisation_gap",
    "memo",
    "memo_binned",
    "ggmi",
    "absorbed",
    "absorbed_token",
    "faithfulness",
    "forgetting",
    "kept_share",
    "tokens_out",
    "accuracy",
]

TYPED = {
    "ΔI": "ΔI",
    "delta I": "ΔI",
    "Delta_I": "delta_I",
    "DELTA I": "ΔI",
    r"\Delta I": "ΔI",
    "information gain": "ΔI",
    "h(m(p)|p)": "ΔI",
    "B_syn": "B_syn",
    "bsyn": "B_syn",
    "b syn": "B_syn",
    "H(e_M)": "H(e_M)",
    "h(eM)": "H(e_M)",
    "H(e_p)": "H(e_p)",
    "delta": "δ_{ε,p}",
    "δ": "δ_{ε,p}",
    "δ_{ε,p}": "δ_{ε,p}",
    "delta_epsilon,p": "δ_{ε,p}",
    "ϵ_{W,p}": "ε_{W,p}",
    "epsilon_w_p": "ε_{W,p}",
    "lambda": "λ",
    "Λ": "λ",
    "GGMI": "GGMI",
    "bound": "bound",
    "Bounds": "bound",
    "Theorem 4.7": "Theorem 4.7",
    "lemma 4.5": "Theorem 4.7",
    "theorem4.10": "Theorem 4.10",
    "D_TV": "D_TV",
    "dtv": "D_TV",
    "total variation": "D_TV",
    "D_TV(D, D_M)": "D_TV(D,D_M)",
    "d_tv(d_m,d_gen)": "D_TV(D_M,D_gen)",
    "KL Gap": "KL Gap",
    "kl-gap": "KL Gap",
    "H(S_anchor|W)": "H(S_anchor|W)",
    "H(S_gen | W)": "H(S_gen|W)",
    "I(S_gen;W)": "I(S_gen,W)",
    "I(S_anchor;W')": "I(S_anchor,W')",
    "ΔH": "ΔH",
    "alpha": "α",
    "eta": "η",
    "I(h(e_p);M(p))": "I(h(e_p),M(p))",
    "Err(π)": "Err(π)",
    "H(M(p))": "H(M(p))",
    " proxy_gain ": "proxy_gain",
    "Proxy gain": "proxy_gain",
    "delta_i": "delta_I",
    "ggmi": "ggmi",
    "TV_LOWER": "tv_lower",
    "nHSIC": "nhsic",
    "generalisation gap": "generalisation_gap",
}


@pytest.mark.parametrize("name", SECTION_6)
def test_every_reading_is_explained(name: str) -> None:
    one = explain(name)
    assert one.name == name and one.meaning == meaning(name)
    assert one.kind in get_args(ReadingClass)
    assert one.definition and one.estimator and one.unit and one.interval and one.not_for


def test_every_sentence_belongs_to_a_figure_and_every_figure_has_one() -> None:
    figures = {n for n in names() if n in MEANINGS}
    assert figures == set(MEANINGS)


@pytest.mark.parametrize(("typed", "name"), TYPED.items())
def test_the_papers_words_are_found_however_they_are_typed(typed: str, name: str) -> None:
    assert explain(typed).name == name


def test_all_names_are_known_as_they_are_listed() -> None:
    assert len(set(names())) == len(names())
    for name in names():
        assert explain(name).name == name


def test_what_is_read_beside_a_figure_exists_too() -> None:
    for name in names():
        for other in explain(name).readings:
            assert explain(other).name == other


def test_a_word_that_cannot_be_measured_says_so_and_never_names_an_interval() -> None:
    for name in ("B_syn", "H(e_M)", "H(e_p)", "λ", "δ_{ε,p}", "ε_{W,p}", "Theorem 4.7", "Theorem 4.10", "bound"):
        one = explain(name)
        assert one.kind == NOT and one.interval == "" and one.not_for
    assert {explain(n).kind for n in ("ΔI", "KL Gap")} == {"estimate"}
    assert explain("GGMI").kind == "proxy" and explain("D_TV").kind == "lower bound"


def test_the_papers_word_leads_to_the_reading() -> None:
    for word, reading in {
        "ΔI": "delta_I",
        "GGMI": "ggmi",
        "KL Gap": "gain",
        "D_TV": "tv_lower",
        "δ": "curation_nats",
        "D_TV(D_M,D_gen)": "curation_tv",
        "I(S_gen;W)": "memo",
        "H(S_anchor|W)": "faithfulness",
    }.items():
        assert reading in explain(word).readings


def test_variants_keep_the_figures_explanation() -> None:
    check = explain("curation_nats/final_answer")
    assert (check.name, check.kind) == ("curation_nats/final_answer", "estimate")
    assert check.definition == explain("curation_nats").definition
    anchors = explain("vendi_anchors")
    assert anchors.meaning.startswith("The same figure for the anchors") and anchors.unit == explain("vendi").unit
    assert explain("pass_at_4").meaning == MEANINGS["pass_at_k"]


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("proxy_gian", "proxy_gain"),
        ("vnedi", "vendi"),
        ("curation_nat", "curation_nats"),
        ("H(e_N)", "H(e_M)"),
        ("therem 4.7", "Theorem 4.7"),
        ("forgeting", "forgetting"),
    ],
)
def test_an_unknown_name_suggests_close_ones(typed: str, near: str) -> None:
    with pytest.raises(SynthgainError, match="no figure is called") as error:
        explain(typed)
    assert error.value.next.startswith("did you mean") and near in error.value.next


@pytest.mark.parametrize("typed", ["", "   ", "qqqqqq", "\x00", "…", "9" * 10_000])
def test_a_name_like_nothing_lists_what_there_is(typed: str) -> None:
    with pytest.raises(SynthgainError) as error:
        explain(typed)
    assert "proxy_gain" in error.value.next and "B_syn" in error.value.next


def test_json_and_text_hold_everything() -> None:
    one = explain("memo")
    told = json.loads(json.dumps(one.json()))
    assert told["class"] == "lower bound" and told["must_not_be_taken_for"] == one.not_for
    assert set(told) == {
        "name",
        "symbols",
        "meaning",
        "definition",
        "estimator",
        "unit",
        "class",
        "interval",
        "must_not_be_taken_for",
        "reference",
        "readings",
    }
    for part in (one.name, one.meaning, one.definition, one.unit, one.not_for, one.reference):
        assert part in str(one)
    assert isinstance(one, Explanation)


def test_plain_spelling() -> None:
    assert plain("δ_{ε,p}") == plain("delta epsilon p") == "deltaepsilonp"
    assert plain("D_TV(D_M, D_gen)") == "dtvdmdgen"
