"""EntiGraph: entities from the document, every pair, then triples in their own order, document first."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, islice
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.drafting import Desk, drafted
from synthgain.recipes.entigraph import EXAMPLES, RECIPE, EntiGraph, sampled_triples, stands_in, triple
from synthgain.types import Anchor, CallFailed, Prompt, SynthgainError

DOC = EXAMPLES[0]
NAMES = ["Maren Tolvik", "Osk barley", "Bero Halland", "seed library of Osk"]


def lists(*answers: str) -> Callable[[Prompt], str]:
    return lambda prompt: answers[prompt.draw] if prompt.schema else "They meet in the document."


def listed(*names: str, summary: str = "A library of seeds.") -> str:
    return json.dumps({"title": "t", "summary": summary, "entities": list(names)})


async def test_summary_pairs_triples() -> None:
    desk = Desk(lists(listed(*NAMES, "Atlantis", "maren  tolvik")))
    rows = await drafted(RECIPE, DOC, desk)
    kinds = [row.fields["kind"] for row in rows]
    assert kinds == ["summary"] + ["pair"] * 6 + ["triple"] * 4
    assert (
        rows[0].text == "A library of seeds."
        and rows[0].fields["entities"] == NAMES
        and rows[0].fields["absent"] == ["Atlantis"]
    )
    assert [tuple(r.fields["entities"]) for r in rows if r.fields["kind"] == "pair"] == list(combinations(NAMES, 2))
    assert {frozenset(r.fields["entities"]) for r in rows if r.fields["kind"] == "triple"} == set(
        map(frozenset, combinations(NAMES, 3))
    )
    document = desk.asked[0].messages[-1]["content"].split("(End of the document)")[0]
    assert document.startswith("Title: The seed library of Osk\nDocument:") and DOC.text in document
    for prompt, row in zip(desk.asked[1:], rows[1:]):
        said = prompt.messages[-1]["content"]
        assert said.startswith(document) and said.endswith("\n".join(f"- {n}" for n in row.fields["entities"]))
        assert prompt.sampling.temperature == 1.0 and prompt.schema is None


async def test_given_entities_cost_no_call_and_give_no_summary() -> None:
    desk = Desk(lambda p: "text")
    rows = await drafted(RECIPE, EXAMPLES[1], desk)
    assert [row.fields["kind"] for row in rows] == ["pair"] * 3 + ["triple"]
    assert "Year: 1987" in desk.asked[0].messages[-1]["content"]
    for brought in ("Sedda Ruun; thyme", '["Sedda Ruun", "thyme"]', ["Sedda Ruun", "thyme", "Thyme"]):
        rows = await drafted(RECIPE, Anchor(EXAMPLES[1].text, "", {"entities": brought}), desk)
        assert [row.fields["entities"] for row in rows] == [["Sedda Ruun", "thyme"]]


async def test_at_most_three_tries_and_each_failure_is_a_row() -> None:
    desk = Desk(lists("no JSON", '{"entities": "none"}', listed(*NAMES[:2])))
    rows = await drafted(RECIPE, DOC, desk)
    assert [p.draw for p in desk.asked if p.schema] == [0, 1, 2]
    assert [(r.fallen.check, r.fallen.reason) for r in rows if r.fallen] == [("parse", "not the JSON asked for")] * 2
    assert [r.fields["kind"] for r in rows] == ["summary"] * 3 + ["pair"]
    rows = await drafted(RECIPE, DOC, Desk(lists("", "[" * 100_000, "x" * 1_000_000)))
    assert [r.fallen is not None for r in rows] == [True] * 3
    rows = await drafted(RECIPE, DOC, Desk(lists(listed(), listed("Atlantis"), listed("Osk barley"))))
    assert [r.fallen is None for r in rows] == [False, False, True] and len(rows) == 3  # one entity: a summary, no pair
    rows = await drafted(RECIPE, DOC, Desk(lists('{"entities": ["Maren', "[]", "3"), finish="length"))
    assert rows[0].fallen is not None and rows[0].fallen.reason == "cut off before the JSON ended"


async def test_json_in_talk_is_read() -> None:
    rows = await drafted(RECIPE, DOC, Desk(lists("Here it is:\n```json\n" + listed(*NAMES[:2]) + "\n```")))
    assert [r.fields["kind"] for r in rows] == ["summary", "pair"]


async def test_budgets_and_lost_calls() -> None:
    reply = lists(listed(*NAMES))
    desk = Desk(
        lambda p: CallFailed("no") if p.messages[-1]["content"].endswith("- Osk barley\n- Bero Halland") else reply(p)
    )
    rows = await drafted(replace(RECIPE, draft=EntiGraph(pairs=5, triples=2)), DOC, desk)
    about = [tuple(r.fields["entities"]) for r in rows[1:]]
    assert about[:4] == [pair for pair in islice(combinations(NAMES, 2), 5) if pair != ("Osk barley", "Bero Halland")]
    lost = sum("- Osk barley\n- Bero Halland" in p.messages[-1]["content"] for p in desk.asked)
    assert len(about) == 7 - lost and all(len(triple) == 3 for triple in about[4:])
    assert all(
        r.calls[0].prompt.messages[-1]["content"].endswith("\n".join(f"- {n}" for n in r.fields["entities"]))
        for r in rows[1:]
    )


async def test_thousands_of_prompts_are_never_a_list() -> None:
    text = " ".join(f"Name{i}" for i in range(30))
    anchor = Anchor(text + " word" * 2_000, "", {"entities": [f"Name{i}" for i in range(30)]})

    class Forgetful(Desk):
        async def __call__(self, prompt: Prompt):  # type: ignore[no-untyped-def]
            self.asked = []
            return await super().__call__(prompt)

    desk, n = Forgetful(lambda p: "text"), 0
    tracemalloc.start()
    async for _ in RECIPE.draft(desk, anchor):
        n += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 4_495 and peak < 3_000_000  # all prompts together: 4,495 × 10 kB


@given(st.integers(3, 40))
def test_triples_by_number_are_the_combinations(n: int) -> None:
    assert [triple(i, n) for i in range(comb(n, 3))] == list(combinations(range(n), 3))


@given(st.integers(0, 14), st.none() | st.integers(0, 400), st.text(max_size=5))
def test_a_sample_of_triples_holds_each_once_and_is_the_keys(n: int, most: int | None, key: str) -> None:
    names = [str(i) for i in range(n)]
    drawn = list(sampled_triples(names, most, key))
    assert len(set(drawn)) == len(drawn) == (comb(n, 3) if most is None else min(most, comb(n, 3)))
    assert set(drawn) <= set(combinations(names, 3)) and drawn == list(sampled_triples(names, most, key))


def test_samples_differ_by_document_and_from_the_order() -> None:
    names = [str(i) for i in range(12)]
    one, other = list(sampled_triples(names, None, "a")), list(sampled_triples(names, None, "b"))
    assert one != other and sorted(one) == sorted(other) and one != sorted(one, key=lambda t: tuple(map(int, t)))


@pytest.mark.parametrize(
    ("name", "document", "stands"),
    [
        ("Osk", "the town of OSK.", True),
        ("Osk", "Oskar", False),
        ("Kesk", "kesk's pump", True),
        ("O’Neil", "o'neil went", True),
        ("new  york", "new york", True),
        ("港", "この港は", True),
        ("C++", "in c++ and c", True),
    ],
)
def test_names_stand_in_a_document_as_whole_words(name: str, document: str, stands: bool) -> None:
    assert stands_in(name, document.casefold()) is stands


@pytest.mark.parametrize("knobs", [{"tries": 0}, {"pairs": -1}, {"triples": -1}])
def test_bad_knobs(knobs: dict[str, int]) -> None:
    with pytest.raises(SynthgainError):
        EntiGraph(**knobs)
