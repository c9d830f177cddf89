"""Estimates while rows stream by: is the writer still saying new things?

Sight, not measurement: windows of recent rows, in the order they arrive, without intervals. The figures of
a finished run come from the meter.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from synthgain.measure.variety import NEAR as ALIKE
from synthgain.types import Row, SynthgainError
from synthgain.words import SHINGLE as ALIKE_WORDS
from synthgain.words import runs
from synthgain.words import words as compared

PAIRS = 20_000  # word pairs that distinct-2 is computed on: it falls with size, so the size is fixed
WINDOW = 1_000  # examined rows that a new one is compared with
LEAST = 200  # examined rows before anything is called a collapse
SHINGLE = 5  # words
NEAR = 0.5  # share of a row's shingles that another prompt's row must share
SKETCH = 64  # smallest shingles of a row that stand for all: an even sample, the same in every row
LOOKED = 8  # of these, by how many an alike row is looked for: at an index of 0.7 one is shared but for one pair in thousands
CANDIDATES = 32  # rows that a row is compared with
DENSE = 2_000  # rows that are all examined; of those that come later, fewer and fewer
READ = 2_000  # words of a row
SPREAD = np.random.default_rng(0).integers(1, 2**63, SHINGLE, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


@dataclass(frozen=True)
class Thresholds:
    """When diversity has collapsed: near-duplicates above, distinct word pairs below, kept share below.

    The defaults only catch what no set recovers from: every second row says what another prompt's row said, or of
    fifty word pairs one is new. Problem sets from templates have few distinct pairs by nature: set them for yours.
    """

    near_dup: float = 0.5
    distinct_2: float = 0.02
    kept: float = 0.0

    def text(self) -> str:
        """The thresholds as `read` reads them."""
        return f"near_dup={self.near_dup:g},distinct_2={self.distinct_2:g},kept={self.kept:g}"

    @staticmethod
    def read(text: str) -> Thresholds:
        """ "near_dup=0.3,distinct_2=0.1" as thresholds."""
        values: dict[str, float] = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, equals, value = part.partition("=")
            name = name.strip().replace("-", "_")
            try:
                number = float(value)
            except ValueError:
                number = -1.0
            if name not in ("near_dup", "distinct_2", "kept") or not equals or not 0 <= number <= 1:
                raise SynthgainError(
                    f"a threshold is near_dup, distinct_2 or kept with a share from 0 to 1, not {part!r}",
                    where="--collapse",
                    next="write for example --collapse near_dup=0.3,distinct_2=0.05",
                )
            values[name] = number
        return Thresholds(**values)


@dataclass
class Running:
    """Running ΔI (nats/token), near-duplicate share, distinct-2 and kept share of a run under way.

    `near_dup` is what the meter calls a repeat (`variety.dup_rate`): a kept row whose text has a Jaccard index of word 3-grams of 0.7 with an
    earlier one that repeats nothing, here among the last `WINDOW` of these. A collapse is something else: it is judged on all rows, and a row
    counts where it shares `NEAR` of its word 5-grams with another prompt's row, as alike draws of one prompt are no collapse.
    """

    thresholds: Thresholds = Thresholds()
    seen: int = 0
    kept: int = 0
    examined: int = 0
    _nats: float = 0.0
    _tokens: int = 0
    _pairs: Counter[int] = field(default_factory=Counter)
    _recent: deque[int] = field(default_factory=deque)
    _owners: dict[int, dict[str, int]] = field(default_factory=dict)
    _rows: deque[tuple[str, tuple[int, ...]]] = field(default_factory=deque)
    _across: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _repeats: Repeats = field(default_factory=lambda: Repeats())

    def add(self, row: Row) -> None:
        """Count one more row; each row in full while they are few, then one in two, three, …"""
        self.seen += 1
        self.kept += row.fallen is None
        known = [call.logprob for call in row.calls]
        if known and None not in known:
            self._nats -= sum(known)  # type: ignore[arg-type]
            self._tokens += sum(call.tokens_out for call in row.calls)
        if self.seen % (1 + self.seen // DENSE) == 0:
            self._examine(row)

    @property
    def figures(self) -> dict[str, float]:
        """What is known now, by name."""
        found: dict[str, float] = {}
        if self._tokens:
            found["delta_I"] = self._nats / self._tokens
        if len(self._repeats.flags) > 1:
            found["near_dup"] = self._repeats.share
        if self._recent:
            found["distinct_2"] = len(self._pairs) / len(self._recent)
        if self.seen:
            found["kept"] = self.kept / self.seen
        return found

    @property
    def collapse(self) -> str:
        """Which threshold is crossed, in words; "" while none is, and before enough rows were examined."""
        if self.examined < LEAST:
            return ""
        now, limit = self.figures, self.thresholds
        across = sum(self._across) / len(self._across) if self._across else 0.0
        if across > limit.near_dup:
            return f"diversity collapsed: {across:.0%} of the last {len(self._across):,} rows examined nearly repeat another prompt's row (limit {limit.near_dup:.0%})"
        if len(self._recent) >= PAIRS and now["distinct_2"] < limit.distinct_2:
            return f"diversity collapsed: {now['distinct_2']:.1%} of the last {PAIRS:,} word pairs are distinct (limit {limit.distinct_2:.1%})"
        if now["kept"] < limit.kept:
            return f"only {now['kept']:.1%} of the rows are kept (limit {limit.kept:.1%})"
        return ""

    def _examine(self, row: Row) -> None:
        self.examined += 1
        words = _numbers(compared(row.answer[: 16 * READ])[:READ])
        pairs = _runs(words, 2)
        self._pairs.update(pairs)
        self._recent.extend(pairs)
        while len(self._recent) > PAIRS:
            old = self._recent.popleft()
            self._pairs[old] -= 1
            if not self._pairs[old]:
                del self._pairs[old]
        self._compare("\0".join(row.anchors) or row.id, words)
        if row.fallen is None:
            self._repeats.add(_text(row))

    def _compare(self, prompt: str, words: NDArray[np.uint64]) -> None:
        """Whether the row shares most of its shingles with recent rows of another prompt; then remember it."""
        grams = set(_runs(words, min(SHINGLE, len(words))) if len(words) else ())
        least = sorted(grams)[:SKETCH]
        shared = sum(any(other != prompt for other in self._owners.get(g, ())) for g in least)
        again = bool(least) and shared >= NEAR * len(least)
        self._across.append(again)
        self._rows.append((prompt, tuple(least)))
        for gram in least:
            owners = self._owners.setdefault(gram, {})
            owners[prompt] = owners.get(prompt, 0) + 1
        if len(self._rows) > WINDOW:
            gone, grams_gone = self._rows.popleft()
            for gram in grams_gone:
                owners = self._owners[gram]
                owners[gone] -= 1
                if not owners[gone]:
                    del owners[gone]
                    if not owners:
                        del self._owners[gram]


@dataclass
class Repeats:
    """Which texts nearly repeat an earlier one, by the meter's rule, over the last `WINDOW` that repeat nothing."""

    flags: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _known: dict[int, tuple[int, ...]] = field(default_factory=dict)  # sketches by number, oldest first
    _where: dict[int, deque[int]] = field(default_factory=dict)  # numbers of the rows that a shingle is looked up in
    _n: int = 0

    @property
    def share(self) -> float:
        """Of the texts in the window, those that repeat."""
        return sum(self.flags) / len(self.flags)

    def add(self, text: str) -> None:
        """One more text; one without words is not counted."""
        hashes, _ = runs([text[: 16 * READ]], ALIKE_WORDS, alike=True)
        sketch = tuple(np.unique(hashes)[:SKETCH].tolist())
        if not sketch:
            return
        near = Counter(n for gram in sketch[:LOOKED] for n in self._where.get(gram, ()))
        again = any(_alike(sketch, self._known[n]) >= ALIKE for n, _ in near.most_common(CANDIDATES))
        self.flags.append(again)
        if not again:
            self._remember(sketch)

    def _remember(self, sketch: tuple[int, ...]) -> None:
        self._n += 1
        self._known[self._n] = sketch
        for gram in sketch[:LOOKED]:
            self._where.setdefault(gram, deque()).append(self._n)
        if len(self._known) > WINDOW:
            oldest = next(iter(self._known))
            for gram in self._known.pop(oldest)[:LOOKED]:
                self._where[gram].popleft()
                if not self._where[gram]:
                    del self._where[gram]


def _alike(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The Jaccard index of two sets, from their smallest numbers; exact where the sketches are whole."""
    mine, theirs = set(one), set(other)
    union = sorted(mine | theirs)[:SKETCH]
    return sum(n in mine and n in theirs for n in union) / len(union)


def _text(row: Row) -> str:
    """What a student would read of the row."""
    return row.text or "" if row.messages is None else "\n\n".join(turn["content"] for turn in row.messages)


def _numbers(words: list[str]) -> NDArray[np.uint64]:
    """A number for each word that depends on the word alone: Python's own `hash` of a text is another one in each process."""
    raw = " ".join(words).encode("utf-8", "surrogatepass").split(b" ") if words else []
    numbers: NDArray[np.uint64] = np.array([crc32(word) for word in raw], np.uint64) * SPREAD[0]
    numbers ^= numbers >> np.uint64(32)
    return numbers


def _runs(words: NDArray[np.uint64], n: int) -> list[int]:
    """A number for each run of n words, in order; of fewer than n words none."""
    return np.convolve(words, SPREAD[:n], "valid").tolist() if len(words) >= n else []
