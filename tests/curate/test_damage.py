"""Damage, marks that were left, and personal data: what falls, and what looks alike and stays."""

from __future__ import annotations

import pytest

from synthgain.curate import load
from synthgain.types import Row, assistant, user


def falls(check: str, text: str) -> bool:
    return not load(check)(Row(messages=(user("Say it."), assistant(text))), ()).keeps  # type: ignore[operator, arg-type, union-attr]


@pytest.mark.parametrize(
    ("text", "damaged"),
    [
        ("It is 50Â°F outside.", True),
        ("She said â€œyesâ€\x9d.", True),
        ("The cafÃ© was full.", True),
        ("voilÃ\xa0 tout", True),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", True),
        ("one \ufffd two", True),
        ("a spaceship\x0b and more", True),
        ("It is 50°F outside, and the café — “yes” — is full: naïve façade, Ærø, ß.", False),
        ("CAFÉ\xa0! MANHÃ… ÀÉÎ »", False),
        ("Привет, мир. こんにちは。किसान हर सुबह।", False),
        ("tabs\tand\nlines\r\n and a page\x0c", False),
    ],
)
def test_encoding(text: str, damaged: bool) -> None:
    assert falls("encoding", text) is damaged


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("It is red.<|im_end|>", True),
        ("[INST] Name it [/INST] red", True),
        ("It is red.\n\n### Response:\nBlue.", True),
        ("A poem.\n11. Input:\n<noinput>\n11. Output:\nJoy", True),
        ("Assistant: It is red.", True),
        ("Name it.\nNo input.", True),
        ("There is no input to name.", False),
        ("It is red.</s>", True),
        ("red<｜end▁of▁sentence｜>", True),
        ("Output:\n[1, 2]", False),
        ("### Results\nall good", False),
        ("1. Input devices: a mouse\n2. Output devices: a screen", False),
        ("An array a[INST] and <s>struck out</s> text.", False),
        ("if (a <| b) |> c", False),
    ],
)
def test_template_marks(text: str, left: bool) -> None:
    assert falls("template-marks", text) is left


@pytest.mark.parametrize(
    ("text", "personal"),
    [
        ("Write to jane.carter@riverside-mill.org today.", True),
        ("Call (312) 867-2231 before noon.", True),
        ("Call +49 30 901820 before noon.", True),
        ("My number is 4539 1488 0343 6467.", True),
        ("SSN 123-45-6789", True),
        ("Write to john@example.com, info@company.com or example@gmail.com.", False),
        ("import x from 'popper.js@1.16.1/dist'", False),
        ("Call 123-456-7890 or 604-555-4895.", False),
        ("pi is 3.14159265358979 and the year is 2021-2022: 86 of 100", False),
        ("The addresses 192.168.100.123 and 255.255.255.0", False),
        ("The number is 4539 1488 0343 6468.", False),
        ("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", False),
    ],
)
def test_personal_data(text: str, personal: bool) -> None:
    assert falls("personal-data", text) is personal


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("The word comes from the name of the goddess of the", True),
        ("There are three kinds of wheels: large, small, round,", True),
        ("The word comes from the name of the goddess of dawn", False),
        ("Sentence one ends here. I have been looking for what the world is like", False),
        ("Dear Professor,", False),
        ("for x in range(10): print(x, end=','); y = [1, 2, 3,", False),
    ],
)
def test_an_answer_that_leads_on(text: str, cut: bool) -> None:
    assert falls("truncated:dangling=true", text) is cut
