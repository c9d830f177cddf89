"""A preview buys what it shows, and counts what all would take."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from synthgain.api import preview
from synthgain.api.foretelling import Span
from synthgain.models.prices import Price
from synthgain.types import (
    Anchor,
    BudgetReached,
    Call,
    CallFailed,
    Corpus,
    Group,
    Models,
    Prompt,
    Recipe,
    Row,
    SynthgainError,
    TooManyBroken,
    user,
)

TEXTS = [" ".join(f"Mill {i}-{n} of Orrin has {n} wheels." for n in range(10 * (i + 1))) for i in range(6)]
NAMES = [f"Ferry{i}" for i in range(12)]
WORDS = "scripted/words?n=30"


def entities(prompt: Prompt) -> str:
    """As many names as the document has."""
    if prompt.schema is None:
        return "They belong together."
    inside = [name for name in NAMES if f"{name} " in prompt.messages[-1]["content"]]
    return json.dumps({"title": "t", "summary": "A summary.", "entities": inside})


def document(n: int) -> str:
    return " ".join(f"{name} is a boat. " * 3 for name in NAMES[:n])


def made(recipe: Any, anchors: Any, model: Any, folder: Path, **options: Any) -> int:
    """How many calls a run takes."""
    return int(sg.generate(recipe, anchors, model=model, out=folder, **options).record["counts"]["calls_bought"])


def test_what_is_bought_is_shown_and_no_more(tmp_path: Path) -> None:
    model = sg.Scripted(entities)
    shown: list[Mapping[str, Any]] = []
    told: list[tuple[int, int, int | None]] = []
    seen = preview(
        "entigraph",
        [document(12), document(8)],
        model=model,
        out=tmp_path / "p",
        limit=1,
        show=shown.append,
        begin=lambda *said: told.append(said),
    )
    assert told == [(12, 1, 2)]
    assert model.asked == seen.bought == 12
    assert {call["id"] for life in shown for call in life["calls"]} == {
        call["id"] for life in (*seen.lives, *seen.alone) for call in life["calls"]
    }
    assert len({call["id"] for life in shown for call in life["calls"]}) == 12
    again = preview("entigraph", [document(12), document(8)], model=model, out=tmp_path / "p", limit=1)
    assert (again.bought, again.reused, model.asked) == (0, 12, 12)
    assert sorted(p.name for p in (tmp_path / "p").iterdir() if not p.name.startswith(".")) == ["calls"]
    assert made("entigraph", [document(12), document(8)], model, tmp_path / "p", limit=1) == 1 + 66 + 220 - 12


@pytest.mark.parametrize(
    ("recipe", "knobs"),
    [("rephrase", {"chunk": 40}), ("rephrase", {"styles": "easy", "chunk": 10}), ("twice", {})],
    ids=["rephrase", "finely", "twice"],
)
def test_where_the_model_decides_nothing_calls_are_counted(recipe: str, knobs: dict[str, Any], tmp_path: Path) -> None:
    chosen: Any = TWICE if recipe == "twice" else recipe
    seen = preview(chosen, TEXTS, model=WORDS, out=tmp_path / "p", limit=2, shown=4, knobs=knobs)
    calls = seen.estimate["calls"]
    assert calls.low == calls.high == calls.value == made(chosen, TEXTS, WORDS, tmp_path / "r", knobs=knobs)


def test_where_the_model_decides_the_truth_lies_in_the_range(tmp_path: Path) -> None:
    texts = [document(n) for n in (6, 12, 3, 9)]
    model = sg.Scripted(entities)
    seen = preview("entigraph", texts, model=model, out=tmp_path / "p", limit=2, shown=6, knobs={"triples": "10"})
    calls = seen.estimate["calls"]
    assert calls.low is not None and calls.high is not None and calls.low < calls.high
    assert calls.low <= made("entigraph", texts, model, tmp_path / "r", knobs={"triples": "10"}) <= calls.high
    assert "the model decides" in seen.note


def test_answers_of_no_use_are_not_taken_for_a_model_that_decides_nothing(tmp_path: Path) -> None:
    useless = sg.Scripted(lambda prompt: "I would rather not.")
    seen = preview("entigraph", [document(6), document(9)], model=useless, out=tmp_path / "p", limit=1)
    calls = seen.estimate["calls"]
    assert seen.bought == 3 and "the model decides" in seen.note  # three tries, and no entities
    assert calls.low is not None and calls.high is not None and calls.low < calls.high


def test_tokens_and_money_follow_the_lengths_of_all_texts(tmp_path: Path) -> None:
    seen = preview("rephrase", TEXTS, model=WORDS, out=tmp_path / "p", limit=1, knobs={"chunk": 40})
    run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", knobs={"chunk": 40})
    tokens = run.record["tokens"]
    assert seen.estimate["tokens_out"].value == tokens["out"]
    assert seen.estimate["tokens_in"].value == pytest.approx(tokens["in"], rel=0.1)
    assert seen.estimate["cost_usd"].value == 0


def page(n: int, sentences: int) -> str:
    return " ".join(f"The ferry {n}-{i} of Orrin carries salt and grain to the {i}th mill." for i in range(sentences))


def half_said(prompt: Prompt) -> str:
    """Half of the passage's words, by some documents less and by some more."""
    words = prompt.messages[-1]["content"].split("\n\n")[1].split()
    said = len(words) * (3 + hash_of(words[2].split("-")[0]) % 5) // 10
    return " ".join(words[: max(1, said)])


