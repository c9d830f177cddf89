"""Folds against slow references: exact Jaccard indices, a textbook edit distance, a dictionary; and however the rows are cut into shards."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgain.curate import load, names
from synthgain.curate.against import Against
from synthgain.curate.aligned import Aligned
from synthgain.curate.banding import MATES, Kept
from synthgain.curate.distinct_equations import OTHERS, DistinctEquations
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.hashed import Seen
from synthgain.curate.near_duplicate import NearDuplicate
from synthgain.types import Fold, Selection, SynthgainError, Verdict
from synthgain.words import HASHES, SHINGLE, ngrams, words


def texts(*rows: str) -> pa.Table:
    return pa.table({"id": [str(i) for i in range(len(rows))], "text": list(rows)})


def judged(fold: Fold, *shards: pa.Table) -> list[Verdict]:
    """What one judge says of the shards, one after the other."""
    judge = fold.begin()
    return [verdict for shard in shards for verdict in judge(shard)]


def cut(table: pa.Table, at: list[int]) -> list[pa.Table]:
    ends = [0, *sorted(at), len(table)]
    return [table.slice(a, b - a) for a, b in pairwise(ends)]


def stays(verdicts: list[Verdict]) -> list[bool]:
    return [v.keeps for v in verdicts]


def test_folds_are_told_apart_from_row_checks_and_selections() -> None:
    class Best:
        name, columns, selects = "best", ("logprob",), True

        def __call__(self, table: pa.Table) -> list[Verdict]:
            return []

    folds = {name for name in names() if isinstance(load(name), Fold)}
    assert folds >= {"exact-duplicate", "near-duplicate", "distinct-equations", "against", "novelty", "near-field"}
    chosen = {name for name in names() if isinstance(load(name), Selection)}
    assert "uniform-style" in chosen and not chosen & folds
    assert isinstance(Best(), Selection) and not isinstance(Best(), Fold)


@pytest.mark.parametrize("name", ["exact-duplicate", "near-duplicate", "distinct-equations"])
def test_each_run_has_a_memory_of_its_own_and_a_shard_may_be_empty(name: str) -> None:
    fold = load(name)
    table = pa.table({"text": ["1 + 1 = 2"], "answer": ["1 + 1 = 2"], "anchor_ids": [["q"]], "fields": ["{}"]})
    assert stays(judged(fold, table, table.slice(0, 0), table)) == [True, False]
    assert stays(judged(fold, table)) == [True]


def test_exact_duplicates_keep_the_first() -> None:
    table = texts("a b", "c", "a  b\n", "A b", "c", "")
    assert stays(judged(ExactDuplicate(), table)) == [True, True, False, True, False, True]


@given(st.lists(st.text(alphabet="ab \n", max_size=4), max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_exact_duplicates_against_a_dictionary(rows: list[str], at: list[int]) -> None:
    seen: set[str] = set()
    expected = []
    for row in rows:
        key = " ".join(row.split())
        expected.append(key not in seen)
        seen.add(key)
    shards = cut(texts(*rows), [min(i, len(rows)) for i in at])
    assert stays(judged(ExactDuplicate(), *shards)) == expected


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 3_000), min_size=1, max_size=6))
def test_digests_are_remembered_as_a_set_remembers_them(seed: int, sizes: list[int]) -> None:
    draw, seen, known = random.Random(seed), Seen(), set[bytes]()
    for size in sizes:  # 4,000 different digests, so that the table grows and many come again
        digests = [draw.randrange(4_000).to_bytes(2, "big") * 8 for _ in range(size)]
        expected = [not (digest in known or known.add(digest)) for digest in digests]  # type: ignore[func-returns-value]
        assert seen.first(digests).tolist() == expected


def shingles(text: str) -> set[str]:
    return set(ngrams(words(text), SHINGLE))


def jaccard(left: set[str], right: set[str]) -> float:
    return len(left & right) / len(left | right) if left | right else 0.0


def changed(rng: random.Random, text: list[str], share: float) -> str:
    return " ".join(rng.choice(["zig", "zag", "zog"]) + str(rng.random()) if rng.random() < share else w for w in text)


def test_near_duplicates_against_exact_jaccard() -> None:
    rng = random.Random(1)
    rows: list[str] = []
    for _ in range(60):
        base = [f"w{rng.randrange(400)}" for _ in range(120)]
        rows += [" ".join(base), *(changed(rng, base, share) for share in (0.0, 0.02, 0.05, 0.1, 0.3))]
    verdicts = judged(NearDuplicate(threshold=0.7), *cut(texts(*rows), [100, 101, 250]))
    kept: list[set[str]] = []
    missed = wrong = 0
    for row, verdict in zip(map(shingles, rows), verdicts):
        best = max((jaccard(row, other) for other in kept), default=0.0)
        missed += best > 0.8 and verdict.keeps
        wrong += best < 0.6 and not verdict.keeps
        if verdict.score is not None:
            assert verdict.score == pytest.approx(best, abs=0.2)
        if verdict.keeps:
            kept.append(row)
    assert (missed, wrong) == (0, 0)


def test_the_first_in_order_stays_and_the_rest_of_a_cluster_falls() -> None:
    table = texts(*["one two three four five six seven"] * 50, "quite another text about the sea and ships")
    assert stays(judged(NearDuplicate(), *cut(table, [20]))) == [True] + [False] * 49 + [True]


def test_texts_without_words_and_empty_tables() -> None:
    assert stays(judged(NearDuplicate(), texts("", "...", "", "!"), texts("", "?"))) == [True] * 6
    assert judged(NearDuplicate(), pa.table({"text": pa.array([], pa.string())})) == []


def test_the_answers_alone_can_be_compared() -> None:
    check = NearDuplicate(column="answer")
    assert check.columns == ("answer",)
    table = pa.table({"id": ["1", "2"], "answer": ["a b c d e f", "a b c d e f"]})
    assert stays(judged(check, table)) == [True, False]


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(0, 2**31), st.lists(st.integers(0, 40), max_size=3))
def test_banding_finds_what_comparing_all_pairs_finds(n: int, seed: int, at: list[int]) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2**32, size=(4, HASHES), dtype=np.uint32)
    signatures = base[rng.integers(0, 4, n)].copy()
    noise = rng.random((n, HASHES)) < rng.choice([0.0, 0.05, 0.6], size=(n, 1))
    signatures[noise] = rng.integers(0, 2**32, size=int(noise.sum()), dtype=np.uint32)
    memory, found = Kept(0.8), []
    for part in np.split(signatures, sorted(min(i, n) for i in at)):
        found += memory.take(part, np.ones(len(part), bool))
    kept: list[int] = []
    for i in range(n):
        best = max((float((signatures[i] == signatures[j]).mean()) for j in kept), default=0.0)
        assert (found[i] is not None) == (best >= 0.8)
        if best < 0.8:
            kept.append(i)


def alike(rng: random.Random, n: int) -> list[str]:
    """Rows that repeat each other, rows of one template (more of them than a row is compared with), short ones, empty ones."""
    rows: list[str] = []
    for _ in range(n):
        kind = rng.random()
        if kind < 0.2 and rows:
            rows.append(rng.choice(rows[-50:]))
        elif kind < 0.6:
            said = ["this", "is", "the", "template", "of", "nearly", "all", "rows", "and", "it", "has", "words"]
            rows.append(" ".join([*said, *(f"x{rng.randrange(9)}" for _ in range(8))]))
        else:
            rows.append(" ".join(f"w{rng.randrange(40)}" for _ in range(rng.randrange(9))))
    return rows


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9])
def test_near_duplicates_do_not_depend_on_the_cut_into_shards(threshold: float) -> None:
    rng = random.Random(int(threshold * 10))
    table = texts(*alike(rng, 800))
    fold = NearDuplicate(threshold=threshold, n=2)
    whole = judged(fold, table)
    assert 2 * MATES < sum(v.keeps for v in whole) < len(table)
    for pieces in (1, 30):
        assert judged(fold, *cut(table, [rng.randrange(800) for _ in range(pieces)])) == whole
    assert judged(fold, *cut(table, list(range(200, 500)))) == whole  # one row at a time, for a while


def seconds(fold: Fold, shards: list[pa.Table]) -> float:
    judge, began = fold.begin(), time.process_time()
    for shard in shards:
        judge(shard)
    return time.process_time() - began


@pytest.mark.parametrize("name", ["exact-duplicate", "near-duplicate", "distinct-equations"])
def test_four_times_the_rows_take_about_four_times_as_long(name: str) -> None:
    draw = random.Random(0)

    def shard(i: int) -> pa.Table:
        said = [
            f"Of {draw.randrange(99)} + 2 = 5 apples she ate {draw.randrange(999)} {draw.random()}" for _ in range(64)
        ]
        asked = [[f"q{i}-{j // 8}"] for j in range(64)]
        return pa.table({"text": said, "answer": said, "anchor_ids": asked, "fields": ["{}"] * 64})

    shards = [shard(i) for i in range(120)]
    fold = load(name)
    assert isinstance(fold, Fold)
    short = min(seconds(fold, shards[:30]) for _ in range(2))
    assert seconds(fold, shards) < 8 * short  # quadratic would be sixteen


def textbook(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def gathered(solutions: list[str]) -> list[str]:
    """RFT's rule written out plainly: the reference."""
    kept: dict[str, str] = {}
    for text in solutions:
        path = "|".join(part.replace(" ", "") for part in text.split(";") if "=" in part)
        if path not in kept:
            kept[path] = text
            continue
        now = kept[path]
        others = [k for k in kept.values() if k != now]
        if sum(textbook(text, o) for o in others) > sum(textbook(now, o) for o in others):
            kept[path] = text
    return list(kept.values())


