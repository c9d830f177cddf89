"""Toy languages: topics, anchors, a generator whose log-probabilities are exact, and count-based students.

A topic is a Markov chain over `words` words. People write about 16 topics (Zipf's law); the generator knows them
and 8 others. It is prompted with an anchor, which tells it the topic, and writes a document at a temperature.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from synthgain.simulate.mixtures import Array, Rng
from synthgain.types import SynthgainError

Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Speech:
    """How the generator speaks and what becomes of it.

    temperature    every word's law is that of the topic to the power 1/T
    hallucination  odds that a word is drawn from all words alike
    off_task       odds that a document is about a topic nobody asked for
    copying        odds that a document is the anchor itself
    verifier       accuracy of a check that drops off-task documents: 1 never errs, 0.5 tosses a coin. None: no check.
                   A document that it drops is drawn again, so it changes what is kept and not how much
    """

    temperature: float = 1.0
    hallucination: float = 0.0
    off_task: float = 0.0
    copying: float = 0.0
    verifier: float | None = None

    def __post_init__(self) -> None:
        if not 0.05 <= self.temperature <= 100:
            raise SynthgainError(f"the temperature must lie in [0.05, 100], not {self.temperature}")
        if min(self.hallucination, self.off_task, self.copying) < 0 or self.off_task + self.copying > 1:
            raise SynthgainError("shares must be at least 0, off_task and copying at most 1 together", where=str(self))
        if self.hallucination > 1 or (self.verifier is not None and not 0.5 <= self.verifier <= 1):
            raise SynthgainError("hallucination is at most 1 and verifier lies in [0.5, 1]", where=str(self))
        if self.accepted <= 0:
            raise SynthgainError("this verifier would keep nothing", where=str(self))

    @property
    def accepted(self) -> float:
        """The share of documents that the verifier keeps."""
        right = self.verifier
        return 1.0 if right is None else right * (1 - self.off_task) + (1 - right) * self.off_task

    @property
    def kept(self) -> tuple[float, float]:
        """The shares of off-task documents and of copies among those kept."""
        if self.verifier is None:
            return self.off_task, self.copying
        return (1 - self.verifier) * self.off_task / self.accepted, self.verifier * self.copying / self.accepted


@dataclass(frozen=True)
class Language:
    """One toy world: `logits` (topics, words + 1, words), the last row for a document's first word; `odds` of the topics."""

    logits: Array
    odds: Array
    length: int
    on_task: int

    @property
    def words(self) -> int:
        """V, the number of words."""
        return int(self.logits.shape[2])

    def chains(self, speech: Speech) -> Array:
        """P(word | topic, word before) under a way of speaking, (topics, words + 1, words)."""
        scaled = self.logits / speech.temperature
        odds = np.exp(scaled - scaled.max(axis=2, keepdims=True))
        odds /= odds.sum(axis=2, keepdims=True)
        return np.asarray((1 - speech.hallucination) * odds + speech.hallucination / self.words)

    def topics(self, rng: Rng, n: int) -> Tokens:
        """What n people write about."""
        return rng.choice(self.on_task, size=n, p=self.odds)

    def write(self, rng: Rng, topics: Tokens, chains: Array) -> Tokens:
        """One document a topic, (n, length)."""
        edges = np.cumsum(chains, axis=2)
        out = np.empty((len(topics), self.length), dtype=np.int64)
        before = np.full(len(topics), self.words)
        for t in range(self.length):
            aim = rng.random(len(topics))[:, None] * edges[topics, before, -1:]
            before = out[:, t] = (edges[topics, before] < aim).sum(axis=1)
        return out

    def log_odds(self, documents: Tokens, topics: Tokens, chains: Array) -> Array:
        """ln P(document | its topic), (n,)."""
        before = np.concatenate([np.full((len(documents), 1), self.words), documents[:, :-1]], axis=1)
        return np.asarray(np.log(chains[topics[:, None], before, documents]).sum(axis=1))

    def entropy(self, chains: Array) -> Array:
        """H(document | topic) of every topic, exactly, (topics,): the forward recursion."""
        step = -(chains * np.log(np.maximum(chains, 1e-300))).sum(axis=2)
        total, now = step[:, self.words].copy(), chains[:, self.words]
        for _ in range(self.length - 1):
            total += (now * step[:, : self.words]).sum(axis=1)
            now = np.einsum("ts,tsv->tv", now, chains[:, : self.words])
        return np.asarray(total)


