"""Equations in texts, against Python's own arithmetic and hand-built cases."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain.curate.arithmetic import equations, holds, plain, value

numbers = st.integers(0, 99).map(str)
expressions = st.recursive(
    numbers,
    lambda inner: st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from(["+", "-", "*"]), inner),
    max_leaves=8,
)


@given(expressions)
def test_agrees_with_python(expression: str) -> None:
    assert value(expression) == eval(expression)  # the expression is made of digits, signs and parentheses above


@pytest.mark.parametrize(
    ("expression", "result"),
    [("2+3*4", 14), ("-2**2", -4), ("2**-1", 0.5), ("10/4", 2.5), ("7//2", 3), ("7%4", 3), (".5*4", 2), ("--3", 3)],
)
def test_precedence_is_python_s(expression: str, result: float) -> None:
    assert value(expression) == result


@pytest.mark.parametrize(
    "expression", ["", "2+", "(2", "a", "__import__('os')", "1e999", "9**9**9**9", "2 3", "(" * 150, "(-8)**.5"]
)
def test_what_is_no_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        value(expression)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("so 3*4=<<3*4=12>>12 and <<12 + 1 = 13>>13", ["3*4=12", "12+1=13"]),
        ("3 + 4 = 7\n7 x 2 = 14", ["3+4=7", "7*2=14"]),
        ("$5 × 6 = $30", ["5*6=30"]),
        ("1,200 + 300 = 1,500", ["1200+300=1500"]),
        ("1+2 = 3 = 3", ["1+2=3", "3=3"]),
        ("x + 3 = 7, 2x = 8, 7 apples, 5 = 5", []),
        ("2 + 1 1/2 = 3 1/2", []),
        ("= 7\n- 3 = 4", []),
        ("no numbers", []),
        ("13 / 4 = 3 and 1/4 loads", []),  # goes on behind
        ("13 / 4 = 3 with a remainder of 1", []),
        ("31 / 3 = 10.33..., so 10", []),
        ("60 pears - 3 - 5 = 52 pears", []),  # goes on before
        ("6 x 1 and 1/4 = 7.5", []),
        ("a fifth of 10 + 15 = 5, 20% of 5 * 10 = 10", []),
        ("a total of 8 * 2 = 16 pounds", ["8*2=16"]),
        ("Week 1 + Week 2 = 30 + 35 = 65", []),  # a name
        ("So 7 = 3 + 4", ["7=3+4"]),
        ("60 / 3/4 = 80", ["60/(3/4)=80"]),  # by a fraction, where that is what holds
        ("60 / 3 / 4 = 5", ["60/3/4=5"]),
        ("$2.50 - $2.24 = 26 cents", ["2.50-2.24=(26/100)"]),
        ("100% - 80% = 20 %", ["(100/100)-(80/100)=(20/100)"]),
        ("9 – 4 = 5", ["9-4=5"]),
    ],
)
def test_equations_of_a_text(text: str, path: list[str]) -> None:
    assert equations(text) == path


def test_what_holds() -> None:
    assert all(
        holds(e) for text in ("60 / 3/4 = 80", "$1.50 - $1 = 50 cents", "100% - 80% = 20 %") for e in equations(text)
    )
    assert not any(
        holds(e) for text in ("60 / 3/4 = 70", "$1.50 - $1 = 40 cents", "9 – 4 = 6") for e in equations(text)
    )
    assert holds("3*4=12") and holds("10/4=2.5") and holds("20%*50=10") and holds("75/100*100=75%")
    assert not holds("3*4=13") and not holds("10/3=3.33") and not holds("3*4") and not holds("=") and not holds("1/0=1")


@pytest.mark.parametrize("piece", ["1+", "(", "1 = ", "<<", "9", "$", "1,000,", "1 1/2 ", "1+1=\n", "1+" * 499 + "=\n"])
def test_a_megabyte_takes_no_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.perf_counter()
    plain(text)
    equations(text)
    assert time.perf_counter() - began < 20