def hash_of(text: str) -> int:
    return int(sha256(text.encode()).hexdigest(), 16)


def foretold(texts: list[str], folder: Path, which: str) -> tuple[Span, int]:
    """What a preview says of the tokens in or out, and what the run takes."""
    model = sg.Scripted(half_said)
    seen = preview("rephrase", texts, model=model, out=folder / "p")
    return seen.estimate[f"tokens_{which}"], sg.generate("rephrase", texts, model=model, out=folder / "r").record[
        "tokens"
    ][which]


@pytest.mark.parametrize("which", ["in", "out"])
def test_the_range_holds_where_the_first_documents_are_unlike_the_others(which: str, tmp_path: Path) -> None:
    notes = [f"Note {n}: the mill is shut." for n in range(3)]
    span, real = foretold([*notes, *(page(n, 14) for n in range(12))], tmp_path, which)
    assert (span.low or 0) <= real <= (span.high or 0)
    assert real / 4 < (span.value or 0) < real * 4
    assert "--limit" in preview("rephrase", [*notes, page(3, 40)], model=WORDS, out=tmp_path / "p").note


def test_the_range_over_three_documents_holds_where_documents_differ(tmp_path: Path) -> None:
    """It is one of 95 %: of a few sets of documents, one may lie outside."""
    held = 0
    for first in range(0, 60, 10):
        texts = [page(n, 5 + n % 9) for n in range(first, first + 12)]
        span, real = foretold(texts, tmp_path / f"{first}", "out")
        held += (span.low or 0) <= real <= (span.high or 0)
        assert real / 2.5 < (span.value or 0) < real * 2.5 and (span.high or 0) - (span.low or 0) < 4 * real
    assert held >= 5


def test_a_prompt_that_several_groups_ask_is_counted_once_and_what_is_there_is_told(tmp_path: Path) -> None:
    parts = [page(n, 15) for n in range(4)]
    texts = [parts[n % 4] + "\n\n" + page(10 + n, 15) for n in range(8)]
    seen = preview("rephrase", texts, model=WORDS, out=tmp_path / "p", limit=2, shown=8, knobs={"chunk": 300})
    bought = made("rephrase", texts, WORDS, tmp_path / "r")
    calls = seen.estimate["calls"]
    assert calls.low == calls.high == bought < 4 * 16 and "repeats" in seen.note
    assert (seen.bought, seen.there) == (8, 8)
    all_there = preview("rephrase", texts, model=WORDS, out=tmp_path / "r", limit=2, shown=8)
    assert (all_there.bought, all_there.there) == (0, bought)
    with closing(sg.Run(tmp_path / "r").memory(readonly=True)) as memory:
        really = sum(call.tokens_in for call in memory)
    assert all_there.estimate["tokens_in"].json() == dict.fromkeys(("value", "low", "high"), really)


def test_conversations_side_by_side_come_to_their_end_and_are_counted(tmp_path: Path) -> None:
    recipe = Recipe("talks", "1", talks)
    seen = preview(recipe, TEXTS, model=WORDS, out=tmp_path / "p", limit=2, shown=8)
    assert (seen.bought, len(seen.lives), len(seen.alone)) == (8, 4, 0)
    assert seen.estimate["calls"].value == made(recipe, TEXTS, WORDS, tmp_path / "r")


def test_a_draft_that_asks_for_ever_is_said(tmp_path: Path) -> None:
    seen = preview(Recipe("on", "1", on_and_on), TEXTS, model=WORDS, out=tmp_path / "p", limit=1, shown=3)
    assert seen.bought == 3
    assert all(seen.estimate[name].value is None for name in ("calls", "tokens_in", "tokens_out"))
    assert (seen.estimate["calls"].low or 0) >= 1_000 * len(TEXTS) and (seen.estimate["tokens_out"].low or 0) > 0


