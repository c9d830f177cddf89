from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pytest

from synthgain.measure.data import Data
from synthgain.measure.held_out import Earlier, guarded
from synthgain.measure.proxy import held_out_gains, proxy_gain
from synthgain.measure.words import OTHERS
from synthgain.simulate.language import Language, Speech, language
from synthgain.types import Message, Reading, SynthgainError


def said(documents: np.ndarray) -> list[str]:
    """Documents of word numbers as texts."""
    return [" ".join(f"w{i}" for i in row) for row in documents.tolist()]


@dataclass
class World:
    """A toy world: real people write about its topics, each with the topic's own Markov chain."""

    seed: int = 0
    world: Language = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.world = language(self.rng, words=120, on_task=8, off_task=2)
        self.chains = self.world.chains(Speech())

    def real(self, n: int) -> list[str]:
        return said(self.world.write(self.rng, self.world.topics(self.rng, n), self.chains))

    def noise(self, n: int) -> list[str]:
        return said(self.rng.integers(0, self.world.words, (n, self.world.length)))

    def at(self, temperature: float, n: int) -> list[str]:
        chains = self.world.chains(Speech(temperature=temperature))
        return said(self.world.write(self.rng, self.world.topics(self.rng, n), chains))


def by_name(data: Data, **more: object) -> dict[str, Reading]:
    return {r.name: r for r in proxy_gain(data, **more)}  # type: ignore[arg-type]


def gain(rows: Sequence[str], anchors: Sequence[str], target: Sequence[str] | None, **more: object) -> Reading:
    return by_name(Data.of(rows, anchors, target=target), **more)["proxy_gain"]


# ---------------------------------------------------------------------------------------------- known answers


def test_the_held_out_text_itself_is_blocked() -> None:  # check 17
    world = World()
    anchors, dev = world.real(40), world.real(60)
    blocked = by_name(Data.of(dev, anchors, target=dev))
    assert all(r.value is None and "stand in the rows" in r.note for r in blocked.values())
    off = gain(dev, anchors, dev, overlap=None)
    assert off.value is not None and off.value > 1 and "guard off" in off.note
    partly = gain([*dev[:6], *world.real(200)], anchors, dev)  # a tenth of it: those documents are left out
    assert partly.n == 54 and "6 held-out documents that stand in the rows left out" in partly.note


def test_real_data_gains_noise_does_not_and_repetition_is_never_better() -> None:  # check 18
    world = World(1)
    anchors, dev = world.real(40), world.real(100)
    fresh = gain(world.real(400), anchors, dev)
    assert fresh.low is not None and fresh.low > 0.05 and fresh.n >= 95 and fresh.unit == "nats/token"
    assert gain(world.noise(400), anchors, dev).value <= 0  # type: ignore[operator]
    repeated, equal = by_name(Data.of(anchors * 4, anchors, target=dev)), gain(world.real(160), anchors, dev)
    assert repeated["proxy_gain"].value == repeated["target_fit"].value == 0.0 < equal.low  # type: ignore[operator]
    assert "160 rows repeat" in repeated["proxy_gain"].note


def test_more_of_the_same_real_text_never_seems_less() -> None:
    """Words that only held-out text and the rows have must count: with V as small as the real text at hand they would not."""
    rng = np.random.default_rng(0)
    odds = 1 / np.arange(1, 20_001)
    texts = [" ".join(f"w{i}" for i in row) for row in rng.choice(20_000, (700, 60), p=odds / odds.sum())]
    anchors, dev, fresh = texts[:40], texts[40:140], texts[140:]
    gains = [by_name(Data.of(fresh[:n], anchors, target=dev))["proxy_gain_1"].value for n in (40, 140, 560)]
    assert 0.1 < gains[0] < gains[1] < gains[2]  # type: ignore[operator]


def test_saying_it_again_is_no_gain_and_no_loss() -> None:
    world = World(12)
    anchors, dev, rows = world.real(40), world.real(60), world.real(50)
    once = by_name(Data.of(rows, anchors, target=dev))
    again = by_name(Data.of([*rows, *(r.upper() for r in rows), *rows, *anchors[:10]], anchors, target=dev))
    for name in ("proxy_gain", "proxy_gain_1"):
        assert again[name].value == once[name].value
    assert again["target_fit"].value != once["target_fit"].value  # alone, S has those ten too


