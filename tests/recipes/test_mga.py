"""MGA: five pairs at once, one reformulation of each, and the judge's score as a verdict that another limit changes for nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, curate, generate
from synthgain.recipes.mga import CALIBRATIONS, EXAMPLES, MGA, RECIPE, pairs_in
from synthgain.types import CallFailed, Prompt, SynthgainError

DOC = EXAMPLES[0]
PAIRS = [{"genre": f"Letter {n}, in plain words", "audience": f"Nurses of {n}0 years"} for n in range(1, 6)]


def said(prompt: Prompt) -> str:
    return prompt.messages[-1]["content"]


def reply(prompt: Prompt) -> str:
    if prompt.to == "judge":
        return json.dumps({"reason": "so", "score": int(said(prompt).partition("Told for Letter ")[2][0])})
    if prompt.schema is not None:
        return json.dumps({"pairs": PAIRS})
    return f"Told for {said(prompt).rpartition('Genre: ')[2][:8]}."


async def test_pairs_at_once_and_one_reformulation_each() -> None:
    desk = Desk(reply)
    rows = await drafted(RECIPE, DOC, desk)
    asked = [p for p in desk.asked if p.to == "writer"]
    assert len(asked) == 6 and asked[0].schema is not None and "5 pairs" in said(asked[0])
    assert [said(p).rpartition("\n\n")[2] for p in asked[1:]] == [
        f"Genre: {p['genre']}\nAudience: {p['audience']}" for p in PAIRS
    ]
    assert all(DOC.text in said(p) for p in desk.asked)
    assert [(row.fields["genre"], row.fields["place"], row.text) for row in rows] == [
        (pair["genre"], n, f"Told for Letter {n + 1}.") for n, pair in enumerate(PAIRS)
    ]


async def test_the_judge_compares_each_reformulation_with_its_source() -> None:
    desk = Desk(reply)
    rows = await drafted(RECIPE, DOC, desk)
    judged = [p for p in desk.asked if p.to == "judge"]
    assert len(judged) == 5 and all(p.sampling.temperature == 0 for p in judged)
    assert all(DOC.text in said(p) and row.text in said(p) for p, row in zip(judged, rows))
    assert [row.fields["fidelity"] for row in rows] == [1, 2, 3, 4, 5]
    assert all({call.prompt.to for call in row.calls} == {"writer", "judge"} for row in rows)
    assert not any("fidelity" in (row.text or "") for row in rows)


def test_three_and_above_stay_and_another_limit_buys_nothing(tmp_path: Path) -> None:
    run = generate(RECIPE, EXAMPLES[:1], model=Scripted(reply), out=tmp_path / "run")
    assert [row["fields"]["fidelity"] for row in run.rows() if row["kept"]] == [3, 4, 5]
    assert run.record["dropped_by"] == {"judge-score": 2}
    again = curate(run, with_=["judge-score=5"])
    assert [row["fields"]["fidelity"] for row in again.rows() if row["kept"]] == [5]
    assert [row["fields"]["fidelity"] for row in curate(run, without=["judge-score"]).rows() if row["kept"]] == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_a_limit_that_is_typed_leaves_the_recipes_field_as_it_is(tmp_path: Path) -> None:
    run = generate(RECIPE, EXAMPLES[:1], model=Scripted(reply), out=tmp_path / "run", with_=["judge-score=5"])
    assert run.record["dropped_by"] == {"judge-score": 4}
    again = curate(run, with_=["judge-score=2"])
    assert again.record["dropped_by"] == {"judge-score": 1}
    assert again.record["request"]["checks"][-1]["settings"] == {"least": 2, "field": "fidelity"}
    with pytest.raises(SynthgainError, match="the field 'judge_score'"):  # the check's own default
        curate(run, with_=["judge-score=2"], without=["judge-score"])


def test_without_a_judge_none_is_named_and_no_score_is_missed(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text(DOC.text)
    knobs = {"judge": False}
    run = generate("mga", tmp_path / "letter.txt", model="scripted/echo", out=tmp_path / "typed", knobs=knobs)
    assert "--set judge=false" in run.record["command"] and "--without" not in run.record["command"]
    run = generate("mga", [DOC], model={"writer": Scripted(reply)}, out=tmp_path / "run", knobs=knobs)
    assert run.record["counts"]["kept"] == 5 and curate(run).record["counts"]["kept"] == 5
    with pytest.raises(SynthgainError, match="none of 5 rows has the field 'fidelity'"):
        curate(run, with_=["judge-score:field=fidelity"])


async def test_a_judge_that_says_nothing_usable_keeps_nothing(tmp_path: Path) -> None:
    odd = ["", "fine", '{"score": 9}', '{"score": "high"}', "5 or 3"]
    run = generate(
        RECIPE,
        EXAMPLES[:1],
        model=Scripted(lambda p: odd[len(said(p)) % 5] if p.to == "judge" else reply(p)),
        out=tmp_path / "run",
    )
    assert not any(row["kept"] for row in run.rows()) and {row["reason"] for row in run.rows()} == {"has no score"}


async def test_without_a_judge() -> None:
    desk = Desk(reply)
    rows = await drafted(replace(RECIPE, draft=MGA(judge=False)), DOC, desk)
    assert len(desk.asked) == 6 and not any("fidelity" in row.fields for row in rows)


async def test_calibration_is_a_knob_and_the_only_difference() -> None:
    asked = {}
    for calibration in CALIBRATIONS:
        desk = Desk(reply)
        await drafted(replace(RECIPE, draft=MGA(calibration=calibration)), DOC, desk)
        asked[calibration] = [said(p) for p in desk.asked if p.to == "writer"]
    for calibration, prompts in asked.items():
        assert prompts[0] == asked["base"][0]
        assert [p.replace(CALIBRATIONS[calibration], CALIBRATIONS["base"]) for p in prompts[1:]] == asked["base"][1:]
    assert len({prompts[1] for prompts in asked.values()}) == 3


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"pairs": PAIRS[:2]}),
        json.dumps(PAIRS[:2]),
        "Here they are:\n```json\n"
        + json.dumps({"genre_audience_pairs": PAIRS[:2]}, indent=2)
        + "\n```\nI hope this helps.",
        json.dumps(PAIRS[0]) + "\n" + json.dumps(PAIRS[1]),
        json.dumps({"pairs": [PAIRS[0], {"genre": "x"}, "odd", PAIRS[0], None, PAIRS[1]]}),
        '{"pairs": []} no: ' + json.dumps({"pairs": PAIRS[:2]}),
    ],
)
def test_pairs_are_read_as_models_write_them(text: str) -> None:
    assert pairs_in(text) == [(pair["genre"], pair["audience"]) for pair in PAIRS[:2]]


async def test_tries_and_what_falls() -> None:
    answers = ["no JSON", json.dumps({"pairs": PAIRS * 2})]
    desk = Desk(lambda p: answers[p.draw] if p.schema is not None and p.to == "writer" else reply(p))
    rows = await drafted(RECIPE, DOC, desk)
    assert rows[0].fallen and rows[0].fallen.reason == "no pair of a genre and an audience" and len(rows) == 6
    desk = Desk(lambda p: '{"pairs": [{"genre": "a"', finish="length")
    rows = await drafted(RECIPE, DOC, desk)
    assert [row.fallen.reason for row in rows if row.fallen] == ["cut off before a pair ended"] * 3 and len(
        desk.asked
    ) == 3
    many = [{"genre": f"g{n}", "audience": "a"} for n in range(9)]
    desk = Desk(lambda p: json.dumps({"pairs": many}) if p.to == "writer" and p.schema is not None else "text 4")
    rows = await drafted(RECIPE, DOC, desk)
    assert [row.fields["genre"] for row in rows] == ["g0", "g1", "g2", "g3", "g4"] and rows[0].fields["proposed"] == 9


async def test_what_is_empty_or_lost_costs_no_judge() -> None:
    desk = Desk(lambda p: "" if p.schema is None else reply(p))
    rows = await drafted(RECIPE, DOC, desk)
    assert len(rows) == 5 and not any(p.to == "judge" for p in desk.asked)
    desk = Desk(lambda p: CallFailed("no") if "Genre: Letter 2" in said(p) else reply(p))
    assert [row.fields["place"] for row in await drafted(RECIPE, DOC, desk)] == [0, 2, 3, 4]


@pytest.mark.parametrize("knobs", [{"calibration": "loose"}, {"pairs": 0}, {"tries": 0}, {"language": ""}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        MGA(**knobs)  # type: ignore[arg-type]
