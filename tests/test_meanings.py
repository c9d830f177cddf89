"""Every figure of the meter has a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from synthgain.meanings import MEANINGS, OWN, RECORDS, known, meaning, record_of
from synthgain.measure.explain import explain
from synthgain.report.worth import TEXT

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", MEANINGS)
def test_each_figure_has_one_sentence(name: str) -> None:
    sentence = MEANINGS[name]
    assert sentence[0].isupper() and sentence.endswith(".") and ". " not in sentence


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("proxy_gain", "proxy_gain"),
        ("proxy_gain_1", "proxy_gain_1"),
        ("proxy_gain_3", "proxy_gain"),
        ("pass_at_4", "pass_at_k"),
        ("accuracy/hard", "accuracy"),
        ("curation_nats/final_answer", "curation_nats"),
        ("delta_I@noise=4", "delta_I"),
        ("vendi_anchors", "vendi"),
        ("distinct_2_anchors", "distinct_2"),
        ("surprise_sample", "surprise"),
        ("never heard of", None),
        ("", None),
        ("_anchors", None),
        ("/", None),
    ],
)
def test_names_with_a_number_a_check_or_an_arm(name: str, entry: str | None) -> None:
    assert known(name) == entry


def test_sentences_of_variants() -> None:
    assert meaning("pass_at_4") == MEANINGS["pass_at_k"]
    assert meaning("accuracy/hard") == MEANINGS["accuracy"]
    assert (
        meaning("distinct_2_anchors") == f"The same figure for the anchors, to compare with. {MEANINGS['distinct_2']}"
    )
    assert meaning("never heard of") is None
    assert "randomness, not usefulness" in MEANINGS["delta_I"]


def test_the_page_on_measuring_names_figures_that_are_explained() -> None:
    """Its table says which question a figure answers and what it needs; what it means is said by `explain` alone."""
    page = (Path(__file__).parent.parent / "docs" / "measure.md").read_text("utf-8")
    table = re.findall(r"^\|(.*)\|$", page, re.M)[2:]
    named = [name for line in table for name in re.findall(r"`([A-Za-z_0-9]+)`", line)]
    assert len(named) > 15 and all(explain(name).name == name for name in named)
    assert not [name for name, sentence in MEANINGS.items() if sentence in page]


def test_records_are_those_of_the_study() -> None:
    """What stands behind a figure was measured: studies/value_truth.json."""
    held = json.loads((ROOT / "studies" / "value_truth.json").read_text("utf-8"))
    told = {r["name"]: r for r in held["readings"]}
    for name, (sets, *figures) in RECORDS.items():
        found = told[name]
        assert sets == found["sets"] and figures == [round(found[end], 2) for end in ("spearman", "low", "high")]
    assert max(told, key=lambda name: abs(told[name]["spearman"])) == TEXT[0]
    own = json.loads((ROOT / "studies" / "own_truth.json").read_text("utf-8"))
    told = {r["name"]: r for r in own["analysis"]["all"]}
    for name, (sets, *figures, signs) in OWN.items():
        found = told[name]
        assert sets == found["sets"] and figures == [round(found[end], 2) for end in ("spearman", "low", "high")]
        assert list(signs or ()) == found.get("sign_errors", [])
    assert record_of("vendi_anchors") == record_of("delta_I") == ""
    assert record_of("target_fit") == "ranked 32 foreign sets at 0.64 [0.32, 0.84]"
    assert (
        record_of("proxy_gain_answer") == "ranked 9 sets of our own at 0.28 [−0.47, 0.71] with the wrong sign on 8 of 8"
    )
    assert record_of("mdm").startswith("ranked 32 foreign sets at 0.71 [0.44, 0.88] and 28 sets of our own at −0.26 [")