def test_more_real_data_among_the_rows_is_more_gain() -> None:  # check 18
    world = World(2)
    anchors, dev, real, noise = world.real(40), world.real(100), world.real(300), world.noise(300)
    found = [by_name(Data.of(real[:n] + noise[n:], anchors, target=dev)) for n in (0, 75, 150, 225, 300)]
    for name in ("proxy_gain", "proxy_gain_1", "target_fit", "target_fit_1"):
        values = [f[name].value for f in found]
        assert values == sorted(values) and len(set(values)) == 5  # type: ignore[type-var]


def test_the_gain_peaks_at_the_real_temperature_while_randomness_rises() -> None:  # check 19
    doses = (0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
    gains, entropy = np.zeros(len(doses)), np.zeros(len(doses))
    for seed in range(3):
        world = World(seed)
        anchors, dev = world.real(40), world.real(80)
        gains += [gain(world.at(t, 300), anchors, dev).value for t in doses]
        entropy += [
            world.world.odds @ world.world.entropy(world.world.chains(Speech(temperature=t)))[:8] for t in doses
        ]
    assert doses[int(gains.argmax())] in (0.7, 1.0)
    assert (np.diff(entropy) > 0).all() and gains[-1] < gains.max() / 3


def test_the_figures_are_differences_of_mean_losses() -> None:
    """Order 1 by hand: q(v) = (c(v) + T / V) / (n + T), V = words of the real text and the numbers of all others."""
    anchors, rows, dev = ["a a b c", "c"], ["b b zz", "d"], ["a b", "d", "b d"]
    found = by_name(Data.of(rows, anchors, target=dev))

    def loss(texts: list[str]) -> float:
        words = [w if w in "abcd" else "other" for t in texts for w in t.split()]
        kinds, v = len(set(words)), OTHERS + 4
        return float(
            -np.mean([np.log((words.count(w) + kinds / v) / (len(words) + kinds)) for t in dev for w in t.split()])
        )

    assert found["proxy_gain_1"].value == pytest.approx(loss(anchors) - loss([*anchors, *rows]))
    assert found["target_fit_1"].value == pytest.approx(loss(anchors) - loss(rows))
    assert found["proxy_gain_1"].n == 3 and "interval is wide" in found["proxy_gain_1"].note


# ---------------------------------------------------------------------------------------------- cross-fitting


def test_rows_made_from_a_held_out_anchor_leave_with_it() -> None:
    world = World(3)
    anchors = world.real(60)
    rows = [{"text": a + " tail", "anchor_ids": [str(i)]} for i, a in enumerate(anchors)]
    linked = by_name(Data.of(rows, anchors))["proxy_gain"]
    assert linked.value is not None and linked.value < 0.1 and linked.n == 60
    unlinked = by_name(Data.of([r["text"] for r in rows], anchors))["proxy_gain"]  # type: ignore[misc]
    assert unlinked.value is None and "stand in the rows" in unlinked.note
    naive = by_name(Data.of([r["text"] for r in rows], anchors), overlap=None)["proxy_gain"]  # type: ignore[misc]
    assert naive.value > 1 and "do not name their anchors" in naive.note  # type: ignore[operator]


def test_a_row_leaves_with_any_of_its_anchors() -> None:
    """Leave-one-out by hand: each held-out anchor is judged by the model without it and without its rows."""
    anchors = ["a b c", "b c d", "d e a", "e e b"]
    rows = [
        {"text": "a c e", "anchor_ids": ["0", "2"]},
        {"text": "d d", "anchor_ids": ["1"]},
        {"text": "b e", "anchor_ids": ["9"]},
    ]
    found = by_name(Data.of(rows, anchors))["proxy_gain_1"]

    def loss(texts: list[str], held: str) -> float:
        words = " ".join(texts).split()
        kinds = len(set(words))
        return float(
            -np.sum([np.log((words.count(w) + kinds / (OTHERS + 5)) / (len(words) + kinds)) for w in held.split()])
        )

    total = 0.0
    for i, held in enumerate(anchors):
        rest = [a for a in anchors if a != held]
        made = [str(r["text"]) for r in rows if str(i) not in r["anchor_ids"]]
        total += loss(rest, held) - loss(rest + made, held)
    assert found.value == pytest.approx(total / 12)


def test_equal_anchors_share_a_fold_and_count_once() -> None:
    world = World(4)
    anchors, rows = world.real(30), world.real(100)
    once = gain(rows, anchors, None)
    twice = gain(rows, anchors + [a.upper() + " " for a in anchors], None)
    assert twice.n == once.n == 30
    assert twice.value == pytest.approx(once.value)
    losses = by_name(Data.of(rows, anchors * 2))["target_fit"].value
    assert losses == pytest.approx(by_name(Data.of(rows, anchors))["target_fit"].value)


def test_held_out_texts_that_are_anchors_are_left_out() -> None:
    world = World(5)
    anchors, dev = world.real(30), world.real(20)
    found = gain(world.real(50), anchors, dev + anchors[:5] + dev[:3])
    assert found.n == 20 and "5 held-out texts that are anchors left out" in found.note


def test_two_runs_on_the_same_anchors_are_judged_on_the_same_events() -> None:
    world = World(6)
    anchors, dev, rows = world.real(40), world.real(60), world.real(80)
    alone = by_name(Data.of(rows, anchors, target=dev))
    strange = by_name(Data.of([*rows, "zzz yyy xxx"], anchors, target=dev))
    assert alone["proxy_gain"].estimator == strange["proxy_gain"].estimator
    assert alone["proxy_gain"].value == pytest.approx(strange["proxy_gain"].value, abs=0.01)
    again = by_name(Data.of(rows, anchors, target=dev))
    assert again == alone


def test_the_number_of_held_out_documents_is_limited() -> None:
    world = World(7)
    assert gain(world.real(50), world.real(90), None, dev_limit=25).n == 25
    assert gain(world.real(50), world.real(30), world.real(90), dev_limit=25).n == 25


# ---------------------------------------------------------------------------------------------- bad input


def nulls(data: Data, **more: object) -> list[str]:
    found = proxy_gain(data, **more)  # type: ignore[arg-type]
    assert all((r.value, r.low, r.high) == (None, None, None) and r.note and r.unit == "nats/token" for r in found)
    return [r.note for r in found]


def test_what_cannot_be_measured_says_why() -> None:
    world = World(8)
    anchors, rows = world.real(20), world.real(20)
    assert "no rows" in nulls(Data.of([], anchors))[0]
    assert "no anchors" in nulls(Data.of(rows, []))[0]
    assert "held-out text is empty" in nulls(Data.of(rows, anchors, target=[]))[0]
    assert "fewer than 2 different anchors" in nulls(Data.of(rows, ["same one"] * 20))[0]
    assert "fewer than 2 different held-out" in nulls(Data.of(rows, anchors, target=["same"] * 5))[0]
    assert "no row has any words" in nulls(Data.of(["", " \n"], anchors))[0]
    assert "fewer than 2 held-out documents have words" in nulls(Data.of(rows, anchors, target=["", "a b c"]))[0]
    assert "stand in the rows" in nulls(Data.of(anchors, anchors))[0]


def test_odd_input_gives_figures_and_no_warnings() -> None:
    world = World(9)
    anchors = world.real(20)
    odd = ["日本語の文章です。" * 3, "Привет, мир", "w1 w2 " * 250_000, "one", "\0\0", *world.real(20)]
    found = by_name(Data.of(odd, anchors))
    assert all(np.isfinite([r.value, r.low, r.high]).all() for r in found.values())  # type: ignore[list-item]
    assert gain([*anchors[:1], "x"], anchors, None).n == 19  # one held-out anchor stands in the rows
    alike = by_name(Data.of(["w1 w2 w3"] * 50, anchors))
    assert alike["proxy_gain"].value < 0.1  # type: ignore[operator]
    one = by_name(Data.of(["w1 w2 w3"], anchors[:2]))["proxy_gain"]
    assert one.value is not None and one.n == 2


def test_rows_of_several_batches_keep_their_anchors() -> None:
    world = World(10)
    anchors, rows = world.real(40), world.real(90)
    linked = [{"text": t, "anchor_ids": [str(i % 40)] if i % 3 else []} for i, t in enumerate(rows)]
    whole = Data.of(linked, anchors)

    def small(names: Sequence[str]) -> object:
        table = pa.concat_tables(list(whole.rows(names)))
        return (table.slice(i, 7) for i in range(0, 90, 7))

    assert by_name(replace(whole, rows=small)) == by_name(whole)  # type: ignore[arg-type]


def test_the_guard() -> None:
    nan = float("nan")
    use, why, notes = guarded(np.array([0.0, 0.6, nan, 0.2, 0.1, 0.0, 0.0]), 0.2)
    assert use.tolist() == [True, False, True, True, True, True, True] and not why and "1 held-out" in notes[0]
    assert "2 of 3" in guarded(np.array([0.9, 0.9, 0.0]), 0.2)[1]
    assert "cannot be seen" in guarded(np.array([nan, nan]), 0.2)[2][0]


# ---------------------------------------------------------------------------------------------- with a student


@dataclass
class Letters:
    """A student over characters that knows a fixed law of letters and nothing of their order."""

    sharp: float = 0.0
    identity: str = "letters"
    vocabulary: int = 128

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[min(ord(c), 127) for c in text] for text in texts]

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        return [[-np.log(128.0) + self.sharp] * len(text) for _, text in pairs]


