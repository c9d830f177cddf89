"""IFEval's kinds of instruction, each with answers that follow it and answers that do not."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain.curate import load
from synthgain.curate.instruction_rules import RULES, highlights, placeholders, sentences
from synthgain.curate.instructions import Instructions, broken, readings
from synthgain.types import Anchor, Row, assistant, user

ENGLISH = "the mill of orrin grinds wheat and rye for the whole valley every day"
GERMAN = "Die Mühle von Orrin mahlt jeden Tag Weizen und Roggen für das ganze Tal."
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [  # kind, arguments, what follows it, what does not
    (
        "keywords:existence",
        {"keywords": ["mill", "c++"]},
        ["A Mill in C++.", "windmills, c++"],
        ["A mill.", "A mill in ccc", ""],
    ),
    (
        "keywords:frequency",
        {"keyword": "mill", "frequency": 2, "relation": "at least"},
        ["Mill and mill", "windmill, miller"],
        ["One mill", "Orn"],
    ),
    (
        "keywords:frequency",
        {"keyword": "mill", "frequency": 2, "relation": "less than"},
        ["One mill", "Orn"],
        ["Mill and mill"],
    ),
    (
        "keywords:forbidden_words",
        {"forbidden_words": ["mill", "a.b"]},
        ["A windmill", "aXb"],
        ["The Mill!", "see a.b here"],
    ),
    (
        "keywords:letter_frequency",
        {"letter": "Q", "let_frequency": 2, "let_relation": "at least"},
        ["Quick queen", "qq"],
        ["quick"],
    ),
    (
        "keywords:letter_frequency",
        {"letter": "#", "let_frequency": 1, "let_relation": "less than"},
        ["no tag"],
        ["#tag"],
    ),
    ("language:response_language", {"language": "de"}, [GERMAN, "7"], [ENGLISH, '{"mill": "It grinds wheat and rye"}']),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 3, "relation": "at least"},
        ["One. Two! Three?", "one. two. three", 'He said "No." She said "Yes." They went.'],
        [
            "One. Two!",
            "Dr. Orn of St. Ives met Mr. J. R. Hale at 3 p.m. in Ely.",
            "It costs 3.50. Good.",
            "1. A mill\n2. A lake",
        ],
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "less than"},
        ["Only one", "e.g. this one"],
        ["One. Two."],
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["One\n***\nTwo", "***\nOne\n***\nTwo\n***"],
        ["One\n\nTwo", "One\n***\n\n***\nTwo", "One"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "at least"},
        ["one two three", "don't stop"],
        ["one two", "किसान सुबह"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "less than"},
        ["one two", "किसान सुबह"],
        ["one two three"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "mill"},
        ["One\n\nMill wheels", 'One\n\n"Mill, he said', "One\n\n\n\nmill"],
        ["Mill\n\nOne", "One\n\nMills", "One\n\nMill\n\nThree", "Mill"],
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ["[name] in [town]", "[[a] [b]", "[]\n[]"],
        ["[name]", "[na\nme] [x]", "]["],
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.P.S"},
        ["Text\nP.P.S. more", "p. p. s more"],
        ["P.S. more", "PPS more"],
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["Text. p. s. more"], ["PS: more", "Text"]),
    ("detectable_content:postscript", {"postscript_marker": "N.B. "}, ["n.b. more"], ["nxb more"]),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* one\n* two", "- one\n  - two", "**Head**\n* one\n- two", "- one\n---\n- two\n* * *"],
        ["* one", "* one\n* two\n* three", "** one\n** two", "1. one\n2. two"],
    ),
    (
        "detectable_format:constrained_response",
        {},
        ["My answer is no.", "Well. My answer is maybe."],
        ["No.", "My answer is no"],
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*one* and *two*", "**one** and **two**", "* *one* *two*"],
        ["*one*", "**one**", "** **", "one * two", "*one\ntwo* *"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        ["SECTION 1\na\nSECTION 2\nb", "SECTION1 SECTION2 SECTION3"],
        ["SECTION 1", "Section 1 Section 2", "SECTION A SECTION B"],
    ),
    (
        "detectable_format:json_format",
        {},
        ['{"a": 1}', '```json\n{"a": [1]}\n```', "```\n[]\n```", "7"],
        ["{'a': 1}", 'Here: {"a": 1}', "", "[" * 100_000],
    ),
    (
        "detectable_format:title",
        {},
        ["<<The mill>>\nText", "Text <<a>> text", "<<<a>>>"],
        ["<The mill>", "<<>>", "<< >>", "<<The\nmill>>", ">>a<<"],
    ),
    (
        "combination:two_responses",
        {},
        ["One\n******\nTwo", "******\nOne ****** Two\n******"],
        ["One\n***\nTwo", "One ****** One", "One", "One ****** ****** Two", "1 ****** 2 ****** 3"],
    ),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Write of mills. "},
        [" write of mills.\nA mill", "Write of mills."],
        ["A mill. Write of mills.", "Write of a mill"],
    ),
    (
        "startend:end_checker",
        {"end_phrase": "Any more questions?"},
        ["Text. any more questions? ", '"Text. Any more questions?"'],
        ["Any more questions? No.", "Any more questions"],
    ),
    ("startend:quotation", {}, ['"A mill."', ' "" '], ["A mill.", '"A mill', '"', "“A mill”"]),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        ["The BIG MILL", "WELL-KNOWN, I"],
        ["The BIG mill", "The Big Mill 77"],
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 1, "capital_relation": "less than"},
        ["the big mill"],
        ["the BIG mill"],
    ),
    (
        "change_case:english_capital",
        {},
        [ENGLISH.upper(), "YES 7"],
        [ENGLISH, ENGLISH.upper() + "x", "77", GERMAN.upper()],
    ),
    ("change_case:english_lowercase", {}, [ENGLISH, "yes, 7"], [ENGLISH.title(), "77", GERMAN.lower()]),
    ("punctuation:no_comma", {}, ["A mill; a lake"], ["A mill, a lake", ","]),
]


@pytest.mark.parametrize(("kind", "arguments", "follow", "break_"), CASES)
def test_each_kind(kind: str, arguments: dict[str, Any], follow: list[str], break_: list[str]) -> None:
    assert [answer for answer in follow if broken(kind, arguments, answer)] == []
    assert [answer for answer in break_ if broken(kind, arguments, answer) != RULES[kind].broken] == []


def test_all_25_kinds_are_tried_and_say_why() -> None:
    assert len(RULES) == 25 and {kind for kind, *_ in CASES} == set(RULES)
    assert len({rule.broken for rule in RULES.values()}) == 25


def test_nothing_answered_follows_nothing() -> None:
    assert broken("punctuation:no_comma", {}, " \n") == "a comma"


def test_the_loose_reading_looks_past_the_first_and_the_last_line_and_stars() -> None:
    assert readings("a\n*b*\nc") == ["a\n*b*\nc", "*b*\nc", "a\n*b*", "*b*", "a\nb\nc", "b\nc", "a\nb", "b"]
    for kind, arguments, answer in (
        ("punctuation:no_comma", {}, "Sure, here it is:\nA mill\nOK, bye"),
        ("startend:quotation", {}, 'Sure:\n"A mill"'),
        ("combination:repeat_prompt", {"prompt_to_repeat": "Write"}, "**Write** it"),
    ):
        assert broken(kind, arguments, answer) and not broken(kind, arguments, answer, loose=True)
    assert broken("punctuation:no_comma", {}, "a, b\nc, d\ne, f", loose=True)


def row(answer: str) -> Row:
    return Row(messages=(user("Write."), assistant(answer)))


def asked(*kinds: str, arguments: object = ()) -> Anchor:
    return Anchor("Write.", fields={"instruction_id_list": list(kinds), "kwargs": arguments})


def test_the_check_gives_the_first_reason_and_the_share() -> None:
    two = asked("punctuation:no_comma", "startend:quotation", "detectable_format:title", arguments=[{}, {}, {}])
    verdict = Instructions()(row("<<Mills>>, and more"), [two])
    assert (verdict.keeps, verdict.reason, verdict.score) == (False, "a comma", 1 / 3)
    kept = Instructions()(row('"<<Mills>> and more"'), [two])
    assert kept.keeps and kept.score == 1
    assert Instructions(loose=True)(row('Sure, gladly:\n"<<Mills>>"'), [two]).keeps


def test_a_row_that_cannot_be_checked_falls_for_that() -> None:
    check = Instructions()
    assert check(row("A mill"), [Anchor("Write.")]).reason == "no instructions to check"
    assert check(row("<think>so"), [asked("punctuation:no_comma")]).reason == "thinking never ended"
    assert check(row("A mill"), [asked("new:kind")]).reason == "an instruction that is not known: new:kind"
    for arguments in ([], [{}], [{"num_bullets": None}], [{"num_bullets": "many"}], [7], "{"):
        found = check(row("A mill"), [asked("detectable_format:number_bullet_lists", arguments=arguments)])
        assert found.reason == "an instruction without its arguments: detectable_format:number_bullet_lists"
    odd = {"keyword": "a", "frequency": 2, "relation": "about"}
    assert "without its arguments" in check(row("A"), [asked("keywords:frequency", arguments=[odd])]).reason
    words = {"keywords": "mill"}
    assert "without its arguments" in check(row("A"), [asked("keywords:existence", arguments=[words])]).reason


def test_lists_may_be_json_text_and_arguments_null() -> None:
    anchor = Anchor("?", fields={"instruction_id_list": '["startend:quotation"]', "kwargs": '[{"num_bullets": null}]'})
    assert Instructions()(row('"A"'), [anchor]).keeps and not Instructions()(row("A"), [anchor]).keeps
    one = Anchor("?", fields={"asks": "punctuation:no_comma"})
    assert load("instructions:kinds=asks")(row("A"), [one]).keeps  # type: ignore[operator]


def test_what_is_counted() -> None:
    assert sentences("") == 0 and sentences("Is it? Yes!! It is...") == 3 and sentences("A mill. It turns") == 2
    assert placeholders("[a][b] [c\n]") == 2 and highlights("*a* **b**") == 2


@given(st.text(max_size=200), st.sampled_from(CASES))
def test_any_text_is_judged(text: str, case: tuple[str, dict[str, Any], list[str], list[str]]) -> None:
    assert broken(case[0], case[1], text, loose=True) in ("", RULES[case[0]].broken)


@pytest.mark.parametrize(
    "piece", ["[", "*", "<<", "\n", "P.", "A. ", "a b ", "- ", "***", "SECTION 1", "{", "e.g", "é"]
)
def test_a_megabyte_takes_no_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.process_time()
    for kind, arguments, *_ in CASES:
        broken(kind, arguments, text)
    assert time.process_time() - began < 30  # quadratic would be hours


def test_every_prompt_of_ifeval_can_be_checked() -> None:
    root = Path(os.environ.get("SYNTHGAIN_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    file = root / "instructions" / "ifeval_even.jsonl.gz"
    if not file.is_file():
        pytest.skip("the data set instructions/ifeval_even is not here (set SYNTHGAIN_DATA)")
    with gzip.open(file, "rt", encoding="utf8") as lines:
        rows = [json.loads(line) for line in lines]
    found = {Instructions()(row("A mill"), [Anchor(one["prompt"], fields=one)]).reason for one in rows}
    assert len(rows) == 271 and found <= {"", *(rule.broken for rule in RULES.values())}
