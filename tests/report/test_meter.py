"""The meter's section: headline first, every figure with its interval and class, anchors beside rows, reasons for what is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from doubles.folders import dump, loop_folder, run_folder, student
from report.pages import Document, checked
from synthgain.meanings import MEANINGS
from synthgain.report.figures import Scale, paired, whisker
from synthgain.report.groups import GROUPS, grouped, side
from synthgain.report.meter import headline, meter, verdict
from synthgain.report.page import write
from synthgain.report.readings_table import diagnosis, shared_scales
from synthgain.report.worth import worth
from synthgain.types import Reading

GAIN = Reading(
    "proxy_gain", 0.184, 0.121, 0.249, unit="nats/token", n=48, note="5 folds; on all rows", estimator="trigrams"
)
FIT = Reading("target_fit", -0.312, -0.421, -0.201, unit="nats/token", n=48)
REST = [
    Reading("delta_I", 0.742, 0.688, 0.801, unit="nats/token", n=60),
    Reading("curation_nats", 0.693, 0.559, 0.849, unit="nats/kept sample", n=180, kind="exact"),
    Reading("curation_nats/final-answer", 0.405, 0.311, 0.512, unit="nats/kept sample", n=180, kind="exact"),
    Reading("tv_lower", 0.81, 0.64, None, unit="prob", n=120, kind="lower bound"),
    Reading("vendi", 23.1, 20.2, 26.4, unit="count", n=60),
    Reading("vendi_anchors", 41.2, 38.0, 44.9, unit="count", n=60),
    Reading("nhsic_p", 0.005, unit="prob", n=60, kind="test"),
    Reading("surprise", None, unit="nats/token", note="no student was given"),
    Reading("transfer_kl", None, unit="nats/token", note="no student was given"),
    Reading("test_overlap", None, unit="prob", note="no held-out text was given"),
    Reading("an_unknown_figure", 3.0, unit="things", n=3),
]


def page(*readings: Reading) -> Document:
    return Document(f"<div>{meter(readings)}</div>")


def test_the_headline_stands_first_with_its_interval_and_what_it_bears_out() -> None:
    said = page(*REST, GAIN, FIT).said
    assert said.index("proxy_gain") < said.index("target_fit") < said.index("delta_I")
    assert "0.18 [0.12, 0.25]" in said and "−0.31 [−0.42, −0.20]" in said
    assert "easier to predict" in said and "worse than the anchors do" in said
    assert "trigrams 5 folds on all rows" in said  # how it was measured


@pytest.mark.parametrize(
    ("low", "high", "words", "colour"),
    [
        (0.01, 0.2, "easier to predict", "mark"),
        (-0.2, -0.01, "harder to predict", "mark"),
        (-0.1, 0.1, "cannot be told from these data", "mark"),
        (0.0, 0.1, "cannot be told from these data", "mark"),
        (None, None, "nobody can say more", "mark"),
    ],
)
def test_the_verdict_is_no_more_than_the_interval(
    low: float | None, high: float | None, words: str, colour: str
) -> None:
    r = Reading("proxy_gain", 0.05, low, high)
    assert words in verdict(r) and side(r) == colour


def test_only_what_a_trained_student_gained_takes_a_colour_for_its_sign() -> None:
    """+0.22 stood in large blue over gibberish."""
    assert side(Reading("gain", 0.2, 0.1, 0.3)) == "kept" and side(Reading("gain", -0.2, -0.3, -0.1)) == "below"
    for name in ("proxy_gain", "target_fit", "forgetting", "delta_I", "grounded"):
        assert side(Reading(name, 0.2, 0.1, 0.3)) == side(Reading(name, -0.2, -0.3, -0.1)) == "mark"


def test_names_and_numbers_stand_beside_the_gain() -> None:
    grounded = Reading("grounded", 0.23, 0.17, 0.32, unit="prob", n=12, kind="proxy")
    said = page(GAIN, FIT, grounded).said
    assert said.index("0.23 [0.17, 0.32]") < said.index("Held-out real text becomes easier to predict")
    assert "Of 100 names and numbers in the rows, about 23 stand in what each was made from" in said


def test_rows_that_answer_their_anchors_have_no_headline_of_texts() -> None:
    """The demo's page said "takes away" in red over a student that had gained."""
    said = Document(f"<div>{meter([GAIN, FIT, *REST], task='answers')}</div>").said
    assert said.startswith("Nothing that was measured says what these rows are worth.")
    assert "harder to predict" not in said and "0.18 [0.12, 0.25]" in said  # it is there, among the others
    right = Reading("right_share", 0.29, 0.24, 0.34, unit="prob", n=100)
    none = Reading("proxy_gain_answer", None, unit="nats/token", note="the held-out texts have no answers: give some")
    said = page(GAIN, FIT, none, *REST, right).said
    assert said.startswith("Of 100 answers that were written, a rule found about 29 right")
    assert "whether a student gains has to be tried" in said and "harder to predict" not in said
    assert page(none, GAIN).said.startswith(
        "Nothing that was measured says what these rows are worth: the held-out texts have no answers: give some."
    )


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading("probe_gain", 0.2, 0.1, 0.3), "After a few small steps on the rows the student finds held-out answers easier by 0.20 [0.10, 0.30] nats a token"),
        (Reading("probe_gain", -0.2, -0.3, -0.1), "the student finds held-out answers harder by 0.20 [0.10, 0.30] nats a token"),
        (Reading("context_gain", 0.1, -0.1, 0.3), "neither easier nor harder, as far as can be told (context_gain 0.10 [−0.10, 0.30])"),
        (Reading("gain", 0.2, 0.1, 0.3), "Trained on the rows, the student finds held-out answers easier by 0.20"),
        (Reading("proxy_gain_answer", 0.3, 0.2, 0.4), "Added to the anchors, the rows make held-out answers easier to predict for a reader that counts words, by 0.30 [0.20, 0.40] nats a word"),
    ],
)  # fmt: skip
def test_the_sentence_is_of_the_task_and_of_its_best_witness(reading: Reading, words: str) -> None:
    others = [Reading("proxy_gain_answer", None, note="none"), Reading("proxy_gain", -0.5, -0.6, -0.4)]
    said = worth([reading, *(r for r in others if r.name != reading.name)])
    assert words in said and "0.5" not in said


