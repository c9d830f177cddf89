"""What arms cost, and arms that cost the same: worked by hand on runs whose calls have prices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from synthgain.api.arms_costs import at_equal_cost, costs_of, spent
from synthgain.loop import Arm, Part, Rows
from synthgain.types import Anchor, Call, Prompt, Recipe, Row, Sampling, assistant, drop, user

ANCHORS = [Anchor(f"The town of {name} has a bridge.", name) for name in ("Quell", "Varn", "Orrin", "Tolmar")]


def recipe(draws: int) -> Recipe:
    async def draft(models: Any, anchor: Anchor) -> Any:
        shared = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=8)))
        for draw in range(1, 1 + draws):
            call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=8), draw=draw))
            fell = (drop("short", check="length"),) if "Orrin" in anchor.text else ()
            yield Row(text=f"{anchor.text} {draw}", calls=(shared, call), verdicts=fell)

    return Recipe(f"said-{draws}", "1", draft)


def priced(cost: float | None) -> Any:
    def reply(prompt: Prompt) -> Call:
        return Call(
            prompt.id("scripted/python"),
            prompt,
            assistant("yes"),
            "scripted/python",
            tokens_in=10,
            tokens_out=5,
            cost=cost,
            seconds=2.0,
        )

    return sg.Scripted(reply)


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, sg.Run]:
    """`one` costs 4 × 2 calls, `three` 4 × 4; a quarter of their rows fell."""
    made = {}
    for name, draws in (("one", 1), ("three", 3)):
        out = tmp_path / name
        made[str(out)] = sg.generate(recipe(draws), ANCHORS, model=priced(0.01), out=out)
    return made


def arms(runs: dict[str, sg.Run]) -> tuple[list[Arm], dict[str, Rows]]:
    one, three = runs
    made = [
        Arm("repeated", (Part(one, take="anchors"),)),
        Arm("one", (Part(one),)),
        Arm("three", (Part(three),)),
        Arm("mixture", (Part(one, share=0.5), Part(three, share=0.5))),
        Arm("random", (Part(one, take="candidates"), Part(three, take="candidates")), as_many_as="mixture"),
    ]
    counts = {"repeated": 4, "one": 3, "three": 9, "mixture": 6, "random": 6}
    return made, {name: Rows(Path(name), n, "cpt") for name, n in counts.items()}


def test_a_call_that_rows_share_counts_once_and_dropped_rows_cost_too(runs: dict[str, sg.Run]) -> None:
    found = [spent(run) for run in runs.values()]
    assert [(one.tokens, one.seconds, one.kept, one.rows) for one in found] == [(120, 16.0, 3, 4), (240, 32.0, 9, 12)]
    assert [one.dollars for one in found] == pytest.approx([0.08, 0.16])


def test_each_arm_costs_its_share(runs: dict[str, sg.Run]) -> None:
    plan, rows = arms(runs)
    costs = costs_of(plan, runs)
    assert costs.unit == "dollars" and costs.training == 0
    expected = {"repeated": 0.0, "one": 0.08, "three": 0.16, "mixture": 0.08 + 0.16 / 3, "random": 0.24 * 6 / 16}
    assert {arm.name: costs.rows(arm, rows[arm.name].n) for arm in plan} == pytest.approx(expected)
    in_tokens = costs_of(plan, runs, unit="tokens")
    assert in_tokens.whole(plan[1], 3, 1_000) == 120 + 1_000
    in_seconds = costs_of(plan, runs, unit="seconds", seconds_a_token=lambda: 0.01)
    assert in_seconds.whole(plan[2], 9, 1_000) == pytest.approx(32 + 10)
    assert costs_of(plan, runs, train_price=2.0).whole(plan[0], 4, 1_000_000) == pytest.approx(2.0)


def test_at_equal_cost_all_spend_what_the_cheapest_does(runs: dict[str, sg.Run]) -> None:
    plan, rows = arms(runs)
    costs = costs_of(plan, runs, train_price=10.0)
    equal = at_equal_cost(plan, rows, costs, tokens=1_000)
    assert equal.budget == pytest.approx(0.08 + 0.01) and equal.unchanged == ("one",)
    changed = {arm.name: arm for arm in equal.arms}
    assert changed["repeated"].settings["tokens"] == pytest.approx(9_000, abs=1)
    assert [part.rows for part in changed["three"].learns] == [4]  # half of nine, rounded down
    assert [part.rows for part in changed["mixture"].learns] == [1, 1] and not changed["random"].as_many_as
    for arm in equal.arms[1:]:
        n = sum(part.rows or 0 for part in arm.learns)
        assert costs.whole(arm, n, 1_000) <= equal.budget + 1e-9
    free = at_equal_cost(plan, rows, costs_of(plan, runs), tokens=1_000)
    assert "repeated" in free.unchanged and any("training has no price" in note for note in free.notes)


def test_without_prices_cost_is_in_tokens_and_dollars_are_refused(tmp_path: Path) -> None:
    run = sg.generate(recipe(1), ANCHORS, model=priced(None), out=tmp_path / "run")
    plan = [Arm("one", (Part(str(run.path)),)), Arm("file", (Part("rows.jsonl"),))]
    costs = costs_of(plan, {str(run.path): run})
    assert costs.unit == "tokens" and costs.training == 1.0 and costs.rows(plan[1], 5) == 0
    assert any("rows.jsonl" in note for note in costs.notes)
    with pytest.raises(sg.SynthgainError, match="in dollars"):
        costs_of(plan, {str(run.path): run}, unit="dollars")
