"""ROUGE-L novelty: against a slow reference, against every seed and everything kept, also inside one batch, however rows are cut into tables."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain import Scripted, generate
from synthgain.curate.novelty import Novelty
from synthgain.types import Anchor, Prompt, Recipe, Row, SynthgainError, user
from synthgain.words import words


@functools.cache
def read(text: str) -> list[str]:
    return list(words(text))


def rouge_l(a: str, b: str) -> float:
    """F of the longest common subsequence of words, by the textbook's table."""
    one, two = read(a), read(b)
    table = [[0] * (len(two) + 1) for _ in range(len(one) + 1)]
    for i, left in enumerate(one):
        for j, right in enumerate(two):
            table[i + 1][j + 1] = table[i][j] + 1 if left == right else max(table[i][j + 1], table[i + 1][j])
    return 2 * table[-1][-1] / (len(one) + len(two)) if one and two else 0.0


def kept(texts: Sequence[str], seeds: Sequence[str], threshold: float) -> list[bool]:
    """One after the other, each against all seeds and all kept before."""
    known, stays = list(seeds), []
    for text in texts:
        stays.append(all(rouge_l(text, other) <= threshold for other in known))
        if stays[-1]:
            known.append(text)
    return stays


def table(texts: Sequence[str], ids: Sequence[str] = (), human: Sequence[bool] = ()) -> pa.Table:
    fields = [
        {"instruction": text} | ({"human": True} if by_hand else {})
        for text, by_hand in zip(texts, human or [False] * len(texts))
    ]
    return pa.table(
        {
            "fields": [json.dumps(held) for held in fields],
            "prompt": ["" for _ in texts],
            "anchor_ids": pa.array([[id] for id in (ids or map(str, range(len(texts))))], pa.list_(pa.string())),
        }
    )


def stays(check: Novelty, texts: Sequence[str], seeds: Sequence[str] = (), cut: int = 1000) -> list[bool]:
    judge = check.begin_beside([Anchor(seed) for seed in seeds])
    whole = table(texts)
    return [v.keeps for start in range(0, len(texts), cut) for v in judge(whole.slice(start, cut))]


SOME = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=9).map(" ".join), max_size=14)


@given(SOME, SOME, st.sampled_from([0.3, 0.5, 0.7, 0.8, 1.0]), st.integers(1, 5))
def test_it_decides_as_the_slow_reference(texts: list[str], seeds: list[str], threshold: float, cut: int) -> None:
    assert stays(Novelty(threshold), texts, seeds, cut) == kept(texts, seeds, threshold)


def test_hundreds_of_instructions_over_several_blocks() -> None:
    dice = random.Random(7)
    texts = [" ".join(f"w{dice.randrange(12)}" for _ in range(dice.randint(3, 9))) for _ in range(300)]
    expected = kept(texts, texts[:5], 0.7)
    assert stays(Novelty(), texts, texts[:5]) == expected
    assert 50 < sum(expected) < 280


def test_exactly_the_threshold_stays() -> None:
    ten = "a b c d e f g h i j"
    seven = "a b c d e f g x y z"
    assert rouge_l(ten, seven) == 0.7
    assert stays(Novelty(), [seven], [ten]) == [True]
    judge = Novelty().begin_beside([Anchor(ten)])
    verdict = judge(table(["a b c d e f g h y z"]))[0]
    assert (verdict.keeps, verdict.score, verdict.reason) == (False, 0.8, "close to a known instruction")


def test_what_was_dropped_is_not_known() -> None:
    """The third is near the second, which fell, and not near the first."""
    first, second, third = "a b c d e f g h i j", "a b c d e f g h x y", "a b c d e f z z x y"
    assert rouge_l(first, second) > 0.7 and rouge_l(second, third) > 0.7 and rouge_l(first, third) <= 0.7
    assert stays(Novelty(), [first, second, third]) == [True, False, True]


def test_instances_of_one_task_stay_or_fall_together() -> None:
    texts = ["tell the sum of both", "tell the sum of both", "name a bird of prey", "tell the sum of both"]
    for cut in (1, 2, 4):
        judge = Novelty().begin()
        whole = table(texts, ids=["g", "g", "g", "h"])
        found = [v.keeps for start in range(0, 4, cut) for v in judge(whole.slice(start, cut))]
        assert found == [True, True, True, False]


def test_rows_by_hand_stay_and_are_known() -> None:
    judge = Novelty().begin()
    told = judge(table(["name a tree now", "name a tree now", "name a tree today now"], human=[True, True, False]))
    assert [v.keeps for v in told] == [True, True, False]


def test_texts_without_words_and_nonsense() -> None:
    assert stays(Novelty(), ["", "…", "", "?!"], [""]) == [True] * 4
    assert stays(Novelty(), ["\ud83d half", "x " * 50_000, "x " * 50_000]) == [True, True, False]
    judge = Novelty().begin()
    rows = {"fields": ["{}", None], "prompt": ["who is there", None], "anchor_ids": [["a"], None]}
    assert [v.keeps for v in judge(pa.table(rows))] == [True, True]


@pytest.mark.parametrize("threshold", [0.0, 1.1, -1.0])
def test_bad_settings(threshold: float) -> None:
    with pytest.raises(SynthgainError):
        Novelty(threshold)


async def _told(models, anchor):  # type: ignore[no-untyped-def]
    call = await models(Prompt((user(anchor.text),)))
    yield Row(text=call.text, calls=(call,), fields={"instruction": call.text})


def test_a_run_compares_with_all_its_anchors(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Also with those whose drafts come later, or are never begun."""
    anchors = [Anchor(f"seed number {word} of the list") for word in ("one", "two", "three")]
    recipe = Recipe("told", "1", _told, checks=(Novelty(),))
    run = generate(
        recipe, anchors, model=Scripted(lambda p: "seed number three of the list"), out=tmp_path / "run", limit=1
    )
    assert run.record["dropped_by"] == {"novelty": 1}