@given(
    st.lists(
        st.builds(
            lambda a, b, w: f"1 + {a} = {1 + a};2 + {b} = {2 + b};{w}",
            st.integers(1, 2),
            st.integers(1, 2),
            st.text("xyz", max_size=6),
        ),
        max_size=12,
    )
)
def test_distinct_equations_follow_the_source(solutions: list[str]) -> None:
    table = answered(*(("q", text, {}) for text in solutions))
    kept = [text for text, verdict in zip(solutions, judged(DistinctEquations(), table)) if verdict.keeps]
    assert sorted(kept) == sorted(gathered(solutions))


def answered(*rows: tuple[str, str, dict[str, object]]) -> pa.Table:
    return pa.table(
        {
            "id": [str(i) for i in range(len(rows))],
            "answer": [r[1] for r in rows],
            "anchor_ids": [[r[0]] for r in rows],
            "fields": [json.dumps(r[2]) for r in rows],
        }
    )


def test_questions_are_kept_apart_and_gold_solutions_stay() -> None:
    table = answered(
        ("q1", "3 + 4 = 7", {"human": True}),
        ("q1", "First 3 + 4 = 7", {}),
        ("q2", "3 + 4 = 7", {}),
        ("q1", "Then 3 + 4 = 7 it is", {}),
        ("q1", "4 + 3 = 7", {}),
        ("q2", "nothing", {}),
        ("q2", "nothing else", {}),
    )
    verdicts = judged(DistinctEquations(), table)
    assert stays(verdicts) == [True, True, True, False, True, False, True]
    assert {v.reason for v in verdicts if not v.keeps} == {"same equations as another solution"}


