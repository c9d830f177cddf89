"""Drafts and checks that are not what they should be: each breaks alone, with the reason, and what was bought is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from synthgain import Run, Scripted, curate, generate
from synthgain.api import preview
from synthgain.types import (
    Anchor,
    BudgetReached,
    Call,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    TooManyBroken,
    Verdict,
    keep,
    user,
)

ANCHORS = [f"anchor {i}" for i in range(8)]


def asked(anchor: Anchor, more: str = "") -> Prompt:
    return Prompt((user(anchor.text + more),))


def row(call: Call, **fields: Any) -> Row:
    return Row(text=call.text, calls=(call,), fields=fields)


def made(draft: Any, folder: Path, **recipe: Any) -> Run:
    """The run of a recipe whose second anchor alone may be odd."""
    return generate(
        Recipe("odd", "1", draft, **recipe),
        ANCHORS,
        model=Scripted(lambda p: p.messages[-1]["content"], width=2),
        out=folder,
    )


async def cancels(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(asked(anchor))
    if anchor.text == ANCHORS[1]:
        raise asyncio.CancelledError  # as a library does whose own task was cancelled
    yield row(call)


async def leaves(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(asked(anchor))
    if anchor.text == ANCHORS[1]:
        raise SystemExit(3)  # as a library does that takes itself for a program
    yield row(call)


def test_a_draft_that_would_end_the_program_breaks_alone(tmp_path: Path) -> None:
    run = made(leaves, tmp_path / "run")
    assert (run.record["counts"]["kept"], run.record["counts"]["broken"]) == (7, 1)
    assert "SystemExit" in next(run.broken())["reason"] and not (run.path / ".staged").exists()


ODD: list[tuple[str, Callable[[Call], Any]]] = [
    ("a field that is a set", lambda call: row(call, seen={1})),
    ("a field that is an object", lambda call: row(call, seen=[object()])),
    ("a field whose name is a number", lambda call: Row(text=call.text, calls=(call,), fields={1: 2})),  # type: ignore[dict-item]
    ("a field whose name is no text", lambda call: row(call, **{"a\ud800": 2})),
    ("a number that cannot be written", lambda call: row(call, n=10**5000)),
    ("a text that is none", lambda call: Row(text=5, calls=(call,))),  # type: ignore[arg-type]
    ("calls that are none", lambda call: Row(text=call.text, calls=(call.id,))),  # type: ignore[arg-type]
    ("a reason that is no text", lambda call: Row(text=call.text, verdicts=(Verdict("drop", 5),))),  # type: ignore[arg-type]
    ("no row", lambda call: None),
]


@pytest.mark.parametrize("odd", [odd for _, odd in ODD], ids=[name for name, _ in ODD])
def test_a_row_that_cannot_be_written_breaks_its_draft_alone(odd: Callable[[Call], Any], tmp_path: Path) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(asked(anchor))
        yield odd(call) if anchor.text == ANCHORS[1] else row(call)

    run = made(draft, tmp_path / "run")
    counts = run.record["counts"]
    assert (counts["rows"], counts["broken"], counts["calls_bought"]) == (7, 1, 8)
    assert run.record["status"] == "complete"
    assert curate(run, recipe=Recipe("odd", "1", draft)).record["counts"]["rows"] == 7


def test_a_draft_that_cancels_itself_is_broken_and_nobody_else_is(tmp_path: Path) -> None:
    counts = made(cancels, tmp_path / "run").record["counts"]
    assert (counts["rows"], counts["broken"], counts["groups_done"]) == (7, 1, 8)


def test_a_conversation_that_cancels_itself_fails_alone(tmp_path: Path) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async def talk(n: int) -> Row:
            call = await models(asked(anchor, f" {n}"))
            if n == 1 and anchor.text == ANCHORS[1]:
                raise asyncio.CancelledError
            return row(call)

        async for made in models.side_by_side(talk(n) for n in range(3)):
            yield made

    counts = made(draft, tmp_path / "run").record["counts"]
    assert (counts["rows"], counts["broken"], counts["calls_bought"]) == (23, 1, 24)


def test_what_is_no_prompt_is_said_and_ends_no_list_in_silence(tmp_path: Path) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        prompts: Sequence[Any] = (None, asked(anchor)) if anchor.text == ANCHORS[1] else (asked(anchor),)
        async for call in models.each(prompts):
            yield row(call)

    run = made(draft, tmp_path / "run")
    assert (run.record["counts"]["rows"], run.record["counts"]["broken"]) == (7, 1)
    assert "prompts or (about, prompt) pairs, not None" in next(iter(run.record["broken_by"]))


def test_a_number_of_any_length_is_data(tmp_path: Path) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        yield row(await models(asked(anchor)), n=10**30 if anchor.text == ANCHORS[1] else 1)

    run = made(draft, tmp_path / "run")
    assert run.record["counts"]["kept"] == 8
    assert [json.loads(f)["n"] for shard in run.shards(["fields"]) for f in shard.column("fields").to_pylist()][
        1
    ] == 10**30


def test_a_check_may_give_another_librarys_number_and_must_give_a_verdict(tmp_path: Path) -> None:
    import numpy as np

    class Near:
        name = "near"

        def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
            return keep(np.float32(0.5))  # type: ignore[arg-type]

    class Nothing:
        name = "nothing"

        def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
            return None  # type: ignore[return-value]

    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        yield row(await models(asked(anchor)))

    run = made(draft, tmp_path / "run", checks=(Near(),))
    assert [s for shard in run.shards(["score"]) for s in shard.column("score").to_pylist()] == [0.5] * 8
    with pytest.raises(TooManyBroken, match="the check nothing failed"):
        made(draft, tmp_path / "other", checks=(Nothing(),))


def test_a_draft_that_goes_on_after_any_failure_ends_where_the_budget_does(tmp_path: Path) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        for n in range(100_000):
            try:
                call = await models(Prompt((user(f"{anchor.text} {n}"),), sampling=Sampling(max_tokens=10)))
            except Exception:
                tried.append(n)
                continue
            yield row(call)

    tried: list[int] = []
    with pytest.raises(BudgetReached):
        generate(Recipe("on", "1", draft), ANCHORS[:2], model="scripted/echo", out=tmp_path / "run", max_tokens=500)
    assert not tried and Run(tmp_path / "run").record["counts"]["kept"] > 2


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ("    yield {'text': 'a'}\n", 4, "gave a dict, not a Row"),
        ("    yield Row(text='a', fields={'n': {1, 2}})\n", 4, "no JSON form"),
        ("    text = models\n    yield Row(text=text)\n", 5, "text is a Desk"),
        ("    yield Row(messages=({'role': 'user', 'content': 'a', 'colour': 'red'},))\n", 4, "colour"),
        ("    async for call in models.each(['a']):\n        yield Row(text='a')\n", 4, "each takes prompts"),
    ],
    ids=["no-row", "no-json", "no-text", "no-message", "no-prompt"],
)
def test_what_a_draft_gives_wrongly_is_said_of_its_own_line(body: str, line: int, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    head = "from synthgain.types import Recipe, Row\n\nasync def draft(models, anchor):\n"
    file.write_text(f"{head}{body}\nRECIPE = Recipe('mine', '1', draft)\n", "utf-8")
    with pytest.raises(TooManyBroken) as caught:
        generate(file, ANCHORS, model="scripted/echo", out=tmp_path / "r")
    assert said in str(caught.value) and f"mine.py:{line})" in str(caught.value)


@pytest.mark.parametrize(
    "wrong", ["async def draft(models, anchor):\n    return []", "def draft(models, anchor):\n    yield 1"]
)
def test_a_draft_that_gives_no_rows_one_by_one_is_refused_before_anything_is_bought(wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"from synthgain.types import Recipe\n\n{wrong}\n\nRECIPE = Recipe('mine', '1', draft)\n", "utf-8")
    with pytest.raises(SynthgainError, match=r"mine\.py:3: the draft of mine") as caught:
        generate(file, ANCHORS, model="scripted/echo", out=tmp_path / "r")
    assert caught.value.code == 2 and not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("async def draft(models):\n    yield Row(text='a')\n", 5),
        ("async def draft(models, anchor, more):\n    yield Row(text='a')\n", 5),
        (
            "@dataclass(frozen=True)\nclass Draft:\n    async def __call__(self, models):\n        yield Row(text='a')\n\ndraft = Draft()\n",
            7,
        ),
    ],
    ids=["too-few", "too-many", "dataclass"],
)
def test_a_draft_that_cannot_be_called_is_refused_before_anything_is_bought(
    body: str, line: int, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    head = "from dataclasses import dataclass\n\nfrom synthgain.types import Recipe, Row\n\n"
    file.write_text(f"{head}{body}\nRECIPE = Recipe('mine', '1', draft)\n", "utf-8")
    with pytest.raises(SynthgainError, match=rf"mine\.py:{line}: the draft of mine cannot be called") as caught:
        generate(file, ANCHORS, model="scripted/echo", out=tmp_path / "r")
    assert caught.value.code == 2 and not (tmp_path / "r").exists()


def test_a_draft_that_its_pick_hands_too_much_is_blamed_where_it_is_written(tmp_path: Path) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        yield row(await models(asked(anchor)))

    def pick(corpus: Any, pool: Any, seed: int) -> Any:
        return zip(corpus, corpus)

    with pytest.raises(TooManyBroken, match=rf"test_odd_drafts\.py:{draft.__code__.co_firstlineno}\)"):
        made(draft, tmp_path / "run", pick=pick)


def test_where_every_draft_gives_the_wrong_thing_the_run_ends_after_the_first(tmp_path: Path) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        for n in range(4):
            yield (await models(asked(anchor, f" {n}"))).text  # type: ignore[misc]

    model = Scripted(lambda p: "a text", width=4)
    with pytest.raises(TooManyBroken, match="gave a str, not a Row"):
        generate(Recipe("odd", "1", draft), [f"anchor {i}" for i in range(500)], model=model, out=tmp_path / "run")
    assert model.asked <= 12
    with pytest.raises(TooManyBroken, match="mend it where the reason says"):
        preview(Recipe("odd", "1", draft), ANCHORS, model=model, out=tmp_path / "p")


async def reads_gold(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(asked(anchor))
    yield row(call, right=call.text == anchor.fields["gold"])


async def reads_gold_in_talks(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    async def talk(n: int) -> Row:
        call = await models(asked(anchor, str(n)))
        return row(call, right=call.text == anchor.fields["gold"])

    async for found in models.side_by_side(talk(n) for n in range(2)):
        yield found


@pytest.mark.parametrize("draft", [reads_gold, reads_gold_in_talks])
def test_a_field_that_no_anchor_has_ends_the_run_at_once(draft: Any, tmp_path: Path) -> None:
    model = Scripted(lambda p: p.content[-20:], width=1)
    anchors = [Anchor(f"anchor {i}", f"a#{i}", {"answer": str(i)}) for i in range(60)]
    with pytest.raises(SynthgainError, match="no anchor has the field 'gold'") as error:
        generate(Recipe("odd", "1", draft), anchors, model=model, out=tmp_path / "run")
    assert error.value.code == 2 and model.asked <= 5
    assert "test_odd_drafts.py" in str(error.value) and "the fields answer" in error.value.next
    assert Run.at(tmp_path / "run").record["status"] == "stopped"
    mended = [Anchor(a.text, a.source, {"gold": "7"}) for a in anchors]
    again = generate(Recipe("odd", "1", draft), mended, model=model, out=tmp_path / "run", replace=True)
    assert again.record["counts"]["broken"] == 0 and again.record["counts"]["calls_reused"] >= 1


def test_a_field_that_some_anchors_have_breaks_the_others_alone(tmp_path: Path) -> None:
    anchors = [Anchor(f"anchor {i}", f"a#{i}", {"gold": "7"} if i else {}) for i in range(30)]
    run = generate(Recipe("odd", "1", reads_gold), anchors, model=Scripted(lambda p: "7"), out=tmp_path / "run")
    assert (run.record["counts"]["rows"], run.record["counts"]["broken"]) == (29, 1)
    assert "the anchor has no field 'gold'" in next(run.broken())["reason"]


def test_a_key_that_an_answer_has_not_is_no_field(tmp_path: Path) -> None:
    async def parses(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(asked(anchor))
        yield row(call, found=json.loads(call.text)["gold"])

    anchors = [Anchor(f"anchor {i}") for i in range(30)]
    say = Scripted(lambda p: "{}" if p.messages[-1]["content"].endswith("7") else '{"gold": 1}')
    run = generate(Recipe("odd", "1", parses), anchors, model=say, out=tmp_path / "run")
    assert (run.record["counts"]["rows"], run.record["counts"]["broken"]) == (27, 3)