@dataclass
class Short(Letters):
    """A student whose context is too short."""

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        raise SynthgainError("a text of 900 tokens does not fit the context of 512")


@dataclass
class Silent:
    """A student that gives log-probabilities and no token ids."""

    identity: str = "silent"

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        return [[-1.0] for _ in pairs]


def test_the_mixture_is_judged_on_the_students_own_tokens() -> None:
    world = World(11)
    anchors, dev = world.real(20), world.real(40)
    found = by_name(Data.of(world.real(200), anchors, target=dev), scorer=Letters())["proxy_gain_mixture"]
    assert found.value is not None and found.low > 0 and found.n == 40  # type: ignore[operator]
    knows_all = by_name(Data.of(world.real(200), anchors, target=dev), scorer=Letters(sharp=np.log(127.9)))
    assert knows_all["proxy_gain_mixture"].value == 0.0  # λ = 0: nothing to add
    other = by_name(Data.of(world.real(50), anchors, target=dev), scorer=Silent())["proxy_gain_mixture"]
    assert other.value is None and "token ids" in other.note
    short = by_name(Data.of(world.real(50), anchors, target=dev), scorer=Short())["proxy_gain_mixture"]
    assert short.value is None and "does not fit" in short.note
    broken = by_name(Data.of(world.real(50), anchors, target=dev), scorer=Letters(sharp=float("nan")))
    assert broken["proxy_gain_mixture"].value is None and broken["proxy_gain"].value is not None


