"""The comparison page: who adds more, or that they cannot be told apart, and nothing that the data do not bear out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from report.pages import Document, checked
from synthgain.report.comparison import Difference, labels, write_comparison
from synthgain.types import Reading, SynthgainError

A, B = "runs/plain", "runs/filtered"


def run(path: str, *readings: Reading, **more: Any) -> dict[str, Any]:
    return {
        "path": path,
        "recipe": "rft",
        "rows": 90,
        "tokens": 2212,
        "cost_usd": None,
        "readings": [r.json() for r in readings],
        **more,
    }


def difference(
    name: str,
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    per: str = "set",
    a: str = A,
    b: str = B,
    **more: Any,
) -> dict[str, Any]:
    return {
        "name": name,
        "a": a,
        "b": b,
        "per": per,
        "value": value,
        "low": low,
        "high": high,
        "level": 0.95,
        "verdict": "",
        **more,
    }


GAINS = [Reading("proxy_gain", v, v - 0.05, v + 0.05, unit="nats/token", n=40) for v in (0.1, 0.3)]
RUNS = [
    run(A, GAINS[0], Reading("delta_I", 0.7, 0.6, 0.8, unit="nats/token"), Reading("vendi", None, note="no embedder")),
    run(B, GAINS[1], Reading("vendi", None, note="no embedder")),
]


def written(tmp_path: Path, *found: dict[str, Any], runs: Any = RUNS, sentences: Any = ()) -> Document:
    out = write_comparison(
        {"runs": runs, "differences": list(found), "sentences": list(sentences)}, tmp_path / "compared.html"
    )
    assert out == tmp_path / "compared.html"
    return checked(out)


def test_it_says_who_adds_more_and_when_nobody_can_tell(tmp_path: Path) -> None:
    said = written(
        tmp_path,
        difference("proxy_gain", -0.2, -0.3, -0.1),
        difference("target_fit", 0.1, -0.1, 0.3),
        difference("dup_rate", 0.2, 0.1, 0.3),
        difference("vendi", 3.0, None, None),
        sentences=["filtered adds more than plain.", "About 300 more rows would tell."],
    ).said
    for words in (
        "plain and filtered",
        "filtered adds more than plain.",
        "About 300 more rows would tell.",
        "filtered adds more",
        "cannot be told apart",
        "plain is higher",
        "no interval, so nobody can say",
        "−0.20 [−0.30, −0.10]",
        "does not mean that they are equal",
    ):
        assert words in said
    assert "plain adds more" not in said


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.1, 0.2, "a adds more"),
        (-0.2, -0.1, "b adds more"),
        (-0.1, 0.1, "cannot be told apart"),
        (0.0, 0.1, "cannot be told apart"),
        (None, None, "no interval, so nobody can say"),
    ],
)
def test_words_follow_the_interval(low: float | None, high: float | None, says: str) -> None:
    r = Reading("proxy_gain", 0.15, low, high)
    assert Difference("a", "b", "set", r, 0).says == says
    assert Difference("a", "b", "set", Reading("delta_I", 0.15, 0.1, 0.2), 0).says == "a is higher"
    assert Difference("a", "b", "set", Reading("proxy_gain", None), 0).says == "not measured"


RATIOS = [
    difference("proxy_gain", 0.2, 0.1, 0.3, paired=40),
    difference("proxy_gain", 0.002, 0.001, 0.003, per="row"),
    difference("proxy_gain", 2e-5, 1e-5, 3e-5, per="token"),
    difference("proxy_gain", None, None, None, per="dollar", note="no price of plain"),
    difference("proxy_gain", 1.0, 0.5, 1.5, per="hour"),
]


def test_ratios_are_written_in_a_readable_measure_and_called_no_forecast_once(tmp_path: Path) -> None:
    said = written(tmp_path, *RATIOS).said
    assert "for 100 rows" in said and "+0.20 [+0.10, +0.30]" in said
    assert "for 10,000 words" in said and "hour" in said
    assert "as they are; paired over 40 held-out documents" in said
    assert said.count("not a forecast") == 1
    told = written(tmp_path, *RATIOS, sentences=["A figure per row is a ratio, not a forecast."]).said
    assert told.count("not a forecast") == 1


def test_why_there_is_no_ratio_stands_once(tmp_path: Path) -> None:
    few = [
        difference(name, None, None, None, per=per, note="plain has 32 rows, too few for a ratio")
        for name in ("proxy_gain", "target_fit")
        for per in ("row", "token", "dollar")
    ]
    sets = [difference(name, 0.2, 0.1, 0.3) for name in ("proxy_gain", "target_fit")]
    said = written(tmp_path, *sets, *few).said
    assert said.count("plain has 32 rows, too few for a ratio") == 1
    assert "for 100 rows for 10,000 words for 10 cents plain has 32 rows" in said


def test_all_figures_stand_side_by_side_and_the_missing_have_reasons(tmp_path: Path) -> None:
    said = written(tmp_path, difference("vendi", None, None, None, note="plain: no embedder")).said
    assert "0.10 [0.05, 0.15]" in said and "0.30 [0.25, 0.35]" in said
    assert "not measured" in said  # delta_I of the second run
    assert "Measured in none of them, and why vendi no embedder" in said
    assert "Not compared, and why vendi plain: no embedder" in said
    assert "2,212" in said and "not known" in said


def test_without_sentences_or_differences_it_says_so(tmp_path: Path) -> None:
    assert "there are no differences" in written(tmp_path).said
    assert "Nothing was measured in both" in written(tmp_path).said
    assert "By proxy_gain: filtered adds more" in written(tmp_path, difference("proxy_gain", -0.2, -0.3, -0.1)).said


def test_many_runs_and_alike_names(tmp_path: Path) -> None:
    assert labels([{"path": "a/x/run"}, {"path": "a/y/run"}]) == ["x/run", "y/run"]
    assert labels([{"path": "run"}, {"path": "b/run"}]) == ["run", "b/run"]
    assert labels([{"path": "run"}, {"path": "run"}]) == ["run (1)", "run (2)"]
    assert labels([{"path": "a/1", "name": "first"}, {"path": "b/1", "name": "second"}]) == ["first", "second"]
    assert labels([{}, {}]) == ["run 1", "run 2"]
    runs = [run(f"runs/r{i}", GAINS[i % 2]) for i in range(8)]
    assert "8 runs compared" in written(tmp_path, runs=runs).said


@pytest.mark.parametrize("result", [{}, {"runs": []}, {"runs": [{}]}, {"runs": "x"}])
def test_fewer_than_two_runs_are_refused(tmp_path: Path, result: dict[str, Any]) -> None:
    with pytest.raises(SynthgainError, match="two runs") as error:
        write_comparison(result, tmp_path / "x.html")
    assert error.value.next and not (tmp_path / "x.html").exists()


HOSTILE = (
    "</style><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "rtl \u202etxt",
    "nul \x00",
    "$title ${body}",
    "lone \ud800",
)


@pytest.mark.parametrize("wild", HOSTILE)
def test_hostile_names_and_notes_are_shown_and_never_become_markup(tmp_path: Path, wild: str) -> None:
    r = Reading(wild, 1.0, 0.5, 2.0, unit=wild, note=wild, estimator=wild)
    found = written(
        tmp_path,
        difference(wild, 1.0, 0.5, 2.0, a=wild, b=wild, per=wild, verdict=wild, note=wild),
        difference("proxy_gain", None, None, None, note=wild),
        runs=[run(wild, r, recipe=wild, tokens=wild, cost_usd=wild), run(B, Reading("x", None, note=wild))],
        sentences=[wild, wild, 3],
    )
    assert "alert" not in "".join(a.get("onmouseover") or "" for _, a in found.tags)
    page = (tmp_path / "compared.html").read_text("utf-8")
    assert "\u202e" not in page and "\x00" not in page


def test_junk_is_left_out(tmp_path: Path) -> None:
    junk = [
        None,
        3,
        "x",
        {},
        {"name": 3},
        {"name": "proxy_gain", "value": "NaN", "low": [], "high": {}, "a": 1, "b": None, "per": None},
    ]
    assert written(tmp_path, *junk, runs=[*RUNS, None, 3, {"readings": "x"}], sentences=[None, {}, ""]).said  # type: ignore[arg-type]


def test_the_page_is_the_same_each_time_and_light(tmp_path: Path) -> None:
    result = json.loads(
        json.dumps({"runs": RUNS, "differences": [difference("proxy_gain", -0.2, -0.3, -0.1)], "sentences": []})
    )
    first = write_comparison(result, tmp_path / "a.html").read_bytes()
    assert write_comparison(result, tmp_path / "b.html").read_bytes() == first
    assert len(first) < 80_000
