"""Programs of an answer against their task's tests, made by hand and on real data."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from synthgain.curate import load
from synthgain.curate.unit_tests import UnitTests, task_of
from synthgain.sandbox import shared
from synthgain.types import Anchor, Row, SynthgainError, Verdict

CHECK = UnitTests()
MBPP = {"test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"], "test_setup_code": ""}
HUMAN_EVAL = {
    "prompt": "from typing import List\n\ndef half(x: int) -> int:\n    return x // 2\n\ndef top(xs: List[int]) -> int:\n    '''The largest.'''\n",
    "entry_point": "top",
    "test": "def check(candidate):\n    assert candidate([1, 3]) == 3\n    assert candidate([half(8)]) == 4\n",
}


@pytest.fixture(autouse=True, scope="module")
def there() -> Iterator[None]:
    try:
        CHECK.ready()
    except SynthgainError as error:
        pytest.skip(error.what)
    yield
    shared().close()


def judged(answer: str, fields: dict[str, Any], check: UnitTests = CHECK) -> Verdict:
    return check(Row(text=answer), [Anchor("task", "", fields)])


@pytest.mark.parametrize(
    "answer, fields",
    [
        ("def add(a, b): return a + b", MBPP),
        ("So:\n```python\ndef add(a, b):\n    return a + b\n```", MBPP),
        ("def add(a, b): return a + b", {"tests": json.dumps(MBPP["test_list"])}),
        ("def add(a, b): return a + b", {"tests": "assert add(1, 2) == 3"}),
        ("def add(a, b): return a + b", {"tests": "def test_it():\n    assert add(1, 2) == 3"}),
        ("    return max(xs)\n", HUMAN_EVAL),
        ("```python\n    return max(xs)\n```", HUMAN_EVAL),
        ("def top(xs: List[int]) -> int:\n    return max(xs)", HUMAN_EVAL),
        (str(HUMAN_EVAL["prompt"]) + "    return half(2 * max(xs))", HUMAN_EVAL),
    ],
)
def test_a_right_program_stays(answer: str, fields: dict[str, Any]) -> None:
    verdict = judged(answer, fields)
    assert verdict.keeps and verdict.score == 1.0


@pytest.mark.parametrize(
    "answer, reason, score",
    [
        ("def add(a, b): return 3", "wrong", 0.5),
        ("def add(a, b): return a +", "error", 0.0),
        ("def plus(a, b): return a + b", "error", 0.0),
        ("def add(a, b):\n    while True: pass", "time", 0.0),
        ("def add(a, b): return [0] * 10 ** 10", "memory", 0.0),
        ("import socket\ndef add(a, b): return socket.socket()", "refused", 0.0),
        ("def add(a, b):\n    while True: print('x' * 999)", "output", 0.0),
        ("It is simple: use plus.", "no code", None),
        ("", "no text", None),
    ],
)
def test_a_wrong_program_falls_for_its_reason(answer: str, reason: str, score: float | None) -> None:
    verdict = judged(answer, MBPP, UnitTests(seconds=1))
    assert (verdict.reason, verdict.score) == (reason, score)


def test_tasks_without_tests_or_with_unusable_ones_are_told_apart() -> None:
    assert judged("def add(a, b): return 1", {}).reason == "no tests"
    assert judged("def add(a, b): return 1", {"tests": []}).reason == "no tests"
    assert judged("def add(a, b): return 1", {"tests": "assert (("}).reason == "tests that cannot be run"


def test_settings() -> None:
    assert load("unit-tests=2:memory=64") == UnitTests(seconds=2, memory=64)
    with pytest.raises(SynthgainError, match="above 0"):
        load("unit-tests=0")


# ---------------------------------------------------------------------------------------------- real data


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf8") as file:
        return [json.loads(line) for line in file]


def reasons(given: list[tuple[str, dict[str, Any]]]) -> Counter[str]:
    with ThreadPoolExecutor(2) as threads:
        return Counter(threads.map(lambda pair: judged(*pair).reason, given))


@pytest.mark.slow
def test_reference_solutions_pass(real_data: Path) -> None:
    mbpp = rows(real_data / "code" / "mbpp_prompt_val_train.jsonl.gz")
    human_eval = rows(real_data / "code" / "humaneval.jsonl.gz")
    given = [(row["code"], row) for row in mbpp] + [(row["canonical_solution"], row) for row in human_eval]
    assert reasons(given) == {"": 632}


def test_some_reference_solutions_pass_and_anothers_do_not(real_data: Path) -> None:
    mbpp = rows(real_data / "code" / "mbpp_prompt_val_train.jsonl.gz")[::40]
    human_eval = rows(real_data / "code" / "humaneval.jsonl.gz")[::20]
    assert all(task_of(Anchor("", "", row)) for row in mbpp + human_eval)
    given = [(row["code"], row) for row in mbpp] + [(row["canonical_solution"], row) for row in human_eval]
    assert reasons(given) == {"": len(given)}
    shifted = [(body, row) for (body, _), (_, row) in zip(given, given[1:] + given[:1], strict=True)]
    assert reasons(shifted)[""] == 0