def test_remembering_many_contents() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 400_000, 600_000)
    earlier, found = Earlier(), []
    for start in range(0, len(values), 50_000):
        found.append(earlier.new(values[start : start + 50_000]))
    assert (np.flatnonzero(np.concatenate(found)) == np.sort(np.unique(values, return_index=True)[1])).all()


def test_gains_document_by_document_add_up_and_pair() -> None:
    world = World(13)
    anchors, rows, others = world.real(50), world.real(80), world.noise(80)
    one, two = held_out_gains(Data.of(rows, anchors)), held_out_gains(Data.of(others, anchors))
    for name, reading in by_name(Data.of(rows, anchors)).items():
        assert one[name].nats.sum() / one[name].tokens.sum() == pytest.approx(reading.value)
        assert (one[name].documents == two[name].documents).all() and (one[name].tokens == two[name].tokens).all()
    assert held_out_gains(Data.of([], anchors)) == {}


def test_the_note_says_whether_rows_leave_with_their_anchors() -> None:
    """Rows that name anchors which are not here leave no fold: nobody may be told that they do."""
    real = [f"a real text of some words, the number {i} of them" for i in range(40)]
    for name, words in (("{}", "leave S with it"), ("gone-{}", "not here")):
        rows = [{"text": f"some new words {i} of mine", "anchor_ids": [name.format(i)]} for i in range(40)]
        note = by_name(Data.of(rows, real))["proxy_gain"].note
        assert words in note and ("may be too high" in note) == ("gone" in name)
    rows = [{"text": f"some new words {i} of mine", "anchor_ids": [str(i)] if i < 30 else []} for i in range(40)]
    assert "10 rows that name none that is here stay" in by_name(Data.of(rows, real))["proxy_gain"].note