def test_groups_that_nobody_can_count_give_no_estimate(tmp_path: Path) -> None:
    pairs = Recipe("pairs", "1", paired, pick=in_pairs)
    seen = preview(pairs, TEXTS, model=WORDS, out=tmp_path / "p", limit=2)
    assert (seen.groups, seen.groups_total, len(seen.lives)) == (2, None, 2)
    assert seen.estimate["calls"].value is None and "not known" in seen.note


def test_calls_that_gave_no_row_are_shown_too(tmp_path: Path) -> None:
    seen = preview(Recipe("none", "1", nothing), TEXTS[:2], model=WORDS, out=tmp_path / "p")
    assert (len(seen.lives), len(seen.alone), seen.bought) == (0, 2, 2)
    assert all(life["calls"][0]["text"] and life["anchors"] for life in seen.alone)


def test_what_broke_is_counted_and_all_of_it_is_an_error(tmp_path: Path) -> None:
    def refuses(prompt: Prompt) -> str:
        if prompt.messages[-1]["content"].startswith(TEXTS[0]):
            raise CallFailed("the server refused it")
        return "A text."

    some = preview(TWICE, TEXTS, model=sg.Scripted(refuses), out=tmp_path / "p", limit=2)
    assert some.broken == {"the server refused it": 5} and some.lives
    with pytest.raises(TooManyBroken, match="the server refused it"):
        preview(TWICE, TEXTS[:1], model=sg.Scripted(refuses), out=tmp_path / "q")


def test_a_models_own_end_is_an_error(tmp_path: Path) -> None:
    def away(prompt: Prompt) -> str:
        raise SynthgainError("nobody answers", code=4)

    with pytest.raises(SynthgainError, match="nobody answers") as caught:
        preview("rephrase", TEXTS, model=sg.Scripted(away), out=tmp_path / "p")
    assert caught.value.code == 4


@dataclass(frozen=True)
class Twice:
    """`k` answers an anchor, each looked at by the same model."""

    k: int = 5

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for call in models.each(Prompt((user(anchor.text),), draw=d) for d in range(self.k)):
            judged = await models(Prompt((user(f"Is this good? {anchor.text[:60]} {call.prompt.draw}"),)))
            yield Row(text=call.text, calls=(call, judged))


TWICE = Recipe("twice", "1", Twice())


async def talks(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    async def talk(draw: int) -> Row:
        one = await models(Prompt((user(anchor.text),), draw=draw))
        if not one.text:
            raise ValueError("nothing was said")
        other = await models(Prompt((user(f"Go on: {anchor.text[:40]} {one.text}"),), draw=draw))
        return Row(text=other.text, calls=(one, other))

    async for row in models.side_by_side([talk(draw) for draw in range(9)]):
        yield row


async def on_and_on(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    draw = 0
    while True:
        call = await models(Prompt((user(anchor.text[:20]),), draw=draw))
        draw += 1
        yield Row(text=call.text, calls=(call,))


async def paired(models: Models, one: Anchor, other: Anchor) -> AsyncIterator[Row]:
    call = await models(Prompt((user(one.text + other.text),)))
    yield Row(text=call.text, calls=(call,))


def in_pairs(corpus: Corpus, pool: object, seed: int) -> Any:
    found: list[Group] = list(combinations(corpus, 2))
    return found


async def nothing(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(Prompt((user(anchor.text),)))
    if not call.text:
        yield Row(text="")


class Priced(sg.Scripted):
    """A model whose price is known."""

    price = Price.parse("1000,2000")

    async def __call__(self, prompt: Prompt) -> Call:
        call = await super().__call__(prompt)
        return replace(call, cost=self.price.cost(call.tokens_in, call.tokens_out))


@pytest.mark.parametrize("cap", [1.5, 8.0], ids=["in-the-preview", "in-the-run"])
def test_a_cap_ends_the_run_where_the_preview_says(cap: float, tmp_path: Path) -> None:
    texts = [page(n, 14) for n in range(12)]
    model = Priced(lambda prompt: "Some words are said here.", width=1)
    seen = preview("rephrase", texts, model=model, out=tmp_path / "p", max_cost=cap)
    assert bool(seen.stopped) == (cap < 2) and seen.ends is not None
    with pytest.raises(BudgetReached):
        sg.generate("rephrase", texts, model=model, out=tmp_path / "r", max_cost=cap)
    spent = sg.Run(tmp_path / "r").record["cost_usd"]
    assert seen.ends.spent == pytest.approx(spent, abs=0.3) and spent < cap - 0.5
    enough = preview("rephrase", texts, model=model, out=tmp_path / "p", max_cost=100)
    assert enough.ends is None and not enough.stopped
