"""Best of n, judge pairs, SPIN: what is chosen, what rejected, and which ties fall. Their rows train by DPO."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, generate
from synthgain.recipes.best_of_n import RECIPE as BEST
from synthgain.recipes.best_of_n import BestOfN
from synthgain.recipes.judge_pairs import RECIPE as PAIRS
from synthgain.recipes.judge_pairs import JudgePairs, verdict_in
from synthgain.recipes.spin import RECIPE as SPUN
from synthgain.recipes.spin import SPIN
from synthgain.train.rows import read_rows
from synthgain.types import Anchor, Prompt, Recipe, Row, SynthgainError

ASKED = Anchor("Name a fruit.", "a#1")
CHAT = Anchor(
    "",
    "a#2",
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": "So."},
        ]
    },
)


def contents(turns: Any) -> list[str]:
    return [turn["content"] for turn in turns or ()]


# ---------------------------------------------------------------------------------------------- best of n


def rated(scores: dict[str, str]) -> Callable[[Prompt], str]:
    """Answers that are the keys in the order of the draws; the judge says what stands beside the answer it is shown."""
    answers = list(scores)

    def reply(prompt: Prompt) -> str:
        if prompt.to == "judge":
            shown = prompt.messages[0]["content"].split("Answer:\n")[1].split("\n\n(End")[0]
            return scores[shown]
        return answers[prompt.draw % len(answers)]

    return reply


def best(**knobs: int) -> Recipe:
    return replace(BEST, draft=BestOfN(**knobs))


async def test_the_best_is_chosen_and_the_worst_rejected() -> None:
    scores = {"pear": "Score: 4", "fig": "Fine.\nScore: 9", "rock": "Score: 1", "plum": "Score: 9", "hm": "no idea"}
    desk = Desk(rated(scores))
    [row] = await drafted(BEST, ASKED, desk)
    assert (contents(row.messages), contents(row.rejected)) == (["Name a fruit.", "fig"], ["rock"])
    assert row.fields == {
        "chosen_score": 9.0,
        "rejected_score": 1.0,
        "margin": 8.0,
        "scores": [4.0, 9.0, 1.0, 9.0, None],
    }
    law = desk.asked[0].sampling
    assert (law.temperature, law.max_tokens, [p.draw for p in desk.asked[:5]]) == (0.8, 1024, [0, 1, 2, 3, 4])
    assert len(row.calls) == 10 and row.calls[-1].text == "fig" and row.fallen is None


@pytest.mark.parametrize(
    ("scores", "check", "why"),
    [
        ({"a": "Score: 5", "b": "Score: 5"}, "tie", "all answers score alike"),
        ({"a": "Score: 5", "b": "?"}, "parse", "the judge gave fewer than two scores"),
        ({"a": "Score: 5"}, "parse", "all answers are the same"),
        ({"": "x"}, "parse", "no whole answer"),
    ],
)
async def test_no_pair_without_a_difference(scores: dict[str, str], check: str, why: str) -> None:
    [row] = await drafted(BEST, ASKED, Desk(rated(scores)))
    assert row.fallen is not None and (row.fallen.check, row.fallen.reason) == (check, why)


async def test_cut_answers_are_no_candidates_and_same_answers_are_scored_once() -> None:
    [row] = await drafted(BEST, ASKED, Desk(rated({"a": "Score: 5", "b": "Score: 6"}), finish="length"))
    assert row.fallen is not None and row.fallen.reason == "no whole answer"
    desk = Desk(rated({"a": "Score: 5", "b": "Score: 6"}))
    await drafted(BEST, ASKED, desk)
    assert sum(p.to == "judge" for p in desk.asked) == 2


async def test_several_scores_are_averaged() -> None:
    desk = Desk(
        lambda p: (
            f"Score: {p.draw + 1}"
            if p.to == "judge" and "\nb\n" in p.messages[0]["content"]
            else "Score: 1"
            if p.to == "judge"
            else "ab"[p.draw]
        )
    )
    [row] = await drafted(best(n=2, scores=3), ASKED, desk)
    assert (row.fields["chosen_score"], row.fields["rejected_score"]) == (2.0, 1.0)


async def test_a_chat_is_asked_without_its_answer() -> None:
    desk = Desk(rated({"a": "Score: 5", "b": "Score: 6"}))
    [row] = await drafted(BEST, CHAT, desk)
    assert contents(desk.asked[0].messages) == ["Be brief.", "Why?"] and contents(row.messages) == [
        "Be brief.",
        "Why?",
        "b",
    ]


# ---------------------------------------------------------------------------------------------- judge pairs


def judging(*verdicts: str, answers: str = "xy") -> Callable[[Prompt], str]:
    said: Iterator[str] = iter(verdicts)
    return lambda prompt: next(said) if prompt.to == "judge" else answers[prompt.draw]


def shown(prompt: Prompt) -> list[str]:
    return [m[1] for m in re.finditer(r"Answer [AB]:\n(.*?)\n\n\(End", prompt.messages[0]["content"], re.DOTALL)]


@pytest.mark.parametrize(
    ("verdicts", "chosen", "why"),
    [
        (("Better: A", "Better: B"), "x", ""),
        (("Better: B", "Better: A"), "y", ""),
        (("Better: A", "Better: A"), "", "the choice follows the place"),
        (("Better: B", "Better: B"), "", "the choice follows the place"),
        (("Better: tie", "Better: tie"), "", "as good as each other"),
        (("Better: tie", "Better: A"), "", "tie in one order"),
        (("Better: A", "hm"), "", "no verdict"),
        (("", ""), "", "no verdict"),
    ],
)
async def test_a_choice_must_hold_in_both_orders(verdicts: tuple[str, str], chosen: str, why: str) -> None:
    desk = Desk(judging(*verdicts))
    [row] = await drafted(PAIRS, ASKED, desk)
    assert [shown(p) for p in desk.asked if p.to == "judge"] == [["x", "y"], ["y", "x"]]
    assert (row.fallen.reason if row.fallen else "") == why
    if chosen:
        assert contents(row.messages)[-1] == chosen and contents(row.rejected) == ["y" if chosen == "x" else "x"]
        assert row.fields["first"] == row.fields["second"] == str("xy".index(chosen))


async def test_given_answers_are_judged_and_none_is_written() -> None:
    anchor = Anchor("Name a fruit.", "", {"output_1": "rock", "output_2": "fig"})
    desk = Desk(judging("Better: B", "Better: A"))
    [row] = await drafted(PAIRS, anchor, desk)
    assert [p.to for p in desk.asked] == ["judge", "judge"] and contents(row.messages)[-1] == "fig"


async def test_every_two_of_several_answers_are_compared() -> None:
    rows = await drafted(
        replace(PAIRS, draft=JudgePairs(n=3)), ASKED, Desk(lambda p: "Better: A" if p.to == "judge" else "xyz"[p.draw])
    )
    assert [row.fields["pair"] for row in rows] == [[0, 1], [0, 2], [1, 2]]


@pytest.mark.parametrize(("answers", "why"), [("xx", "both answers are the same"), (["x", " "], "no answer")])
async def test_what_is_not_worth_a_look_costs_no_verdict(answers: Any, why: str) -> None:
    desk = Desk(judging(answers=answers))
    [row] = await drafted(PAIRS, ASKED, desk)
    assert row.fallen is not None and row.fallen.reason == why and len(desk.asked) == 2


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A is short.\nBetter: B", "B"),
        ("**Better: A**", "A"),
        ("Better: [[b]]", "B"),
        ("Better: Answer A", "A"),
        ("Better: tie", "tie"),
        ("The better answer is B.", "B"),
        ("Answer A is clearly the better one.", "A"),
        ("B", "B"),
        ("Better: A. No: Better: B", "B"),
        ("A better answer would name a fruit.", ""),
        ("Better: C", ""),
        ("", ""),
        ("better " * 50_000, ""),
    ],
)
def test_verdicts(text: str, verdict: str) -> None:
    assert verdict_in(text) == verdict


# ---------------------------------------------------------------------------------------------- SPIN


async def test_the_given_answer_is_chosen_and_the_own_sample_rejected() -> None:
    desk = Desk(lambda p: f" own {p.draw} ")
    rows = await drafted(replace(SPUN, draft=SPIN(k=2)), CHAT, desk)
    assert [(contents(r.messages), contents(r.rejected)) for r in rows] == [
        (["Be brief.", "Why?", "So."], [f"own {n}"]) for n in (0, 1)
    ]
    law = desk.asked[0].sampling
    assert (law.temperature, law.top_p, law.max_tokens) == (1.0, 1.0, 256)
    assert contents(desk.asked[0].messages) == ["Be brief.", "Why?"]


async def test_samples_that_teach_nothing_fall_and_cut_ones_stay() -> None:
    [row] = await drafted(SPUN, CHAT, Desk(lambda p: " So. \n"))
    assert row.fallen is not None and row.fallen.check == "same"
    [row] = await drafted(SPUN, CHAT, Desk(lambda p: " "))
    assert row.fallen is not None and row.rejected is None
    [row] = await drafted(SPUN, CHAT, Desk(lambda p: "So it is that", finish="length"))
    assert row.fallen is None and row.fields["cut"]
    desk = Desk(lambda p: "x")
    [row] = await drafted(SPUN, ASKED, desk)
    assert row.fallen is not None and row.fallen.reason == "no answer is given" and not desk.asked


# ---------------------------------------------------------------------------------------------- on disk


def test_pairs_come_back_from_disk_as_pairs(tmp_path: Path) -> None:
    anchors = [Anchor(f"Question {n}?", f"a#{n}", {"output": f"Given {n}."}) for n in range(3)]
    runs: dict[str, tuple[Recipe, Callable[[Prompt], str]]] = {
        "spin": (SPUN, lambda p: "own"),
        "best": (BEST, rated({"a": "Score: 1", "b": "Score: 2"})),
        "pairs": (
            PAIRS,
            lambda p: ("Better: A" if shown(p)[0] == "x" else "Better: B") if p.to == "judge" else "xy"[p.draw],
        ),
    }
    for name, (recipe, reply) in runs.items():
        run = generate(recipe, anchors, model=Scripted(reply), out=tmp_path / name)
        rows = read_rows(run.path)
        assert (rows.method, rows.pairs) == ("dpo", 3)
        stored = [row for file in run.files("rows") for row in pq.read_table(file).to_pylist()]
        assert [[turn["content"] for turn in row["rejected"]] for row in stored] == [
            contents(row.rejected) for row in rows
        ]
        assert all(json.loads(row["fields"]) for row in stored)


@pytest.mark.parametrize(
    "bad", [lambda: BestOfN(n=1), lambda: BestOfN(scores=0), lambda: JudgePairs(n=1), lambda: SPIN(k=0)]
)
def test_bad_knobs(bad: Callable[[], Row]) -> None:
    with pytest.raises(SynthgainError):
        bad()
