from collections.abc import Callable

import numpy as np
import pytest

from synthgain.intervals import wilson
from synthgain.measure import copying
from synthgain.measure import words as tokeniser
from synthgain.measure.copying import Spans, copy_rate, copy_rate_any, unit_numbers
from synthgain.measure.copying import test_overlap as overlap
from synthgain.measure.data import Data
from synthgain.types import Reading


def words(rng: np.random.Generator, n: int) -> list[str]:
    return [f"w{i}" for i in rng.integers(0, 10_000, n)]


def grams(text: str) -> list[tuple[str, ...]]:
    found = text.lower().split()
    return [tuple(found[i : i + 8]) for i in range(len(found) - 7)]


def made(seed: int = 0) -> tuple[list[dict[str, object]], list[str], list[str]]:
    """Rows that copy pieces of their own anchors, of other anchors, of their prompts and of held-out text."""
    rng = np.random.default_rng(seed)
    anchors = [" ".join(words(rng, 50)) for _ in range(12)]
    target = [" ".join(words(rng, 50)) for _ in range(6)]
    rows: list[dict[str, object]] = []
    for i in range(60):
        mine = [str(a) for a in rng.choice(12, rng.integers(1, 3), replace=False)]
        prompt = " ".join(words(rng, 12)) if i % 4 == 0 else ""
        parts = words(rng, int(rng.integers(0, 20)))
        for source in (anchors[int(mine[0])], anchors[int(rng.integers(0, 12))], target[i % 6], prompt):
            if rng.random() < 0.4:
                piece = source.split()
                start = int(rng.integers(0, max(1, len(piece) - 11)))
                parts += piece[start : start + 11]
        rows.append({"text": "x", "answer": " ".join(parts).upper(), "prompt": prompt, "anchor_ids": mine})
    return rows, anchors, target


def share(rows: list[dict[str, object]], sources: Callable[[dict[str, object]], list[str]]) -> float:
    inside = total = 0
    for row in rows:
        known = {g for s in sources(row) for g in grams(s)}
        mine = grams(str(row["answer"]))
        inside += sum(g in known for g in mine)
        total += len(mine)
    return inside / total


@pytest.mark.parametrize("piece", [1_000, 1 << 20])
def test_the_three_shares_equal_a_slow_count(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokeniser, "PIECE", piece)
    rows, anchors, target = made()
    data = Data.of(rows, anchors, target=target)
    own = copy_rate(data)
    assert own.value == pytest.approx(
        share(rows, lambda r: [anchors[int(i)] for i in r["anchor_ids"]] + [str(r["prompt"])])
    )  # type: ignore[attr-defined]
    assert copy_rate_any(data).value == pytest.approx(share(rows, lambda r: anchors))
    assert overlap(data).value == pytest.approx(share(rows, lambda r: target))
    for reading in (own, copy_rate_any(data), overlap(data)):
        assert 0 < reading.low < reading.value < reading.high < 1  # type: ignore[operator]
        assert reading.unit == "prob" and reading.kind == "exact" and "all 60 rows" in reading.note


def test_the_prompt_is_the_unit() -> None:
    rng = np.random.default_rng(1)
    anchors = [" ".join(words(rng, 30)) for _ in range(10)]
    rows = [
        {"text": "", "answer": anchors[a] if a < 3 else " ".join(words(rng, 30)), "anchor_ids": [str(a)]}
        for a in range(10)
        for _ in range(50)
    ]
    found = copy_rate(Data.of(rows, anchors))
    assert found.value == pytest.approx(0.3) and found.n == 10
    assert found.low == pytest.approx(wilson(3, 10)[0], abs=0.08) and found.high - found.low > 0.4  # type: ignore[operator]


def test_nothing_copied_is_zero_with_an_honest_upper_end() -> None:
    rng = np.random.default_rng(2)
    rows = [{"text": "", "answer": " ".join(words(rng, 20)), "anchor_ids": [str(i)]} for i in range(5)]
    found = copy_rate(Data.of(rows, [" ".join(words(rng, 20)) for _ in range(5)]))
    assert found.value == 0 and found.high == pytest.approx(wilson(0, 5)[1])


