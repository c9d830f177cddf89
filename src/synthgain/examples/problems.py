"""Arithmetic word problems: a seeded generator with gold answers and worked equations.

Level 1 has one step with small numbers, level 2 two steps, level 3 two or three steps with larger
numbers. Every problem belongs to the training or to the test split by a hash of its equations, with
the operands of `+` and `*` in order. So the two splits share no list of equations, hence no (family,
numbers) and no question text, whatever the seeds and however many are drawn; at level 1, where a
list is one equation, no training problem asks for a sum that a test problem asks for. Names, objects
and wordings are shared, and at level 1 the equations come again once a family's have been used up.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from synthgain.examples.families import FAMILIES, HOLDERS, NAMES, THINGS, Family
from synthgain.types import SynthgainError

Split = Literal["train", "test"]


def problems(
    n: int, *, level: int = 1, seed: int = 0, split: Split = "train", families: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """`n` different problems, as many of each family as of the next (give or take one).

    Each is {"id", "question", "answer" (a whole number as text), "worked" (ends with "Answer: N"),
    "equations" (["3*4=12"]), "level", "family"}. A smaller `n` gives the first of a larger one. The
    same arguments give the same problems on every machine; another `seed` draws others of the same
    split. `families` are names out of `FAMILIES` of that level (default: all of them).
    """
    chosen = _chosen(level, split, families)
    made: list[dict[str, Any]] = []
    questions: set[str] = set()
    used: dict[str, set[tuple[int, ...]]] = {family.name: set() for family in chosen}
    for place in range(n):
        rng = random.Random(f"synthgain problems {level} {split} {seed} {place}")
        family = chosen[place % len(chosen)]
        problem = _problem(family, split, rng, used[family.name], questions)
        made.append({"id": f"{split}-{level}-{seed}-{place:04d}", **problem})
    return made


def write(path: str | Path, n: int, *, level: int = 1, seed: int = 0, split: Split = "train") -> Path:
    """Write `problems(n, …)` as JSON Lines and return the path."""
    path = Path(path)
    rows = problems(n, level=level, seed=seed, split=split)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def split_of(equations: Sequence[str]) -> Split:
    """The split that a problem with these equations belongs to: three in ten are for testing."""
    ordered = [_ordered(equation) for equation in equations]
    return "test" if hashlib.sha256(";".join(ordered).encode()).digest()[0] % 10 < 3 else "train"


def _ordered(equation: str) -> str:
    """ "7+3=10" as "3+7=10": operands that can change places stand in order."""
    left, operator, right, result = re.fullmatch(r"(\d+)([-+*/])(\d+)=(\d+)", equation).groups()  # type: ignore[union-attr]
    if operator in "+*" and int(left) > int(right):
        left, right = right, left
    return f"{left}{operator}{right}={result}"


def _chosen(level: int, split: str, families: Sequence[str] | None) -> list[Family]:
    if split not in ("train", "test"):
        raise SynthgainError(f"there is no split {split!r}", next='use split="train" or split="test"')
    there = {family.name: family for family in FAMILIES if family.level == level}
    if not there:
        raise SynthgainError(f"there are no problems of level {level}", next="use level 1, 2 or 3")
    unknown = [name for name in families or () if name not in there]
    if unknown or (families is not None and not families):
        what = f"level {level} has no family {unknown[0]!r}" if unknown else "an empty list of families was given"
        raise SynthgainError(what, next=f"choose from: {', '.join(there)}")
    return list(there.values()) if families is None else [there[name] for name in families]


def _problem(
    family: Family, split: Split, rng: random.Random, used: set[tuple[int, ...]], questions: set[str]
) -> dict[str, Any]:
    """A problem of this split with a new question. Numbers come again only after 500 tries found no others."""
    for attempt in range(10_000):
        if attempt == 500:
            used.clear()
        numbers = family.draw(rng)
        solved = family.solve(numbers) or []
        equations = [f"{left}{operator}{right}={result}" for left, operator, right, result in solved]
        if numbers in used or split_of(equations) != split:
            continue
        question, worked = _story(family, numbers, solved, rng)
        if question in questions:
            continue
        used.add(numbers)
        questions.add(question)
        answer = str(solved[-1][3])
        return {
            "question": question,
            "answer": answer,
            "worked": f"{worked}\nAnswer: {answer}",
            "equations": equations,
            "level": family.level,
            "family": family.name,
        }
    raise SynthgainError(f"no further problem of the family {family.name!r} can be made", next="ask for fewer")


def _story(
    family: Family, numbers: Sequence[int], solved: Sequence[tuple[int, str, int, int]], rng: random.Random
) -> tuple[str, str]:
    """Question and worked solution in words."""
    (name, he), (other, _) = rng.sample(NAMES, 2)
    thing, things = rng.choice(THINGS)
    holder, holders = rng.choice(HOLDERS)
    words: dict[str, object] = {
        "N": name,
        "M": other,
        "he": he,
        "He": he.capitalize(),
        "him": {"she": "her", "he": "him"}[he],
        "thing": thing,
        "things": things,
        "holder": holder,
        "holders": holders,
        **dict(zip("abcdef", numbers)),
    }
    equations = [f"{left} {operator} {right} = {result}" for left, operator, right, result in solved]
    worked = " ".join(family.worked).format("", *equations, **words)
    return rng.choice(family.stories).format(**words), worked