@pytest.mark.parametrize(
    ("anchors", "words"),
    [
        (Reading("mdm_anchors", 1.2, 1.18, 1.22), "The rows are less varied than the anchors: they lie 1.064 [1.049, 1.080] from the middle of their kind, the anchors 1.20 [1.18, 1.22]"),
        (Reading("mdm_anchors", 1.0, 0.98, 1.02), "more varied than the anchors"),
        (Reading("mdm_anchors", 1.07, 1.04, 1.1), "about as varied as the anchors, as far as can be told"),
        (Reading("mdm_anchors", None, note="there are none"), "of anchors there is no such figure to compare with"),
    ],
)  # fmt: skip
def test_of_texts_the_figure_with_the_best_record_speaks(anchors: Reading, words: str) -> None:
    said = worth([GAIN, FIT, Reading("mdm", 1.064, 1.049, 1.08), anchors])
    assert words in said and "(mdm ranked 32 foreign sets at 0.71 [0.44, 0.88] and 28" in said and "0.18" not in said
    assert "Its record: it ranked 32 foreign sets at 0.60 [0.26, 0.81]" in page(GAIN).said.replace(" .", ".")


def test_without_a_headline_it_is_said() -> None:
    none = Reading("proxy_gain", None, note="there is no held-out text")
    rest = [r for r in REST if not r.name.startswith("vendi")]
    assert page(none, *rest).said.startswith(
        "Nothing that was measured says what these rows are worth: there is no held-out text."
    )


def test_anchors_stand_beside_rows_in_one_line() -> None:
    found = page(*REST)
    assert "23 [20, 26]" in found.said and "anchors 41 [38, 45]" in found.said
    assert "vendi_anchors" not in found.said
    assert any("rows 23.1, interval 20.2 to 26.4; anchors 41.2" in str(a.get("aria-label")) for _, a in found.tags)
    alone = page(Reading("vendi", None, note="no embedder"), REST[5])
    assert "vendi_anchors" in alone.said and "The same figure for the anchors" in alone.said


def test_what_is_missing_stands_in_a_list_by_reason() -> None:
    said = page(*REST).said
    tail = said[said.index("Not measured, and why") :]
    assert tail.count("no student was given") == 1
    assert (
        re.search(r"surprise\s+transfer_kl\s+no student was given", tail)
        and "test_overlap no held-out text was given" in tail
    )
    assert "Not measured" not in page(GAIN).said


def test_every_figure_has_its_class_its_n_and_its_sentence() -> None:
    found = page(*REST)
    assert [
        a["class"] for tag, a in found.tags if tag == "span" and str(a.get("class")).startswith("kind kind-")
    ].count("kind kind-lower-bound") >= 1
    assert MEANINGS["tv_lower"] in found.said and "0.81 [≥ 0.64]" in found.said
    assert "an_unknown_figure" in found.said and "No description is known" in found.said
    assert "final-answer" in found.said  # the check of a curation figure