def test_in_a_later_shard_new_equations_stay_and_known_ones_fall() -> None:
    first = answered(("q1", "3 + 4 = 7", {}), ("q2", "3 + 4 = 7", {}))
    later = answered(
        ("q1", "A long way from all others: 3 + 4 = 7 and nothing else", {}),
        ("q1", "4 + 3 = 7", {}),
        ("q1", "2 + 5 = 7", {}),
        ("q1", "Far, far away: 4 + 3 = 7", {}),
        ("q3", "3 + 4 = 7", {}),
        ("q2", "3 + 4 = 7", {"human": True}),
    )
    verdicts = judged(DistinctEquations(), first, later)
    assert stays(verdicts) == [True, True, False, False, True, True, True, True]


def test_shards_that_hold_whole_questions_do_not_matter() -> None:
    rows = [(f"q{i // 20}", f"{i % 3} + 1 = {i % 3 + 1} {'ab' * (i % 5)}", {}) for i in range(200)]
    whole = answered(*rows)
    assert judged(DistinctEquations(), whole) == judged(DistinctEquations(), *cut(whole, [20, 100, 180]))


def test_a_question_with_thousands_of_solutions_ends() -> None:
    """Each path twice: every second solution is compared with others, of which there are ever more."""
    rows = [("q", f"{i // 2} + 1 = {i // 2 + 1}, says number {i} {'z' * (i % 7)}", {}) for i in range(6_000)]
    began = time.process_time()
    verdicts = judged(DistinctEquations(), answered(*rows))
    assert sum(v.keeps for v in verdicts) == 3_000 > OTHERS
    assert time.process_time() - began < 30  # comparing all with all: 18 million distances


