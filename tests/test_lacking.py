"""A check that finds nowhere what it judges by is no filter: it is refused before a token is bought, or the run ends after a few rows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import synthgain as sg
from synthgain.cli import app
from synthgain.curate.json_schema import JsonSchema
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, SynthgainError, Verdict, assistant, drop, keep, user

MANY = 60


def questions(n: int, **fields: Any) -> list[Anchor]:
    return [Anchor(f"Question {i}?", f"q#{i}", dict(fields)) for i in range(n)]


async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(Prompt((user(anchor.text),)))
    number = int(anchor.text.split()[1].strip("?"))
    held = {"quality": number, "good": True, "instruction": f"{number} " * 9}
    yield Row(messages=(user(anchor.text), assistant(call.text)), calls=(call,), fields=held)


RECIPE = Recipe("asks", "1", draft)


class Counted:
    def __init__(self) -> None:
        self.asked = 0
        self.model = sg.Scripted(self._say, width=1)

    def _say(self, prompt: Prompt) -> str:
        self.asked += 1
        return f"To {prompt.messages[0]['content']} the answer is {len(prompt.content)}."


@pytest.mark.parametrize(
    ("check", "lacking", "there"),
    [
        ("final-answer=anwser", "no anchor has the field 'anwser'", "answer, level"),
        ("instructions", "no anchor has the field 'instruction_id_list'", "answer, level"),
        ("pattern", "no anchor has the field 'pattern'", "answer, level"),
    ],
)
def test_what_no_anchor_has_is_said_before_a_token_is_bought(
    check: str, lacking: str, there: str, tmp_path: Path
) -> None:
    asks = Counted()
    for make in (sg.generate, sg.preview):
        with pytest.raises(SynthgainError) as error:
            make(RECIPE, questions(3, answer="7", level=2), model=asks.model, out=tmp_path / "run", with_=[check])  # type: ignore[operator]
        assert (error.value.code, asks.asked) == (2, 0) and not (tmp_path / "run").exists()
        assert lacking in error.value.what and there in error.value.next


def test_a_field_that_the_recipe_does_not_give_is_said_before_a_token_is_bought(tmp_path: Path) -> None:
    asks, told = Counted(), replace(RECIPE, fields=("quality", "good", "instruction"))
    for check in ("judge-score:field=qualty", "deita:quality=quality", "near-field", "novelty:field=instrution"):
        with pytest.raises(SynthgainError, match="no row of this recipe has the field") as error:
            sg.generate(told, questions(3), model=asks.model, out=tmp_path / "run", with_=[check])
        assert (error.value.code, asks.asked) == (2, 0) and not (tmp_path / "run").exists()
        assert "quality, good, instruction" in error.value.next
    for check in ("judge-score=1:field=quality", "true-field=good", "novelty", "pattern=answer"):
        assert (
            sg.generate(told, questions(3), model=asks.model, out=tmp_path / check, with_=[check]).record["counts"][
                "rows"
            ]
            == 3
        )


def test_a_shipped_recipe_says_its_fields(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="no row of this recipe has the field 'quality'") as error:
        sg.generate(
            "rephrase",
            ["The mill of Orrin has two wheels."],
            model="scripted/echo",
            out=tmp_path / "run",
            with_=["judge-score:field=quality"],
        )
    assert "style, chunk, chunks" in error.value.next and not (tmp_path / "run").exists()


def test_a_field_that_one_anchor_has_is_enough(tmp_path: Path) -> None:
    anchors = [*questions(2), Anchor("Question 9?", "q#9", {"answer": "9"})]
    run = sg.generate(RECIPE, anchors, model=Counted().model, out=tmp_path / "run", with_=["final-answer"])
    assert run.record["dropped_by"] == {"final-answer": 3}


BLIND = [
    ("judge-score:field=qualty", "the field 'qualty'"),
    ("true-field=god", "the field 'god'"),
    ("entailed", "the field 'stated'"),
    ("novelty:field=instrution", "the field 'instrution'"),
    ("near-field", "the field 'persona'"),
    ("balanced=style", "the field 'style'"),
    ("deita:quality=quality", "the field 'complexity'"),
    ("ifd", "the field 'loss_given_question'"),
    ("limr", "the field 'rewards'"),
    ("answer-key", "the field 'options'"),
]


DROP = {
    "judge-score",
    "true-field",
    "entailed",
}  # rows without it; the others keep them, or look at all rows at once


@pytest.mark.parametrize(("check", "lacking"), BLIND)
def test_what_the_first_rows_have_not_ends_the_run(check: str, lacking: str, tmp_path: Path) -> None:
    asks, name = Counted(), check.partition("=")[0].partition(":")[0]
    first, many = (20, MANY) if name in DROP else (100, 2 * MANY)
    with pytest.raises(SynthgainError) as error:
        sg.generate(RECIPE, questions(many), model=asks.model, out=tmp_path / "run", with_=[check])
    assert error.value.code == 2 and first <= asks.asked < first + 10
    assert f"none of {first} rows has {lacking}" in error.value.what
    assert "quality, good, instruction" in error.value.next
    run = sg.Run.at(tmp_path / "run")
    assert run.record["status"] == "stopped" and run.record["counts"]["calls_bought"] == asks.asked
    whole = sg.generate(RECIPE, questions(many), model=asks.model, out=tmp_path / "run", replace=True)
    assert asks.asked == many and whole.record["counts"]["kept"] == many
    assert name not in {one["name"] for one in whole.record["recipe"]["checks"]}


@pytest.mark.parametrize("check", [check for check, _ in BLIND])
def test_a_run_that_is_judged_again_stays_as_it_was(check: str, tmp_path: Path) -> None:
    run = sg.generate(RECIPE, questions(5), model=Counted().model, out=tmp_path / "run")
    before = [*run.rows()], run.record
    with pytest.raises(SynthgainError, match="none of 5 rows has the field") as error:
        sg.curate(run, with_=[check], recipe=RECIPE)
    assert error.value.code == 2
    after = sg.Run.at(run.path)
    assert ([*after.rows()], after.record) == before


def test_a_schema_that_nothing_gives_is_said_before_a_token_is_bought(tmp_path: Path) -> None:
    asks = Counted()
    for make in (sg.generate, sg.preview):
        with pytest.raises(SynthgainError, match="no anchor has the field 'schema'") as error:
            make(RECIPE, questions(3, level=2), model=asks.model, out=tmp_path / "run", with_=["json-schema"])  # type: ignore[operator]
        assert (error.value.code, asks.asked) == (2, 0) and "level" in error.value.next
    with pytest.raises(SynthgainError, match="no anchor has the field 'schema'"):
        sg.generate("rephrase", ["A mill."], model="scripted/echo", out=tmp_path / "run", with_=["json-schema"])
    assert not (tmp_path / "run").exists()


def test_a_schema_that_something_gives_is_enough(tmp_path: Path) -> None:
    form = {"type": "string"}

    async def with_schema(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        draws = (Prompt((user(anchor.text),), draw=n, schema=form if n else None) for n in range(2))
        async for call in models.each(draws):
            yield Row(text=call.text, calls=(call,), verdicts=() if call.prompt.schema else (drop("first"),))

    async def unread(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        first = await models(Prompt((user(anchor.text),)))
        if "the answer" not in first.text:
            yield Row(text=first.text, calls=(first,), verdicts=(drop("no answer"),))
            return
        last = await models(Prompt((user(first.text),), schema=form))
        yield Row(text=last.text, calls=(last,))

    anchors = [*questions(3), Anchor("Question 9?", "q#9", {"schema": json.dumps(form)})]
    for n, (draft_, of, check, rows) in enumerate(
        (
            (with_schema, questions(3), "json-schema", 6),
            (unread, questions(3), "json-schema", 3),  # what nobody answered tells nothing of it
            (draft, anchors, "json-schema", 4),
            (draft, questions(3), JsonSchema(json.dumps(form)), 3),
        )
    ):
        run = sg.generate(Recipe("asks", "1", draft_), of, model=Counted().model, out=tmp_path / str(n), with_=[check])
        assert run.record["counts"]["rows"] == rows


def test_few_rows_are_looked_at_when_all_are_there(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="none of 3 rows has the field 'qualty'"):
        sg.generate(
            RECIPE, questions(3), model=Counted().model, out=tmp_path / "run", with_=["judge-score=1:field=qualty"]
        )
    assert sg.Run.at(tmp_path / "run").record["counts"]["rows"] == 3


def test_a_row_with_the_field_and_rows_that_did_not_come_to_the_check_say_nothing(tmp_path: Path) -> None:
    async def some(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for row in draft(models, anchor):
            number = row.fields["quality"]
            yield row.stamped(fields={} if number < MANY - 1 else {"judged": 9})

    recipe = Recipe("some", "1", some)
    fields = ["judge-score=1:field=judged"]
    with pytest.raises(SynthgainError, match="none of 20 rows"):
        sg.generate(recipe, questions(MANY), model=Counted().model, out=tmp_path / "a", with_=fields)
    last_first = [*reversed(questions(MANY))]
    run = sg.generate(recipe, last_first, model=Counted().model, out=tmp_path / "b", with_=fields)
    assert run.record["counts"]["kept"] == 1
    short = ["length=99", *fields]  # all rows fall before the score is looked for
    run = sg.generate(recipe, questions(MANY), model=Counted().model, out=tmp_path / "c", with_=short)
    assert run.record["dropped_by"] == {"length": MANY}


def test_rows_that_a_person_wrote_are_not_asked_for_a_score(tmp_path: Path) -> None:
    async def by_hand(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        yield Row(messages=(user(anchor.text), assistant("It is.")), fields={"human": True})

    recipe = Recipe("by-hand", "1", by_hand, roles=())
    run = sg.generate(recipe, questions(MANY), model={}, out=tmp_path / "run", with_=["judge-score"])
    assert run.record["counts"]["kept"] == MANY


def test_somebody_elses_data(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"What is {i}?", "completion": f"It is {i}.", "score": i} for i in range(4)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    for check in ("judge-score:field=socre", "final-answer=gold", "limr"):
        done = CliRunner().invoke(app, ["curate", str(file), "-o", str(tmp_path / "run"), "--with", check])
        assert isinstance(done.exception, SynthgainError) and "none of 4 rows has the field" in done.exception.what
        assert "score, source_row" in done.exception.next
        assert not (tmp_path / "run").exists()
    run = sg.curate(file, out=tmp_path / "run", with_=["judge-score=2:field=score"])
    assert run.record["counts"]["kept"] == 2
    with pytest.raises(SynthgainError, match="none of 4 rows has the field"):
        sg.curate(run, with_=["judge-score:field=socre"])
    assert sg.Run.at(run.path).record["counts"]["kept"] == 2


def test_a_check_that_fails_when_it_is_asked_is_named(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Odd:
        name: str = "odd"

        def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
            return keep()

        def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str:
            return "" if row is None else str(1 / 0)

    with pytest.raises(SynthgainError, match="odd: the check failed: ZeroDivisionError"):
        sg.generate(RECIPE, questions(3), model=Counted().model, out=tmp_path / "run", with_=[Odd()])


def test_a_preview_says_so(tmp_path: Path) -> None:
    seen = sg.preview(
        RECIPE, questions(3), model=Counted().model, out=tmp_path / "run", with_=["judge-score:field=qualty"]
    )
    assert "none of 3 rows has the field 'qualty'" in seen.note


def test_a_field_that_few_rows_have_is_waited_for_where_the_check_keeps_the_others(tmp_path: Path) -> None:
    async def some(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for row in draft(models, anchor):
            yield row.stamped(fields={"persona": "a miller"} if row.fields["quality"] == 50 else {})

    run = sg.generate(
        Recipe("some", "1", some), questions(MANY), model=Counted().model, out=tmp_path / "run", with_=["near-field"]
    )
    assert run.record["counts"]["kept"] == MANY


def test_fields_that_came_with_another_draft_say_nothing(tmp_path: Path) -> None:
    from synthgain.recipes.rephrase import RECIPE as REPHRASE

    @dataclass(frozen=True)
    class Rated:
        async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
            yield Row(text=(await models(Prompt((user(anchor.text),)))).text, fields={"quality": 9})

    mine = replace(REPHRASE, draft=Rated(), checks=())
    run = sg.generate(
        mine, questions(2), model=Counted().model, out=tmp_path / "run", with_=["judge-score:field=quality"]
    )
    assert run.record["counts"]["kept"] == 2


def test_scores_and_verdicts_that_are_texts_count(tmp_path: Path) -> None:
    """As a CSV file has them."""
    (tmp_path / "rated.csv").write_text(
        "question,answer,judge_score,verified\nOne?,A long one.,8,true\nTwo?,Another.,2,True\nThree?,A third.,9.5,false\n"
    )
    for check, kept in (("judge-score", 2), ("true-field", 2)):
        run = sg.curate(tmp_path / "rated.csv", out=tmp_path / check, with_=[check])
        assert run.record["counts"]["kept"] == kept


def test_a_check_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    twice = ["length:least=2", "length:most=100"]
    with pytest.raises(SynthgainError, match="length is named twice") as error:
        sg.generate(RECIPE, questions(3), model=Counted().model, out=tmp_path / "run", with_=twice)
    assert "--with length:NAME=VALUE" in error.value.next
    run = sg.generate(RECIPE, questions(3), model=Counted().model, out=tmp_path / "run")
    with pytest.raises(SynthgainError, match="length is named twice"):
        sg.curate(run, recipe=RECIPE, with_=twice)


def test_a_field_that_only_another_knob_gives_is_refused_before_a_token_is_bought(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="no row of this recipe has the field 'stated'") as error:
        sg.generate("rephrase", ["A mill."], model="scripted/echo", out=tmp_path / "run", with_=["entailed"])
    assert "stated" not in error.value.next.partition(";")[0]