def test_a_sample_of_rows_says_so_and_comes_near() -> None:
    rows, anchors, _ = made(3)
    many = [dict(row) for row in rows for _ in range(10)]
    data = Data.of(many, anchors)
    found, all_of_them = copy_rate(data, rows=200), copy_rate(data)
    assert "200 of 600 rows" in found.note and found.value == pytest.approx(all_of_them.value, abs=0.1)


def test_rows_whose_source_is_not_known_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(4)
    anchor = " ".join(words(rng, 20))
    rows = [
        {"text": "", "answer": anchor, "anchor_ids": ["0"]},
        {"text": "", "answer": anchor, "anchor_ids": ["gone"]},
        {"text": "", "answer": " ".join(words(rng, 20)), "prompt": "p"},
    ]
    found = copy_rate(Data.of(rows, [anchor]))
    assert found.value == pytest.approx(0.5) and "1 rows whose anchors are not known" in found.note
    prompts_only = copy_rate(Data.of([{"text": "", "answer": anchor, "prompt": f"Repeat: {anchor}"}], []))
    assert prompts_only.value == 1 and "against the prompts only" in prompts_only.note


def null(reading: Reading) -> str:
    assert (reading.value, reading.low, reading.high) == (None, None, None) and reading.note
    return reading.note


def test_what_cannot_be_measured_says_why() -> None:
    text = "a b c d e f g h i"
    assert all("no rows" in null(f(Data.of([], [text], target=[text]))) for f in (copy_rate, copy_rate_any, overlap))
    assert all(
        "8 words" in null(f(Data.of(["short"], [text], target=[f"{text} j"])))
        for f in (copy_rate, copy_rate_any, overlap)
    )
    assert "do not name their anchors" in null(copy_rate(Data.of([text], [text])))
    assert "no row's own anchors" in null(copy_rate(Data.of([{"text": text, "anchor_ids": ["9"]}], [text])))
    assert "no anchors" in null(copy_rate_any(Data.of([text], [])))
    assert "no held-out text was given" in null(overlap(Data.of([text], [text])))
    assert "no held-out text has 8 words" in null(overlap(Data.of([text], [text], target=["a b"])))


def test_odd_rows() -> None:
    one = Data.of(["a b c d e f g h i"], ["a b c d e f g h"], target=["b c d e f g h i"])
    assert copy_rate_any(one).value == overlap(one).value == 0.5 and overlap(one).low is None
    long = " ".join(f"n{i}" for i in range(400_000))
    far = Data.of([long, "日本語" * 10], [long[-200:]], target=["日本語" * 5])
    assert 0 < copy_rate_any(far).value < 1e-3  # type: ignore[operator]
    assert overlap(far).value == pytest.approx(
        19 / (19 + 400_000 - 7),
        rel=1e-4,  # of 30 characters, twelve of which count as eight words
    )  # a few spans are lost where the pieces meet


def test_too_much_held_out_text_is_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "TARGET_SPANS", 1_000)
    rng = np.random.default_rng(5)
    target = [" ".join(words(rng, 30)) for _ in range(6_000)]
    found = overlap(Data.of([target[0]], [], target=target))
    assert found.value == 1 and "the first" in found.note


def test_units_are_anchors_then_prompts_then_rows() -> None:
    rows = [{"text": "a", "anchor_ids": ["0"], "prompt": "p"}, {"text": "b", "anchor_ids": ["0"]}]
    rows += [{"text": "c", "prompt": "p"}, {"text": "d", "prompt": "p"}, {"text": "e"}, {"text": "e"}]
    a, b, c, d, e, f = unit_numbers(next(Data.of(rows).rows(("anchor_ids", "prompt")))).tolist()
    assert a == b and c == d and len({a, c, e, f}) == 4


def test_looking_up_many_hashes() -> None:
    rng = np.random.default_rng(6)
    known, asked = rng.integers(0, 2**64, 1_000, np.uint64), rng.integers(0, 2**64, 1_000, np.uint64)
    asked[::3] = known[rng.integers(0, 1_000, 334)]
    spans = Spans.of(known)
    which, place = spans.find(asked)
    assert which.tolist() == np.flatnonzero(np.isin(asked, known)).tolist()
    assert (spans.known[place] == asked[which]).all()
    assert len(Spans.of(known[:0]).find(asked)[0]) == 0