def data(name: str) -> Path:
    root = Path(os.environ.get("SYNTHGAIN_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    if not (root / name).is_file():
        pytest.skip(f"the data set {name} is not here (set SYNTHGAIN_DATA)")
    return root / name


def test_planted_near_duplicates() -> None:
    with gzip.open(data("dedup/planted_near_duplicates.jsonl.gz"), "rt", encoding="utf8") as lines:
        rows = [json.loads(line) for line in lines]
    verdicts = judged(NearDuplicate(threshold=0.7), texts(*(r["text"] for r in rows)))
    seen: set[object] = set()
    found: dict[str, list[bool]] = {}
    right = fell = 0
    for row, verdict in zip(rows, verdicts):
        clusters = {row["cluster"], row["cluster2"]} - {None}
        again = bool(clusters & seen)
        seen |= clusters
        fell += not verdict.keeps
        right += again and not verdict.keeps
        if again:
            found.setdefault(f"{row['kind']} {row['rate']}", []).append(not verdict.keeps)
    assert right / fell > 0.95  # precision
    for kind in ("exact 0", "format 0", "edit 0.01", "edit 0.03", "sentence_shuffle None"):
        assert all(found[kind]), kind
    assert not any(found["edit 0.3"])  # their overlap lies far below the threshold


def chats(*rows: tuple[str, str]) -> pa.Table:
    """Rows of a question and its answer, as folds see them."""
    return pa.table(
        {"text": [f"{q}\n\n{a}" for q, a in rows], "prompt": [q for q, _ in rows], "answer": [a for _, a in rows]}
    )


QUESTIONS = [
    ("evals.jsonl#1", "A baker makes 12 loaves each hour and sells 9 of them. How many loaves stay after 5 hours?"),
    ("evals.jsonl#2", ""),
    ("evals.jsonl#3", "Which of the four rivers of the old province is the longest, and where does it reach the sea?"),
    ("evals.jsonl#4", "Which of the four rivers of the old province is the longest, and where does it reach the sea?"),
]


def test_a_row_near_another_set_falls_and_the_reason_names_the_row_there() -> None:
    fold = Against(sets=("evals.jsonl",)).primed(lambda: QUESTIONS)
    assert isinstance(fold, Fold) and fold.name == "against"
    rows = [
        ("Which of the four rivers of the old province is the longest and where does it reach the ocean?", "The Orn."),
        ("Which of the four lakes is deepest?", "The one near Tarn, as far as anybody has measured."),
        ("Say it again.", "A baker makes 12 loaves each hour and sells 9 of them. How many loaves stay after 5 hours?"),
        ("", ""),
    ]
    verdicts = judged(fold, chats(*rows))
    assert stays(verdicts) == [False, True, False, True]
    assert [v.reason for v in verdicts if not v.keeps] == ["close to evals.jsonl#3", "close to evals.jsonl#1"]
    assert verdicts[0].score is not None and 0.7 <= verdicts[0].score < 1 and verdicts[2].score == 1.0
    assert judged(fold, chats(*rows[:1]), chats(*rows[1:])) == verdicts
    again = chats(rows[1], rows[1])
    assert stays(judged(fold, again)) == [True, True]  # rows are not compared with each other


def test_rows_of_another_set_are_all_held_and_the_nearest_is_named() -> None:
    rng = random.Random(3)
    base = [f"w{rng.randrange(500)}" for _ in range(60)]
    held = [(f"set#{i}", changed(rng, base, 0.08)) for i in range(3_000)]  # near to each other, in three batches
    row = changed(rng, held[2_500][1].split(), 0.02)
    verdict = judged(Against(sets=("set",), threshold=0.6).primed(lambda: held), chats((row, "")))[0]
    exact = {source: jaccard(shingles(row), shingles(text)) for source, text in held}
    assert not verdict.keeps and exact[verdict.reason.removeprefix("close to ")] > max(exact.values()) - 0.15


def test_without_the_texts_of_its_sets_the_check_refuses() -> None:
    with pytest.raises(SynthgainError, match="not read"):
        load("against:sets=evals.jsonl").begin()  # type: ignore[union-attr]


HELD_ITEMS = [
    (
        "set#1",
        "Max bought stamps at the post office. Some had a snowflake design, some a truck. He bought 16 snowflake stamps. How many has he?",
    ),
    ("set#2", "Which organ of the human body filters the blood and makes urine from what is left over?"),
    ("set#3", "Who?"),
]
FILLER = "The river rose in spring and the mill stood still. " * 12


@pytest.mark.parametrize(
    ("inserted", "reason"),
    [
        (HELD_ITEMS[0][1], "holds set#1"),
        (HELD_ITEMS[0][1].replace("16", "35"), "holds set#1 with other numbers"),
        (HELD_ITEMS[0][1].replace(" ", "\n").upper(), "holds set#1"),
        (
            HELD_ITEMS[0][1].replace("truck", "lorry").replace("bought stamps", "got stamps"),
            "holds set#1 in part or changed",
        ),
        (" ".join(HELD_ITEMS[1][1].split()[:11]), "holds set#2 in part or changed"),
        ("He bought stamps at the office of the mill, and some were blue.", ""),
        ("Which of the organs is oldest? Who?", ""),
        ("", ""),
    ],
)
def test_an_item_inside_a_row_is_found_whole_in_part_or_changed(inserted: str, reason: str) -> None:
    fold = Against(sets=("set",), inside=True).primed(lambda: HELD_ITEMS)
    verdict = judged(fold, chats((f"{FILLER}{inserted} {FILLER}", "")))[0]
    assert verdict.reason == reason
    assert judged(Against(sets=("set",)).primed(lambda: HELD_ITEMS), chats((f"{FILLER}{inserted} {FILLER}", "")))[
        0
    ].keeps


def test_the_share_of_an_item_by_weight_in_closed_form() -> None:
    """Two items without a common word, each word once: all words weigh ln(1002 / 1), so the share is that of the words."""
    items = ["alder birch cedar ebony fir gum hazel ironwood juniper larch", "one two three four five six seven eight"]
    hits = next(Aligned(items).find(["alder birch cedar ebony fir gum hazel xx juniper yy zz"]))
    assert [(h.item, round(h.share, 6), round(h.nats, 6), h.same_numbers) for h in hits] == [
        (0, 0.8, round(8 * math.log(1002), 6), True)
    ]


def test_a_paraphrase_is_found_by_vectors_where_told() -> None:
    pytest.importorskip("wordllama")
    held = [("set#1", "Which planet is the largest one in the solar system?"), ("set#2", "How do bees make honey?")]
    rows = [
        ("Of the planets in the solar system, which one is largest?", "Jupiter."),
        ("How is glass made from sand?", "By heat."),
    ]
    verdicts = judged(Against(sets=("set",), paraphrase=0.8).primed(lambda: held), chats(*rows))
    assert stays(verdicts) == [False, True] and verdicts[0].reason in ("means what set#1 means", "close to set#1")
    assert stays(judged(Against(sets=("set",), paraphrase=0.8).primed(lambda: []), chats(*rows))) == [True, True]
    with pytest.raises(SynthgainError, match="between 0 and 1"):
        Against(paraphrase=2.0)
