"""Checks on instructions and judges' scores: what falls, and what does not."""

from __future__ import annotations

import pytest

from synthgain.curate.impersonal import Impersonal
from synthgain.curate.instruction import BANNED, MEDIA, Instruction
from synthgain.curate.near_field import NearField
from synthgain.types import Row, assistant, user


@pytest.mark.parametrize(
    ("instruction", "why"),
    [
        ("Name three birds of prey.", ""),
        ("Name three birds", "instruction too short"),
        ("word " * 151, "instruction too long"),
        ("word " * 150, ""),
        ("Describe the image in one line.", "instruction names 'image'"),
        ("Say where you would go to eat.", "instruction names 'go to'"),
        ("Say what graphite is made of.", ""),
        ("Imagine a draw in a football game.", "instruction names 'draw'"),
        ("Write a program that sorts numbers.", "instruction asks for a program"),
        ("Write a programme for a concert evening.", "instruction asks for a program"),
        ("- name three birds of prey", "instruction begins with a punctuation mark"),
        ("Étudie les oiseaux de proie.", "instruction begins outside of ASCII"),
        ("", "instruction too short"),
    ],
)
def test_the_rules_of_the_source(instruction: str, why: str) -> None:
    assert Instruction().unfit(instruction) == why
    row = Row(messages=(user("something else"), assistant("x")), fields={"instruction": instruction})
    assert Instruction()(row, ()).reason == why


def test_other_settings() -> None:
    assert Instruction(ascii=False).unfit("Étudie les oiseaux de proie.") == ""
    assert Instruction().unfit("Choose music for a long drive.") == ""
    assert "music" in Instruction(banned=(*BANNED, *MEDIA)).unfit("Choose music for a long drive.")
    assert Instruction(banned=()).unfit("Describe the image in one line.") == ""
    assert Instruction()(Row(messages=(user("Short."),), fields={"human": True}), ()).keeps
    assert Instruction()(Row(messages=(user("Short."),)), ()).reason == "instruction too short"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("Water boils earlier on a mountain, because the air presses less.", ""),
        ("I did this once and my kettle broke.", "in the first person"),
        ("As mentioned in the other answers, heat it slowly.", "refers to other answers"),
        ("Heat it slowly. EDIT: not too slowly.", "refers to other answers"),
        ("", ""),
    ],
)
def test_impersonal(answer: str, why: str) -> None:
    assert Impersonal()(Row(messages=(user("?"), assistant(answer))), ()).reason == why


def test_near_people_go_and_rows_of_one_person_stay_together() -> None:
    import json

    import pyarrow as pa

    nurse = "A night nurse in a small hospital by the sea who keeps a diary of storms and counts ships in the dark"
    people = [nurse, nurse, "A baker of rye bread", nurse + " hours", "", ""]
    rows = {
        "fields": [json.dumps({"persona": p} if p else {}) for p in people],
        "anchor_ids": [["a"], ["a"], ["a"], ["b"], ["b"], ["b"]],
    }
    for cut in (1, 3, 6):
        judge = NearField().begin()
        whole = pa.table(rows)
        found = [v.keeps for start in range(0, 6, cut) for v in judge(whole.slice(start, cut))]
        assert found == [True, True, True, False, True, True]
