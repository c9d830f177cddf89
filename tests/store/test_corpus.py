"""A corpus on disk: the anchors that were written, by place and by id; vectors and neighbours, made once."""

from __future__ import annotations

import builtins
import gc
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthgain import types
from synthgain.store.corpus import Corpus, write_corpus
from synthgain.store.vectors import blocks_of_neighbours
from synthgain.types import Anchor, SynthgainError


def some(n: int, needs: tuple[str, ...] = ("answer",)) -> list[Anchor]:
    rng = random.Random(n)
    return [
        Anchor(f"text {i} " + "ä " * rng.randrange(900), f"a.jsonl#{i}", {"answer": str(i), "k": [i, None]}, needs)
        for i in range(n)
    ]


class Letters:
    """Counts of ten letters; it says how many texts it has read, and stops where it is told to."""

    identity = "letters"

    def __init__(self, most: int = 10**9) -> None:
        self.read, self.most = 0, most

    def __call__(self, texts: Sequence[str]) -> Any:
        if self.read + len(texts) > self.most:
            raise SynthgainError("out of reach", code=4)
        self.read += len(texts)
        return np.array([[text.count(c) for c in "0123456789"] for text in texts], np.float64)


# ---------------------------------------------------------------------------------------------- anchors


def test_what_was_written_comes_back_by_place_in_order_and_by_id(tmp_path: Path) -> None:
    anchors = [*some(70_000, ()), Anchor("last " + "x" * 3_000_000, "b.txt")]
    write_corpus(tmp_path / "c", anchors)
    corpus = Corpus(tmp_path / "c")
    assert len(corpus) == 70_001 and len(list((tmp_path / "c").iterdir())) > 1
    assert list(corpus) == anchors
    for at in (0, 1, 1_023, 1_024, 65_535, 65_536, 70_000, -1, -70_001):
        assert corpus[at] == anchors[at] and corpus[at].id == anchors[at].id
    assert corpus[70_000:60_000:-977] == anchors[70_000:60_000:-977]
    for at in (70_001, -70_002):
        with pytest.raises(IndexError):
            corpus[at]
    assert list(corpus.ids()) == [a.id for a in anchors]
    asked = [anchors[i].id for i in (69_999, 3, 3, 40_000)]
    assert list(corpus.by_id([*asked, "0" * 32]).items()) == [
        (a.id, a) for a in (anchors[i] for i in (69_999, 3, 40_000))
    ]
    assert [corpus.place(anchors[i]) for i in (0, 65_536, 70_000)] == [0, 65_536, 70_000]
    assert corpus.place(Anchor("of another corpus")) == -1


def test_the_stored_id_is_the_truth_whoever_reads(tmp_path: Path) -> None:
    anchors = some(5)
    write_corpus(tmp_path, anchors)
    ids = [a.id for a in anchors]
    for corpus in (Corpus(tmp_path), Corpus(tmp_path, ("answer",)), Corpus(tmp_path, ("k",))):
        assert [a.id for a in corpus] == ids == [corpus[i].id for i in range(5)]
        assert [a.id for a in corpus.by_id(ids).values()] == ids and corpus.place(anchors[3]) == 3
    assert Corpus(tmp_path, ("k",))[0].needs == ("k",)


def test_the_first_of_equal_anchors_is_the_one_that_is_found(tmp_path: Path) -> None:
    twice = [Anchor("a", "1"), Anchor("b", "2"), Anchor("a", "3")]
    write_corpus(tmp_path, twice)
    corpus = Corpus(tmp_path)
    assert corpus.place(twice[2]) == 0 and corpus.by_id([twice[2].id])[twice[2].id].source == "1"


def test_no_anchors_an_empty_corpus_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="no anchors"):
        len(Corpus(tmp_path))
    write_corpus(tmp_path / "empty", [])
    empty = Corpus(tmp_path / "empty")
    assert len(empty) == 0 and not list(empty) and not empty.by_id(["x"]) and empty.place(Anchor("a")) == -1
    write_corpus(tmp_path / "cut", some(2_000))
    (shard,) = (tmp_path / "cut").iterdir()
    shard.write_bytes(shard.read_bytes()[:-100])
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    for folder in (tmp_path / "cut", tmp_path):
        with pytest.raises(SynthgainError) as said:
            list(Corpus(folder))
        assert ".parquet" in said.value.where and said.value.next


