"""OpenThoughts: sources, question filters, many answers, verification measured and not imposed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from doubles.drafting import Desk, drafted
from synthgain import Run, Scripted, curate, generate
from synthgain.recipes.openthoughts import RECIPE, OpenThoughts, Sources, rating, verdict
from synthgain.types import Anchor, Prompt, Recipe, SynthgainError

SUM = Anchor("How many are 3 and 4?", "q#1", {"answer": "7", "domain": "Math", "source": "a", "id": "1"})
CODE = Anchor("Write a sort.", "q#2", {"domain": "code", "source": "b"})


def recipe(**knobs: Any) -> Recipe:
    return replace(RECIPE, draft=OpenThoughts(**knobs))


def rows(run: Run) -> list[dict[str, Any]]:
    return [row for file in run.files("rows") for row in pq.read_table(file).to_pylist()]


async def test_sixteen_answers_and_none_is_verified() -> None:
    desk = Desk(lambda prompt: "one two three" if prompt.to == "rater" else f"Answer: {prompt.draw}")
    made = await drafted(RECIPE, SUM, desk)
    assert [prompt.to for prompt in desk.asked] == ["rater"] + ["writer"] * 16
    assert [prompt.draw for prompt in desk.asked[1:]] == list(range(16))
    assert [row.fields["right"] for row in made] == [n == 7 for n in range(16)]
    assert all(not row.verdicts and "verified" not in row.fields for row in made)
    assert made[0].fields | {"draw": 0} == made[0].fields
    assert made[0].fields["question_score"] == 3.0 and made[0].fields["domain"] == "math"


async def test_code_is_rated_and_the_others_answered_and_a_limit_saves_the_answers() -> None:
    desk = Desk(lambda prompt: "A loop. [[2]]" if "Rate how hard" in prompt.messages[-1]["content"] else "x y")
    hard = recipe(k=2, least_difficulty=3, least_tokens=3)
    for anchor, why in ((CODE, "too easy"), (SUM, "the cheap model's answer is short")):
        made = await drafted(hard, anchor, desk)
        assert [(row.verdicts[0].check, row.verdicts[0].reason) for row in made] == [("question-filter", why)]
    assert all(prompt.to == "rater" for prompt in desk.asked)
    unread = await drafted(hard, CODE, Desk(lambda prompt: "no rating"))
    assert unread[0].verdicts[0].reason == "its rating could not be read"
    assert len(await drafted(recipe(k=2), CODE, Desk(lambda prompt: "no rating"))) == 2
    assert [p.to for p in await asked_of(recipe(k=2, question_filter="none"), SUM)] == ["writer", "writer"]


async def asked_of(made: Recipe, anchor: Anchor) -> list[Prompt]:
    desk = Desk(lambda prompt: "Answer: 7")
    await drafted(made, anchor, desk)
    return desk.asked


def test_scores_first_then_a_limit_buys_the_answers_alone(tmp_path: Path) -> None:
    def reply(prompt: Prompt) -> str:
        long = "3 and 4" in prompt.messages[-1]["content"]
        return "word " * (9 if long else 2) if prompt.to == "rater" else "Answer: 7"

    other = Anchor("How many are 1 and 1?", "q#3", {"domain": "math"})
    model = Scripted(reply)
    first = generate(recipe(k=0), [SUM, other], model=model, out=tmp_path / "run")
    assert sorted(json.loads(row["fields"])["question_score"] for row in rows(first)) == [2.0, 9.0]
    assert {row["reason"] for row in rows(first)} == {"asked for its score alone"} and model.asked == 2
    again = generate(recipe(k=3, least_tokens=5), [SUM, other], model=model, out=tmp_path / "run", replace=True)
    assert model.asked == 2 + 3 and again.record["counts"]["kept"] == 3
    assert again.record["dropped_by"] == {"question-filter": 1}


def test_verification_is_an_option_that_costs_nothing_later(tmp_path: Path) -> None:
    def reply(prompt: Prompt) -> str:
        return f"Answer: {7 if prompt.draw else 8}"

    run = generate(recipe(k=3), [SUM], model=Scripted(reply), out=tmp_path / "run")
    assert run.record["counts"]["kept"] == 3
    checked = curate(run, with_=["final-answer"], recipe=recipe(k=3))
    assert checked.record["counts"]["kept"] == 2


async def test_a_judge_is_asked_where_that_is_wanted() -> None:
    said = ["Verdict: right", "It is.\n**Verdict:** WRONG", "no idea"]

    def reply(prompt: Prompt) -> str:
        if prompt.messages[0]["role"] == "system":
            return said[int(prompt.messages[-1]["content"][-1])]
        return str(prompt.draw)

    desk = Desk(reply)
    made = await drafted(recipe(k=3, verify=True, question_filter="none"), SUM, desk)
    assert [row.fields["verified"] for row in made] == [True, False, None]
    assert "Reference answer: 7" in desk.asked[1].messages[-1]["content"]
    judge = {check.name: check for check in OpenThoughts(verify=True).checks}["true-field"]
    assert [judge(row, ()).keeps for row in made] == [True, False, False]
    assert "true-field" not in {check.name for check in RECIPE.all_checks}
    assert [row.calls[-1].text for row in made] == ["0", "1", "2"]  # the answer's call is the last


class Texts(list[Anchor]):
    """A corpus of anchors in memory."""


def test_the_two_best_sources_of_a_domain_each_question_once() -> None:
    def one(text: str, domain: str, source: str) -> Anchor:
        return Anchor(text, f"{source}#{text}", {"domain": domain, "source": source})

    corpus = Texts([
        one("a", "math", "z"), one("b", "math", "x"), one("c", "math", "y"), one("c ", "math", "x"),
        one("d", "code", "z"), one("d", "code", "z"), one("e", "code", "w"),
    ])  # fmt: skip
    taken = [g[0].source for g in Sources(("x", "y", "z"), 2)(corpus, corpus, 0)]  # type: ignore[arg-type]
    assert taken == ["x#b", "y#c", "z#d", "z#d"]
    everything = [g[0].source for g in Sources()(corpus, corpus, 0)]  # type: ignore[arg-type]
    assert everything == ["z#a", "x#b", "y#c", "z#d", "z#d", "w#e"]
    with pytest.raises(SynthgainError, match="no question"):
        list(Sources(("v",))(corpus, corpus, 0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [("Verdict: right", True), ("verdict - wrong", None), ("", None), ("Verdict: wrong. Verdict: right", True)],
)
def test_verdict(text: str, said: bool | None) -> None:
    assert verdict(text) is said


def test_rating() -> None:
    assert (rating("[[4]]"), rating("[[40]]"), rating("4 of 10")) == (4.0, None, None)


@pytest.mark.parametrize("knobs", [{"k": -1}, {"question_filter": "luck"}, {"k": 0, "question_filter": "none"}])
def test_bad_knobs(knobs: dict[str, Any]) -> None:
    with pytest.raises(SynthgainError):
        OpenThoughts(**knobs)