def test_grouping_loses_nothing_and_doubles_nothing() -> None:
    names = [*MEANINGS, "curation_nats/final-answer", "pass_at_4", "odd", "vendi_anchors", "only_anchors", "a/b/c", ""]
    there = [name for _, mine in grouped(names) for name in mine]
    pairs = {n for n in names if n.endswith("_anchors") and n.removesuffix("_anchors") in names}
    assert sorted(there) == sorted(set(names) - pairs)
    of = {name: group.slug for group, mine in grouped(names) for name in mine}
    assert of["curation_nats/final-answer"] == "curation" and of["pass_at_4"] == "after" and of["odd"] == "size"


def test_every_known_figure_has_a_group_of_its_own() -> None:
    placed = [name for group in GROUPS for name in group.names]
    assert len(placed) == len(set(placed))
    assert {n for n in MEANINGS if not n.endswith("_anchors")} == set(placed)


def test_figures_of_one_unit_share_a_scale() -> None:
    scales = shared_scales(
        [
            Reading("a", 0.2, 0.1, 0.3, unit="prob"),
            Reading("b", 2.0, 1.0, 3.0, unit="nats"),
            Reading("c", -5.0, unit="nats"),
            Reading("d", None, unit="x"),
        ]
    )
    assert (scales["prob"].low, scales["prob"].high) == (0, 1)
    assert scales["nats"].low < -5 and scales["nats"].high > 3
    assert "x" not in scales


@pytest.mark.parametrize("ends", [(0.2, 0.4), (0.2, None), (None, 0.4), (None, None)])
def test_a_mark_draws_the_ends_that_there_are(ends: tuple[float | None, float | None]) -> None:
    drawn = whisker(Scale(0, 1), 0.3, *ends)
    assert drawn.count('class="cap mark"') == sum(end is not None for end in ends)
    assert drawn.count('class="whisker mark"') == any(end is not None for end in ends)
    both = paired(Scale(0, 1), Reading("x", 0.3, *ends), Reading("x_anchors", None))
    assert both.count('class="cap kept"') == sum(end is not None for end in ends) and 'class="dot anchors"' not in both


def test_odd_values_break_nothing() -> None:
    odd = [Reading("proxy_gain", 0.0, 0.0, 0.0, unit="nats/token"), Reading("vendi", 1e300, -1e300, 1e300, unit="count"), Reading("dup_rate", 1e-12, 0.0, 1e-11, unit="prob"),
           Reading("delta_I", -0.0, -0.0, -0.0, unit=""), Reading("copy_rate", 7.0, 3.0, 9.0, unit="prob"), Reading("", 1.0), Reading("/", 1.0), Reading("x" * 5_000, 1.0, note="y" * 50_000)]  # fmt: skip
    assert page(*odd).said
    assert headline([], {}) is None and diagnosis([]) is None


# ---------------------------------------------------------------------------------------------- pages


def test_a_run_page_holds_the_meter(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    dump(folder / "readings.json", {"readings": [r.json() for r in (GAIN, FIT, *REST)]})
    found = checked(write(folder))
    assert "The meter" in found.said and "anchors 41 [38, 45]" in found.said and "Not measured, and why" in found.said


AFTER = [
    Reading("gain", 0.113, 0.061, 0.164, unit="nats/token", n=48),
    Reading("memo", 0.041, 0.012, 0.088, unit="nats/example", n=120, kind="lower bound"),
    Reading("memo_anchors", 0.102, 0.05, 0.16, unit="nats/example", n=120, kind="lower bound"),
    Reading("absorbed", None, note="one order of the data only"),
]


def test_a_loop_page_shows_what_was_measured_after_training(tmp_path: Path) -> None:
    folder = loop_folder(tmp_path / "loop", rounds=2, anchors=6)
    assert "After training" not in checked(write(folder)).said
    dump(folder / "round-1" / "students" / "filtered" / "readings.json", {"readings": [r.json() for r in AFTER]})
    dump(folder / "readings.json", {"readings": [Reading("forgetting", 0.02, 0.01, 0.03, unit="nats/token").json()]})
    said = checked(write(folder)).said
    assert "After training" in said and "filtered, round 1" in said and "0.11 [0.06, 0.16]" in said
    assert "the whole loop" in said and "one order of the data only" in said
    assert "memo_anchors" in said


def test_a_student_has_a_page(tmp_path: Path) -> None:
    student(tmp_path, seed=0)
    assert "there is no readings.json" in checked(write(tmp_path)).said
    dump(tmp_path / "readings.json", {"readings": [r.json() for r in AFTER]})
    said = checked(write(tmp_path)).said
    assert "A student of smollm2-135m" in said and "0.11 [0.06, 0.16]" in said and "training loss" in said
    assert "anchors 0.10 [0.05, 0.16]" in said
    (tmp_path / "student.json").write_bytes(b"{broken")
    assert "student.json cannot be read" in checked(write(tmp_path)).said