def test_it_is_a_corpus_as_recipes_see_it(tmp_path: Path) -> None:
    anchors = some(3)
    write_corpus(tmp_path, anchors)
    corpus: types.Corpus = Corpus(tmp_path, ("answer",))
    assert list(types.singly(corpus, [], 0)) == [(a,) for a in anchors]
    assert len(repr(corpus)) < 200


# ---------------------------------------------------------------------------------------------- vectors


def test_vectors_are_of_unit_length_and_computed_once(tmp_path: Path) -> None:
    write_corpus(tmp_path, [Anchor(t) for t in ("11", "12", "no digit", "2")])
    first, again = Letters(), Letters()
    got = Corpus(tmp_path, embedder=first).vectors()
    half = 0.5**0.5
    expected = np.zeros((4, 10), np.float32)
    expected[0, 1] = expected[3, 2] = 1
    expected[1, 1:3] = half
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert got.dtype == np.float32 and not got.flags.writeable
    assert np.array_equal(Corpus(tmp_path).vectors(again), got)
    assert (first.read, again.read) == (4, 0)
    other = Letters()
    other.identity = "other letters"
    Corpus(tmp_path).vectors(other)
    assert other.read == 4
    assert list(Corpus(tmp_path)) == [Anchor(t) for t in ("11", "12", "no digit", "2")]  # arrays are no shards


def test_vectors_are_made_anew_where_the_number_of_anchors_is_another(tmp_path: Path) -> None:
    write_corpus(tmp_path / "a", some(10))
    write_corpus(tmp_path / "b", some(11))
    Corpus(tmp_path / "a").vectors(Letters())
    (file,) = (tmp_path / "a").glob("*.npy")
    (tmp_path / "b" / file.name).write_bytes(file.read_bytes())
    assert Corpus(tmp_path / "b").vectors(Letters()).shape == (11, 10)
    (tmp_path / "b" / file.name).write_bytes(b"no array")
    assert Corpus(tmp_path / "b").vectors(Letters()).shape == (11, 10)


def test_a_stop_loses_no_vectors_that_were_computed(tmp_path: Path) -> None:
    write_corpus(tmp_path, some(5_000))
    broken, after = Letters(most=3_500), Letters()
    with pytest.raises(SynthgainError, match="out of reach"):
        Corpus(tmp_path).vectors(broken)
    assert not list(tmp_path.glob("[!.]*.npy"))  # what is half made has another name
    got = Corpus(tmp_path).vectors(after)
    assert broken.read > 1_500 and broken.read + after.read == 5_000
    fresh = tmp_path / "fresh"
    write_corpus(fresh, some(5_000))
    assert np.array_equal(got, Corpus(fresh).vectors(Letters()))


@pytest.mark.parametrize("came", [np.ones(3), np.ones((2, 4)), np.full((3, 4), np.nan), np.ones((3, 0))])
def test_what_is_no_vectors_is_refused(tmp_path: Path, came: Any) -> None:
    class Broken:
        identity = "broken"

        def __call__(self, texts: Sequence[str]) -> Any:
            return came

    write_corpus(tmp_path, some(3))
    with pytest.raises(SynthgainError, match="no vectors"):
        Corpus(tmp_path).vectors(Broken())
    with pytest.raises(SynthgainError, match="embedder") as said:
        Corpus(tmp_path).vectors()
    assert said.value.next


# ---------------------------------------------------------------------------------------------- neighbours


def clusters(n: int, dimensions: int = 64, noise: float = 1.0, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, n // 60), dimensions)).astype(np.float32)
    found = centres[rng.integers(len(centres), size=n)] + noise * rng.standard_normal((n, dimensions)).astype(
        np.float32
    )
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class Given:
    """The vector whose number stands in the text."""

    identity = "given"

    def __init__(self, vectors: Any) -> None:
        self.vectors = vectors

    def __call__(self, texts: Sequence[str]) -> Any:
        return self.vectors[[int(text) for text in texts]]


def slow(vectors: Any, k: int) -> Any:
    """Row by row, in double precision."""
    wide = vectors.astype(np.float64)
    return np.array([[j for j in np.argsort(-(wide @ row), kind="stable") if j != i][:k] for i, row in enumerate(wide)])


def test_neighbours_are_those_of_a_slow_reading_and_are_kept(tmp_path: Path) -> None:
    vectors = clusters(700)
    write_corpus(tmp_path / "a", [Anchor(str(i)) for i in range(700)])
    write_corpus(tmp_path / "b", [Anchor(str(i)) for i in range(700)])
    corpus = Corpus(tmp_path / "a", embedder=Given(vectors))
    got = corpus.neighbours(5)
    assert got.dtype == np.int64 and got.shape == (700, 5) and not got.flags.writeable
    assert np.array_equal(got, slow(vectors, 5))
    assert np.array_equal(Corpus(tmp_path / "a").neighbours(5, Given(vectors * 0)), got)  # remembered by identity
    Corpus(tmp_path / "b").neighbours(5, Given(vectors))
    kept = [{p.name: p.read_bytes() for p in (tmp_path / f).glob("*.npy")} for f in "ab"]
    assert kept[0] == kept[1] and len(kept[0]) == 2
    assert corpus.neighbours(699)[3].tolist() == slow(vectors, 699)[3].tolist()


def test_more_neighbours_than_there_are_is_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path, some(3))
    for k in (0, 3, 10):
        with pytest.raises(SynthgainError, match="3 anchors") as said:
            Corpus(tmp_path, embedder=Letters()).neighbours(k)
        assert "1 to 2" in said.value.next