def language(rng: Rng, *, words: int = 200, on_task: int = 16, off_task: int = 8, length: int = 30) -> Language:
    """A random world. A topic's logits are the sum of its own words', the word pairs' of all topics, and its own pairs'."""
    if words < 2 or on_task < 1 or off_task < 1 or length < 2 or (on_task + off_task) * words**2 > 2e7:
        raise SynthgainError("a language needs 2 words, 1 topic of each kind, length 2, and at most 2e7 word pairs")
    topics = on_task + off_task
    own = rng.standard_normal((topics, 1, words))
    shared = rng.standard_normal((1, words + 1, words))
    pairs = rng.standard_normal((topics, words + 1, words))
    odds = 1 / np.arange(1, on_task + 1)
    return Language(1.5 * own + 1.4 * shared + 0.8 * pairs, odds / odds.sum(), length, on_task)


@dataclass(frozen=True)
class Made:
    """Synthetic documents with ln P(document | prompt) under the law that they were drawn from."""

    documents: Tokens
    log_odds: Array


def generate(world: Language, rng: Rng, speech: Speech, anchors: Tokens, topics: Tokens, n: int) -> Made:
    """n documents, each prompted with an anchor drawn at random (anchors (m, length), their topics (m,))."""
    chains = world.chains(speech)
    strange, copied = speech.kept
    prompt = rng.integers(len(anchors), size=n)
    kind = rng.random(n)
    others = np.arange(world.on_task, world.logits.shape[0])
    about = np.where(kind < strange, rng.choice(others, size=n), topics[prompt])
    documents = world.write(rng, about, chains)
    copy = kind >= 1 - copied
    documents[copy] = anchors[prompt[copy]]
    with np.errstate(divide="ignore"):
        parts = [np.log(1 - strange - copied) + world.log_odds(documents, topics[prompt], chains)]
        parts += [np.log(strange / len(others)) + world.log_odds(documents, np.full(n, t), chains) for t in others]
        parts.append(np.where((documents == anchors[prompt]).all(axis=1), np.log(copied), -np.inf))
    return Made(documents, np.logaddexp.reduce(np.stack(parts), axis=0))


# ------------------------------------------------------------------------------------------------ students


@dataclass(frozen=True)
class Student:
    """An n-gram model with Witten–Bell smoothing down to the uniform law, trained on documents (n, length)."""

    order: int
    words: int
    tables: list[tuple[Tokens, Tokens, Tokens, Tokens, Tokens]] = field(repr=False)

    def loss(self, documents: Tokens) -> float:
        """Mean −ln P(word | words before) over all words, nats per token."""
        return float(-np.log(self.odds(documents)).mean())

    def odds(self, documents: Tokens) -> Array:
        """P(word | words before) of every word, flat."""
        p: Array = np.full(documents.size, 1.0 / self.words)
        for size, (grams, count, contexts, seen, kinds) in enumerate(self.tables):
            context, gram = _codes(documents, size, self.words)
            c, total, different = (
                _find(grams, count, gram),
                _find(contexts, seen, context),
                _find(contexts, kinds, context),
            )
            p = np.where(total > 0, (c + different * p) / np.maximum(total + different, 1), p)
        return p


def train(documents: Tokens, words: int, order: int) -> Student:
    """A student of that order (1 unigram, 2 bigram, 3 trigram)."""
    if order < 1 or order > 5:
        raise SynthgainError(f"the order must be from 1 to 5, not {order}")
    tables = []
    for size in range(order):
        context, gram = _codes(documents, size, words)
        grams, first, count = np.unique(gram, return_index=True, return_counts=True)
        contexts, back, kinds = np.unique(context[first], return_inverse=True, return_counts=True)
        seen = np.bincount(back, weights=count, minlength=len(contexts)).astype(np.int64)
        tables.append((grams, count, contexts, seen, kinds))
    return Student(order, words, tables)


def _codes(documents: Tokens, size: int, words: int) -> tuple[Tokens, Tokens]:
    """Numbers of the `size` words before each word, and of those with the word."""
    n, length = documents.shape
    padded = np.concatenate([np.full((n, size), words), documents], axis=1)
    code = np.zeros((n, length), dtype=np.int64)
    for back in range(size):
        code = code * (words + 1) + padded[:, back : back + length]
    return code.ravel(), (code * (words + 1) + documents).ravel()


def _find(known: Tokens, values: Tokens, wanted: Tokens) -> Tokens:
    """The value of each wanted number, 0 where it is not known."""
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.asarray(np.where(known[place] == wanted, values[place], 0))
