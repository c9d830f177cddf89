"""The verdict in one sentence: what forbids, what asks for eyes, what a student outranks, and what it does not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from doubles.folders import dump, loop_folder, run_folder
from report.pages import checked
from synthgain.report.page import write
from synthgain.report.verdict import Known, advise
from synthgain.store import Run
from synthgain.types import Reading

FINE = Reading("grounded", 0.96, 0.94, 0.98, unit="prob", n=300)
ODD = Reading("grounded", 0.23, 0.17, 0.32, unit="prob", n=12)
HALF = Reading("grounded", 0.7, 0.6, 0.78, unit="prob", n=50)
ALIKE = Reading("dup_rate", 0.01, 0.0, 0.03, unit="prob")
GIBBERISH_GAINS = Reading("proxy_gain", 0.22, 0.19, 0.25, unit="nats/token")
FAITHFUL_LOSES = Reading("proxy_gain", -0.17, -0.2, -0.14, unit="nats/token")
DONE = {"status": "complete", "counts": {"calls_bought": 400, "broken": 0}}
ANSWERED = {**DONE, "recipe": {"checks": [{"name": "final-answer", "settings": {}, "verifies": True}]}}


def known(*readings: Reading, **more: Any) -> Known:
    given: dict[str, Any] = {"record": DONE, "rows": 500, "kept": 400, "task": "restates"}
    return Known({r.name: r for r in readings}, **(given | more))


def difference(b: str, value: float, half: float) -> dict[str, Any]:
    return {"a": "filtered", "b": b, "value": value, "low": value - half, "high": value + half}


@pytest.mark.parametrize(
    ("of", "call", "words"),
    [
        (known(FINE, ALIKE, FAITHFUL_LOSES), "use", "0.96 [0.94, 0.98] of its names and numbers"),
        (known(ODD, ALIKE, GIBBERISH_GAINS), "no", "only 0.23 [0.17, 0.32] stand in"),
        (known(HALF, ALIKE), "read", "0.70 [0.60, 0.78] stand in"),
        (known(FINE, Reading("dup_rate", 0.6, 0.55, 0.65)), "no", "0.60 [0.55, 0.65] of its rows nearly repeat"),
        (known(FINE, Reading("dup_rate", 0.3, 0.2, 0.4)), "read", "nearly repeat"),
        (known(FINE, Reading("copy_rate", 0.83, 0.82, 0.84)), "read", "copied from the row's own source"),
        (known(FINE, Reading("test_overlap", 0.2, 0.1, 0.3)), "no", "held-out test"),
        (known(), "read", "nothing of it has been measured"),
        (known(FINE, stale=True), "read", "rows have changed since it was measured"),
        (known(FINE, kept=47), "read", "47 rows are few"),
        (known(FINE, record={**DONE, "status": "stopped", "why": "the budget is used up"}), "read", "stopped before its end (the budget"),
        (known(FINE, record={"status": "complete", "counts": {"calls_bought": 80, "broken": 20}}), "read", "20 of 100 calls or drafts broke"),
        (known(FINE, rows=9_000), "read", "only 4.4 % of the candidates"),
        (known(ALIKE, task="answers", record=ANSWERED, unwritten=390), "read", "390 of its 400 rows were written by no model"),
        (known(FINE, kept=0, record={**DONE, "dropped_by": {"empty": 2, "language": 498}}), "no", "most fell by language: 498 of 500"),
        (known(ALIKE, task="answers"), "read", "no rule looked at whether its answers are right"),
        (known(ALIKE, task="answers", record=ANSWERED), "use", "a rule looked at its answers (final-answer) and kept the right ones, as far as was measured"),
        (known(ALIKE, Reading("right_share", 0.3, 0.2, 0.4), task="answers"), "use", "a rule looked at its answers and kept the right ones"),
        (known(ALIKE, task="", rows=None, kept=None, record={}), "read", "nothing that was measured says that the rows are right"),
    ],
)  # fmt: skip
def test_the_sentence_follows_what_was_measured(of: Known, call: str, words: str) -> None:
    advice = advise(of)
    assert advice.call == call and words in advice.sentence, advice.sentence


def test_a_student_that_gained_outranks_doubts_and_one_that_lost_forbids() -> None:
    won = [difference("base", 0.27, 0.17), difference("base-few-shot", 0.21, 0.2), difference("unfiltered", 0.1, 0.2)]
    advice = advise(known(FAITHFUL_LOSES, kept=65, task="answers", record=ANSWERED, differences=won))
    assert (
        advice.call == "use"
        and "more of the test questions than base-few-shot (+0.21 [+0.01, +0.41])" in advice.sentence
    )
    assert "65 rows are few" in advice.reasons and any("cannot be told from unfiltered" in r for r in advice.reasons)
    behind = advise(known(FINE, differences=[*won, difference("distilled", -0.23, 0.09)]))
    assert behind.call == "use" and not any("told from distilled" in r for r in behind.reasons)
    assert (
        "the student trained on it answers fewer of the test questions than distilled (−0.23 [−0.32, −0.14])"
        in behind.reasons
    )
    lost = advise(known(FINE, differences=[difference("base", -0.2, 0.1)]))
    assert lost.call == "no" and "fewer of the test questions than base" in lost.sentence
    undecided = advise(known(FINE, kept=65, differences=[difference("base", 0.1, 0.2)]))
    assert undecided.call == "read"


def test_the_gain_by_ngrams_decides_nothing() -> None:
    """Gibberish gained 0.22 and faithful rows lost 0.17."""
    for gain in (GIBBERISH_GAINS, FAITHFUL_LOSES):
        assert advise(known(FINE, ALIKE, gain)) == advise(known(FINE, ALIKE))
        assert advise(known(ALIKE, gain)).call == advise(known(ALIKE)).call == "read"


def test_what_was_not_looked_at_is_said() -> None:
    unknown = " ".join(advise(known(FINE, ALIKE)).unknown)
    assert "student" in unknown and "--target" in unknown and "sources were not given" not in unknown


# ---------------------------------------------------------------------------------------------- on pages


def measured(folder: Path, *readings: Reading, **beside: Any) -> Path:
    """The run with these readings, stamped as those of its rows."""
    Run(folder).write_readings(readings, beside)
    return folder


def test_a_page_begins_with_the_verdict_and_shows_the_rows_to_read(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    kept = next(row for table in Run(folder).shards() for row in table.to_pylist() if row["kept"])
    doubts = [{"row": kept["id"], "why": "3 of its 3 names and numbers are not in its source: Marth, Quell, 1905"}]
    measured(folder, ODD, task="restates", read_first=doubts)
    said = checked(write(folder)).said
    assert said.index("Do not use it as it is: of its names and numbers only 0.23 [0.17, 0.32]") < said.index(
        "What fell, and why"
    )
    assert kept["id"][:12] in said and "to be read first · 1" in said and said.count("Marth, Quell, 1905") == 2


def test_figures_of_other_rows_are_marked_and_decide_nothing(tmp_path: Path) -> None:
    """The page showed the figures of before `curate`, unmarked."""
    folder = measured(run_folder(tmp_path / "run"), FINE, task="restates")
    assert "before the rows changed" not in checked(write(folder)).said
    record = json.loads((folder / "readings.json").read_text())
    dump(folder / "readings.json", {**record, "rows": "0" * 32})
    said = checked(write(folder)).said
    assert "Measured before the rows changed" in said and "Read some rows first: its rows have changed since" in said


def test_a_demo_does_not_contradict_itself(tmp_path: Path) -> None:
    """A headline in red said "takes away" above a student that had gained."""
    folder = loop_folder(tmp_path / "loop", rounds=1, anchors=12)
    run = folder / "round-0" / "run"
    measured(run, FAITHFUL_LOSES, Reading("target_fit", -0.4, -0.5, -0.3), task="answers")
    document = checked(write(folder))
    assert "Use it: the student trained on it answers more of the test questions" in document.said
    assert not any("below" in str(a.get("class")) for tag, a in document.tags if tag in ("div", "circle", "line"))
    assert "harder to predict" not in document.said and "take away" not in document.said
