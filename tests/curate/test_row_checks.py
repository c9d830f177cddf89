"""Row checks on hand-built rows: what stays, what falls, and the reason people count by."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain.curate import load, names
from synthgain.curate.copied import Copied, copied_share
from synthgain.curate.empty import NotEmpty
from synthgain.curate.equations import Equations
from synthgain.curate.final_answer import FinalAnswer
from synthgain.curate.language import Language
from synthgain.curate.length import Length
from synthgain.curate.preamble import Preamble, strip_preamble
from synthgain.curate.refusal import Refusal
from synthgain.curate.repetition import Repetition, repeated_lines, repeated_ngrams
from synthgain.curate.truncated import Truncated
from synthgain.types import Anchor, Call, Fold, Prompt, Row, Selection, assistant, user

PROSE = (
    "The harbour of Quell was dug in 1611 by forty masons who had never seen the sea. They lined it with slate, "
    "and the water has stood green ever since. Boats enter at noon, when the sun shows the rocks."
)
DOC = Anchor(PROSE)


def said(answer: str, finish: str = "stop") -> Row:
    call = Call(id="c", prompt=Prompt((user("?"),)), message=assistant(answer), model="m", finish=finish)
    return Row(text=answer, calls=(call,))


def test_empty() -> None:
    assert NotEmpty()(said("a"), ()).keeps
    assert [NotEmpty()(said(t), ()).reason for t in ("", " \n", "...")] == ["no text"] * 3


def test_length_counts_words() -> None:
    check = Length(least=3, most=5)
    assert [check(said(" ".join("w" * n)), ()).reason for n in (2, 3, 5, 6)] == ["too short", "", "", "too long"]


def test_truncated() -> None:
    assert Truncated()(said("Half a sent", "length"), ()).reason == "cut off at the token limit"
    assert Truncated()(said("Half a sent"), ()).keeps
    assert not Truncated(sentence=True)(said("Half a sent"), ()).keeps
    assert Truncated(sentence=True)(said("A whole one."), ()).keeps


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (PROSE, "en"),
        ("Der Hafen wurde im Jahr 1611 von vierzig Maurern gegraben, die das Meer nie gesehen hatten.", "de"),
        ("Le port fut creusé par quarante maçons qui n'avaient jamais vu la mer, et l'eau y est restée verte.", "fr"),
        ("港は千六百十一年に海を見たことのない四十人の石工によって掘られました。", "ja"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert Language(language)(said(text), ()).keeps
    other = "fr" if language != "fr" else "en"
    verdict = Language(other)(said(text), ())
    assert (verdict.keeps, verdict.reason) == (False, f"written in '{language}'")


def test_language_says_nothing_of_a_few_letters() -> None:
    assert Language("en")(said("3 + 4 = 7"), ()).keeps


def test_repetition() -> None:
    assert Repetition()(said(PROSE), ()).keeps
    assert Repetition()(said("the cat sat on the mat " * 20), ()).reason == "phrases repeat"
    assert Repetition()(said(PROSE + "\n" + PROSE), ()).reason == "lines repeat"
    assert Repetition()(said("the the the"), ()).keeps  # too short to tell


def test_repeated_shares_in_closed_form() -> None:
    assert repeated_lines("a b c\na b c\na b c\na b c") == 3 / 4
    assert repeated_ngrams(list("abcdeabcde"), 5) == 1 / 2
    assert repeated_ngrams(list("abcdefghij"), 5) == 0


def test_copied_share_in_closed_form() -> None:
    assert copied_share(PROSE, [PROSE], 8) == 1.0
    assert copied_share("a b c d e f", ["x a b c y", "d e f"], 3) == 2 / 4
    assert copied_share("too short", [PROSE], 8) == 0.0
    assert Copied()(said(PROSE.upper()), [DOC]).reason == "copies its anchor"
    assert Copied()(said("Forty masons dug a port in the year 1611 and none of them knew the sea."), [DOC]).keeps


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I am sorry, I cannot write this.",
        "As an AI language model, I do not have opinions.",
        "Sorry, I don't know this document.",
        "I cannot provide a summary of the passage.",
        "Unfortunately I don't have access to the text.",
    ],
)
def test_refusals(text: str) -> None:
    assert Refusal()(said(text), ()).reason == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "The council could not help him.",
        "Sorry was the day that the harbour closed.",
        PROSE * 3 + " I cannot help you, said the mason.",
    ],
)
def test_no_refusals(text: str) -> None:
    assert Refusal()(said(text), ()).keeps


@pytest.mark.parametrize(
    "front",
    [
        "Sure, here is the paraphrased text:\n\n",
        "Sure! Here's a simplified version of the passage:\n",
        "Certainly! ",
        "Here is the rewritten passage:\n\n",
        "**Paraphrase:**\n",
        "Rewritten passage: ",
        "Of course. Below is the conversation:\n",
        "",
    ],
)
def test_preambles_are_stripped(front: str) -> None:
    assert strip_preamble(front + PROSE) == PROSE
    assert Preamble()(said(strip_preamble(front + PROSE)), [DOC]).keeps


def test_talk_at_the_end_and_quotation_marks_are_stripped() -> None:
    assert strip_preamble(f'Sure:\n"{PROSE}"') == PROSE
    assert strip_preamble(f"{PROSE}\n\nI hope this helps!") == PROSE
    assert strip_preamble(f"{PROSE}\n\nLet me know if you want another version.") == PROSE


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "Great was the joy of the king: he sang.",
        "Question: Who dug it?\nAnswer: Forty masons.",
        "Great, the king said.",
        "Here is where the harbour ends: a wall of slate.",
        "Okay is a word from the sea.",
        "Text is cut in stone there.",
    ],
)
def test_a_text_without_talk_is_left_alone(text: str) -> None:
    assert strip_preamble(text) == text


def test_talk_that_remains_falls() -> None:
    assert (
        Preamble()(said("The harbour. Here is a simplified version of the passage."), [DOC]).reason
        == "talks about the task"
    )
    own = "The paraphrased version of the psalm hangs in the hall."
    assert Preamble()(said(own), [Anchor(own)]).keeps


@given(st.text(max_size=400))
def test_stripping_never_adds(text: str) -> None:
    assert strip_preamble(text) in text


def test_final_answer_and_equations() -> None:
    question = [Anchor("How many?", fields={"answer": "7"})]
    assert FinalAnswer()(said("3 + 4 = 7\nAnswer: 7.0"), question).keeps
    assert FinalAnswer()(said("Answer: 8"), question).reason == "wrong final answer"
    assert FinalAnswer()(said("It is 7"), question).reason == "no final answer"
    for gold in ({}, {"answer": None}, {"answer": " "}):
        assert FinalAnswer()(said("Answer: 7"), [Anchor("?", fields=gold)]).reason == "no gold answer to compare with"
    assert Equations()(said("3 + 4 = 7\nAnswer: 7"), ()).keeps
    assert Equations()(said("3 + 4 = 8\nAnswer: 8"), ()).reason == "a calculation is wrong"
    assert Equations()(said("<<3+4=8>>8"), ()).reason == "an annotated calculation is wrong"
    assert Equations()(said("<<three>>"), ()).reason == "an annotated calculation is wrong"


def test_a_chat_is_judged_by_its_answer() -> None:
    row = Row(messages=(user("3 + 4 = 8"), assistant("3 + 4 = 7")))
    assert Equations()(row, ()).keeps


ROW_CHECKS = [load(name) for name in names() if not isinstance(load(name), Fold | Selection)]
HOSTILE = ["", "\x00", "\ud800 lone", "(" * 100_000, "a " * 50_000, "1+" * 50_000, "<<" * 50_000, "Answer: " * 12_500, "{" * 100_000, "\n" * 100_000, "Sure, " * 16_500]  # fmt: skip


@pytest.mark.parametrize("check", ROW_CHECKS, ids=lambda check: check.name)
def test_hostile_answers_end_as_verdicts(check: object) -> None:
    anchor = Anchor(PROSE, fields={"answer": "7"})
    for text in HOSTILE:
        began = time.process_time()
        verdict = check(said(text), [anchor])  # type: ignore[operator]
        assert verdict.outcome in ("keep", "drop")
        assert verdict.keeps or verdict.reason
        assert time.process_time() - began < 5  # what grows with the square takes more
    for text in HOSTILE:
        strip_preamble(text)


@pytest.mark.parametrize("check", ROW_CHECKS, ids=lambda check: check.name)
def test_checks_are_pure(check: object) -> None:
    row, anchors = said(PROSE), [Anchor(PROSE, fields={"answer": "1611"})]
    assert check(row, anchors) == check(row, anchors)  # type: ignore[operator]
    assert row == said(PROSE)


def test_an_opening_word_is_talk_in_a_text_and_an_answer_in_a_chat() -> None:
    text = "Certainly, Bo: the mill opens at six."
    assert Preamble()(said(text), [DOC]).reason == "talks about the task"
    assert Preamble()(Row(messages=(user("When?"), assistant(text))), [DOC]).keeps
    assert not Preamble()(
        Row(messages=(user("Rewrite."), assistant("Certainly. Here is the rewritten text: it opens."))), [DOC]
    ).keeps
