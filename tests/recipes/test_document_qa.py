"""Questions and answers on documents: every pair a row, nothing that was written is lost, passage first and kind last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, generate
from synthgain.curate.found_pairs import pairs
from synthgain.recipes.document_qa import EXAMPLES, KINDS, RECIPE, DocumentQA
from synthgain.types import SynthgainError

LIST = "Question: Who built the raft?\nAnswer: Ansa Kettering\n\nQuestion: Of what was it built?\nAnswer: wine casks"


@pytest.mark.parametrize(
    "text",
    [
        LIST,
        LIST.replace("Question:", "**Question:**").replace("Answer:", "**Answer:**"),
        LIST.replace("Question:", "Q:").replace("Answer:", "A:"),
        "Sure! Here are two questions:\n\n" + LIST,
        "1. Question: Who built the raft?\n   Answer: Ansa Kettering\n2. Question: Of what was it built?\n   Answer: wine casks",
        "**Question 1:** Who built the raft?\n**Answer 1:** Ansa Kettering\n**Question 2:** Of what was it built?\n**Answer 2:** wine casks",
        "1. **Who built the raft?**\n   Answer: Ansa Kettering\n2. **Of what was it built?**\n   Answer: wine casks",
        "1. Who built the raft? Ansa Kettering\n2. Of what was it built? wine casks",
        "Question: Who built\nthe raft?\nAnswer: Ansa\nKettering\nQuestion: Of what was it built?\nAnswer: wine casks",
        "Question: Who built the raft? Answer: Ansa Kettering\nQuestion: Of what was it built? Answer: wine casks",
        "Question: Who built the raft? Answer:Ansa Kettering\nQuestion: Of what was it built? A:wine casks",
    ],
)
def test_pairs_are_read_as_models_write_them(text: str) -> None:
    assert pairs(text) == [("Who built the raft?", "Ansa Kettering"), ("Of what was it built?", "wine casks")]


def test_what_is_no_pair() -> None:
    assert pairs("The raft is made of wine casks.") == []
    assert pairs("Question: Who built the raft?") == [("Who built the raft?", "")]
    assert pairs("A raft. Answer: nobody") == []


async def test_one_call_for_each_passage_kind_and_list() -> None:
    desk = Desk(lambda prompt: LIST)
    rows = await drafted(replace(RECIPE, draft=DocumentQA(lists=2)), EXAMPLES[0], desk)
    assert len(desk.asked) == 2 * len(KINDS) and len(rows) == 4 * len(KINDS)
    assert len({prompt.id("m") for prompt in desk.asked}) == len(desk.asked)
    said = [prompt.messages[-1]["content"] for prompt in desk.asked]
    assert all(one.startswith(f"Title: The bell of Sorrel Ness\nPassage:\n\n{EXAMPLES[0].text}\n\n") for one in said)
    assert [one.endswith(KINDS[kind]) for one, kind in zip(said[::2], KINDS)] == [True] * len(KINDS)
    first = rows[0]
    assert first.text == "About: The bell of Sorrel Ness\nQuestion: Who built the raft?\nAnswer: Ansa Kettering"
    assert (first.fields["kind"], first.fields["place"], first.fields["answer"]) == ("plain", 0, "Ansa Kettering")


async def test_what_cannot_be_used_falls_with_its_reason() -> None:
    async def reasons(answer: str, finish: str = "stop") -> list[str]:
        rows = await drafted(
            replace(RECIPE, draft=DocumentQA(kinds=("plain",))), EXAMPLES[0], Desk(lambda _: answer, finish)
        )
        return [row.fallen.reason if row.fallen else "" for row in rows]

    assert await reasons("I cannot.") == ["no question with an answer"]
    assert await reasons(f"{LIST}\nQuestion: Why?") == ["", "", "no answer"]
    assert await reasons(LIST, "length") == ["", "cut off at the token limit"]


def test_pairs_that_invent_or_point_at_the_passage_fall(tmp_path: object) -> None:
    said = f"{LIST}\nQuestion: Who paid for the raft?\nAnswer: it was Odo Brill\nQuestion: When, according to the passage?\nAnswer: in 1911"
    run = generate(
        RECIPE, EXAMPLES[:1], model=Scripted(lambda prompt: said), knobs={"kinds": ("plain",)}, out=str(tmp_path)
    )
    fell = {row["fields"]["place"]: row["check"] for row in run.rows() if not row["kept"]}
    assert fell == {2: "grounded", 3: "stands-alone"}


def test_knobs_are_looked_at() -> None:
    with pytest.raises(SynthgainError, match="kinds are: plain"):
        DocumentQA(kinds=("odd",))
    with pytest.raises(SynthgainError, match="lists is 1 or more"):
        DocumentQA(lists=0)
