import subprocess
import sys
import unicodedata

import numpy as np
import pytest

from synthgain.measure import words
from synthgain.measure.words import (
    OTHERS,
    Vocabulary,
    WordCount,
    blocks,
    content,
    number,
    piece_of,
    spans,
)
from synthgain.words import tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP, w12!", ["don't", "stop", ",", "w12", "!"]),
        ("3.14 now_here 10%", ["3", ".", "14", "now", "_", "here", "10", "%"]),
        ("l’été ﬁn", ["l'été", "fin"]),  # a curly apostrophe and a ligature are the plain ones
        ("e\u0301te\u0301", ["été"]),  # composed and decomposed are one
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs stay in the word
        ("日本語です。", ["日", "本", "語", "で", "す", "。"]),
        ("ไทย x", ["ไ", "ท", "ย", "x"]),
        ("ที่นี่", ["ที่", "นี่"]),  # vowel and tone belong to their letter
        ("Привет, мир 🙂🙂", ["привет", ",", "мир", "🙂", "🙂"]),
        (" \t\n", []),
        ("", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_tokens_lose_nothing_but_case_and_space() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        codes = rng.choice(np.r_[32:127, 0xC0:0x250, 0x400:0x500, 0x900:0x980, 0x4E00:0x4E50, 0xE01:0xE30], 40)
        text = "".join(map(chr, codes))
        assert "".join(tokens(text)) == "".join(unicodedata.normalize("NFKC", text).lower().split())


def test_texts_of_one_batch_do_not_touch() -> None:
    vocabulary = Vocabulary.of(["a", "b"])
    a, b, begin = OTHERS, OTHERS + 1, OTHERS + 2
    assert vocabulary.size == begin and vocabulary.words == 2
    coded = vocabulary.encode(["a b", "", "x\0a"])  # the mark inside a text is a space
    other = int(coded[8])
    assert coded.tolist() == [begin, begin, a, b, begin, begin, begin, begin, other, a] and 0 <= other < OTHERS
    assert piece_of(coded == begin).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]


def test_a_long_text_goes_in_pieces_and_no_word_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "PIECE", 10_000)
    long = " ".join(f"word{i}" for i in range(20_000))
    found = list(blocks(["first", long, None, "last"]))
    assert all(sum(map(len, pieces)) <= 10_000 for _, pieces in found)
    by_owner: dict[int, list[str]] = {}
    for owners, pieces in found:
        for owner, piece in zip(owners.tolist(), pieces):
            by_owner.setdefault(owner, []).extend(tokens(piece))
    assert by_owner == {0: ["first"], 1: long.split(), 2: [], 3: ["last"]}


def test_spans_are_equal_where_the_words_are_and_stay_inside_a_text() -> None:
    rng = np.random.default_rng(1)
    texts = [" ".join(map(str, rng.integers(0, 3, size))) for size in (2, 5, 40, 0, 3, 60)]
    vocabulary = Vocabulary.of("012")
    flat = vocabulary.encode(texts)
    begins = flat == vocabulary.size
    found, last = spans(flat, begins, 3)
    slow = [tuple(t.split()[i : i + 3]) for t in texts for i in range(len(t.split()) - 2)]
    assert len(found) == len(slow)
    assert len(set(found.tolist())) == len(set(slow)) == len(set(zip(found.tolist(), slow)))
    assert piece_of(begins)[last].tolist() == [i for i, t in enumerate(texts) for _ in range(len(t.split()) - 2)]
    assert len(spans(flat[:1], begins[:1], 3)[0]) == 0


def test_a_vocabulary_keeps_the_most_frequent_words_and_all_else_shares_numbers() -> None:
    counted = WordCount()
    counted.add(["c c c a a b", "a zz", None])
    coded = counted.vocabulary(2).encode(["c a b zz", "zz"]).tolist()
    assert coded[2:4] == [OTHERS + 1, OTHERS] and coded[5] == coded[-1] < OTHERS and coded[4] < OTHERS
    assert counted.vocabulary().words == 4 and counted.total == 8


def test_counting_in_bounded_memory_forgets_only_rare_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "HELD", 100)
    counted = WordCount()
    counted.add(["often often"])
    for i in range(20):
        counted.add([" ".join(f"w{i}x{j}" for j in range(30))])
    vocabulary = counted.vocabulary()
    assert vocabulary.encode(["often"])[-1] >= OTHERS and vocabulary.words < 200


def test_numbers_of_texts_are_the_same_in_every_process() -> None:
    code = "from synthgain.measure.words import number; print(number('é 1'))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) == number("é 1")
    assert content("A  b\n") == content("a B") != content("ab")
