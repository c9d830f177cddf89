import ast
import json
import operator
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest

from synthgain.examples import FAMILIES, SHOTS, problems, write
from synthgain.types import SynthgainError

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
LEVELS = (1, 2, 3)


def value(expression: str) -> Fraction:
    """The value of an arithmetical expression, by its syntax tree: nothing but + - * / and whole numbers."""

    def walk(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](walk(node.left), walk(node.right))
        assert isinstance(node, ast.Constant) and type(node.value) is int
        return Fraction(node.value)

    return walk(ast.parse(expression, mode="eval").body)


def holds(equation: str) -> bool:
    left, right = equation.split("=")
    return value(left.strip()) == value(right.strip())


def numbers(question: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", question)))


@pytest.fixture(scope="module", params=LEVELS)
def splits(request):
    """Both splits of a level, several hundred each, drawn with two seeds."""
    level = request.param
    return {
        split: problems(500, level=level, split=split) + problems(300, level=level, split=split, seed=7)
        for split in ("train", "test")
    }


def test_every_equation_holds_and_the_last_gives_the_answer(splits):
    for problem in splits["train"] + splits["test"]:
        assert all(holds(equation) for equation in problem["equations"]), problem
        assert value(problem["equations"][-1].split("=")[1]) == int(problem["answer"])


def test_worked_text_shows_the_equations_in_order_and_ends_with_the_answer(splits):
    for problem in splits["train"] + splits["test"]:
        shown = re.findall(r"\d+ [-+*/] \d+ = \d+", problem["worked"])
        assert [equation.replace(" ", "") for equation in shown] == problem["equations"]
        assert problem["worked"].splitlines()[-1] == f"Answer: {problem['answer']}"


def test_equations_use_the_numbers_of_the_question_and_earlier_results_only(splits):
    for problem in splits["train"] + splits["test"]:
        known = set(numbers(problem["question"]))
        used = set()
        for equation in problem["equations"]:
            left, right = equation.split("=")
            operands = set(map(int, re.findall(r"\d+", left)))
            assert operands <= known, problem
            used |= operands
            known.add(int(right))
        assert set(numbers(problem["question"])) <= used, problem  # no number is idle


def test_splits_share_no_question_no_family_with_numbers_and_no_list_of_equations(splits):
    train, test = splits["train"], splits["test"]
    assert not {p["question"] for p in train} & {p["question"] for p in test}

    def instances(rows):
        return {(p["family"], tuple(sorted(numbers(p["question"])))) for p in rows if len(p["equations"]) == 1}

    def exact(rows):
        return {(p["family"], numbers(p["question"])) for p in rows}

    def equations(rows):
        return {tuple(p["equations"]) for p in rows}

    assert not exact(train) & exact(test)
    assert not instances(train) & instances(test)  # one step: not even with the operands exchanged
    assert not equations(train) & equations(test)


def test_level_one_asks_for_no_sum_in_both_splits_in_any_family():
    def canonical(split):
        rows = problems(700, split=split) + problems(200, split=split, seed=3)
        found = set()
        for row in rows:
            left, sign, right, _ = re.fullmatch(r"(\d+)(\D)(\d+)=(\d+)", row["equations"][0]).groups()
            pair = (int(left), int(right))
            found.add((sign, tuple(sorted(pair)) if sign in "+*" else pair))
        return found

    train, test = canonical("train"), canonical("test")
    assert not train & test
    assert len(test) > 60 and len(train) > 120


@pytest.mark.parametrize("level", LEVELS)
def test_questions_are_different_and_families_balanced(level):
    rows = problems(301, level=level)
    assert len({row["question"] for row in rows}) == len({row["id"] for row in rows}) == 301
    counts = Counter(row["family"] for row in rows)
    assert set(counts) == {family.name for family in FAMILIES if family.level == level}
    assert max(counts.values()) - min(counts.values()) <= 1
    assert {len(row["equations"]) for row in rows} <= {1: {1}, 2: {2}, 3: {2, 3}}[level]


def test_numbers_come_again_only_when_a_family_has_no_others():
    rows = problems(30, families=["giving"])
    assert len({row["equations"][0] for row in rows}) == 30


def test_level_one_has_small_numbers():
    for row in problems(400) + problems(400, split="test"):
        most = 48 if row["family"] == "sharing" else 12
        assert all(2 <= number <= most for number in numbers(row["question"])), row


def test_a_smaller_draw_is_the_beginning_of_a_larger_one_and_seeds_differ():
    assert problems(40, level=2) == problems(90, level=2)[:40]
    assert problems(40, level=2) != problems(40, level=2, seed=1)


def test_another_process_draws_the_same():
    code = "import json; from synthgain.examples import problems; print(json.dumps(problems(25, level=3, seed=5)))"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(there.stdout) == problems(25, level=3, seed=5)


def test_the_draw_is_pinned():
    """The shipped problems are data: whoever changes them changes figures that were published."""
    first = problems(1, level=1, split="test")[0]
    assert (first["id"], first["question"], first["answer"]) == (
        "test-1-0-0000",
        "Zara puts 7 candles on a table. Sam adds 7 more. How many candles are on the table?",
        "14",
    )


def test_wording_is_clean(splits):
    for problem in splits["train"] + splits["test"]:
        question = problem["question"]
        assert "{" not in question + problem["worked"] and "  " not in question
        assert question.endswith("?") and question[0].isupper()
        assert not re.search(r"\b[01] [a-z]", question + problem["worked"]), problem  # plural nouns need two or more


def test_shots_hold_and_are_in_no_split(splits):
    asked = {problem["question"] for problem in splits["train"] + splits["test"]}
    solved = {tuple(problem["equations"]) for problem in splits["train"] + splits["test"]}
    for shot in SHOTS:
        (equation,) = re.findall(r"\d+ [-+*/] \d+ = \d+", shot["worked"])
        assert holds(equation)
        assert shot["worked"].endswith(f"\nAnswer: {equation.split()[-1]}")
        assert shot["question"] not in asked
        assert (equation.replace(" ", ""),) not in solved
        small = {n for family in FAMILIES if family.level == 1 for _, n in family.numbers}
        assert max(numbers(shot["question"])) > min(small)  # out of reach of the one-step families


def test_write_gives_the_problems_back(tmp_path):
    path = write(tmp_path / "train.jsonl", 12, level=2, seed=4, split="train")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == problems(12, level=2, seed=4)


@pytest.mark.parametrize("arguments", [{"level": 4}, {"split": "dev"}, {"families": ["harvest"]}, {"families": []}])
def test_unknown_requests_say_what_there_is(arguments):
    with pytest.raises(SynthgainError) as caught:
        problems(3, **arguments)
    assert caught.value.next


def test_too_many_is_an_error_and_not_a_repetition(monkeypatch):
    tiny = FAMILIES[1].__class__("tiny", 1, ((3, 3), (2, 9)), ("a*b",), ("What is {a} times {b}?",), ("It is {1}.",))
    monkeypatch.setattr(sys.modules["synthgain.examples.problems"], "FAMILIES", (tiny,))
    with pytest.raises(SynthgainError, match="tiny"):
        problems(9)