def test_the_index_finds_nearly_the_same_and_always_the_same() -> None:
    pytest.importorskip("voyager")
    vectors = clusters(3_000)
    vectors[100:140] = vectors[100]  # equal ones
    found, again = (np.concatenate(list(blocks_of_neighbours(vectors, 10, exact=1))) for _ in range(2))
    assert np.array_equal(found, again) and found.shape == (3_000, 10)
    assert not (found == np.arange(3_000)[:, None]).any() and all(len(set(row)) == 10 for row in found.tolist())
    exact = np.concatenate(list(blocks_of_neighbours(vectors, 10)))
    others = np.setdiff1d(np.arange(3_000), np.arange(100, 140))
    same = [len(set(a) & set(b)) / 10 for a, b in zip(found[others].tolist(), exact[others].tolist())]
    assert np.mean(same) > 0.97
    for start in (1, 2_999):  # from the middle on, as after a stop
        assert np.array_equal(np.concatenate(list(blocks_of_neighbours(vectors, 10, start, exact=1))), found[start:])
        assert np.array_equal(np.concatenate(list(blocks_of_neighbours(vectors, 10, start))), exact[start:])


def test_a_missing_index_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **others: Any) -> Any:
        if name == "voyager":
            raise ImportError(name)
        return real(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SynthgainError, match="voyager") as said:
        list(blocks_of_neighbours(clusters(30), 3, exact=1))
    assert "pip install" in said.value.next


@pytest.mark.slow
def test_the_index_against_the_exact_at_60_000() -> None:
    pytest.importorskip("voyager")
    vectors = clusters(60_000, 256)
    found = np.concatenate(list(blocks_of_neighbours(vectors, 10)))
    exact = np.concatenate(list(blocks_of_neighbours(vectors, 10, exact=60_000)))
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist())]) > 0.95


# ---------------------------------------------------------------------------------------------- size

READ = """
import resource, sys
from pathlib import Path
from synthgain.anchors import load
from synthgain.store.corpus import Corpus
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
into, n = Path(sys.argv[1]), int(sys.argv[2])
load(["a"])[0]
before = peak()
load(({"question": f"question {i} " + "word " * 20, "answer": str(i)} for i in range(n)), needs=("answer",), into=into)
loaded = peak()
corpus = Corpus(into)
assert sum(1 for _ in corpus) == n == len(corpus)
for i in range(0, n, n // 500): assert corpus[i].fields["answer"] == str(i)
assert len(corpus.by_id([corpus[n // 2].id])) == 1
read = peak()
assert corpus.place(corpus[n - 1]) == n - 1
print(loaded - before, read - before, peak() - before)
"""


def measured(into: Path, n: int) -> list[float]:
    out = subprocess.run([sys.executable, "-c", READ, str(into), str(n)], capture_output=True, text=True, timeout=900)
    assert out.returncode == 0, out.stderr
    return [float(word) for word in out.stdout.split()]


@pytest.mark.slow
def test_memory_at_a_million_anchors(tmp_path: Path) -> None:
    small, large = measured(tmp_path / "small", 50_000), measured(tmp_path / "large", 1_000_000)
    print(json.dumps({"MB at 50,000": small, "MB at 1,000,000": large}))
    assert large[0] < small[0] + 110  # while reading, what was seen: 32 bytes an anchor, twice that while it is sorted
    assert large[1] < large[0] + 30  # reading back takes nothing that grows
    gc.collect()
