from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from synthgain.measure.after_training import StudentLosses, after_training
from synthgain.measure.gain import Losses, gain
from synthgain.measure.memorisation import memo
from synthgain.types import Reading

NAMES = [
    "gain",
    "held_out_loss",
    "held_out_loss_anchors",
    "generalisation_gap",
    "generalisation_gap_calibrated",
    "memo",
    "memo_anchors",
    "memo_binned",
    "ggmi",
    "absorbed",
    "absorbed_token",
    "faithfulness",
]


def student(seed: int, rate: float, learns: float, *, pairs: int = 40, **record: Any) -> StudentLosses:
    """Losses drawn by seed: `rate` nats a token on test text; members fall by `learns` more than siblings do."""
    dice, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    tokens, hard = fixed.integers(20, 90, 30), fixed.normal(0, 0.3, 30)
    t = dice.integers(5, 50, (2, pairs))
    before = t * dice.normal(2.5, 0.4, (2, pairs))
    after = before - t * (0.5 + dice.normal(0, 0.2, (2, pairs)))
    after[0] -= t[0] * learns
    members, siblings = (Losses(after[i], t[i]) for i in (0, 1))
    curve = [{"step": 1, "loss": 2.6, "learnt": 100, "first": 100}, {"step": 2, "loss": 2.2, "learnt": 90, "first": 90}]
    return StudentLosses(
        {
            "seed": seed,
            "steps": 2,
            "epochs": 1.0,
            "curve": curve,
            "replay": None,
            "held_out": {"pairs": pairs, "why": ""},
        }
        | record,
        test=Losses(tokens * (rate + hard + dice.normal(0, 0.02)), tokens),
        dev=Losses(tokens * (rate - 0.1 + hard), tokens),
        dev_before=Losses(tokens * (2.0 + hard), tokens),
        members=members,
        siblings=siblings,
        members_before=Losses(before[0], t[0]),
        siblings_before=Losses(before[1], t[1]),
    )


def told(*args: Any, **more: Any) -> dict[str, Reading]:
    found = after_training(*args, **more)
    assert [r.name for r in found] == NAMES
    for reading in found:
        assert reading.unit and (reading.note or reading.value is not None)
    return {r.name: r for r in found}


def test_everything_is_read_from_three_seeds_a_side() -> None:
    mine, theirs = [student(s, 1.5, 0.1) for s in (1, 2, 3)], [student(s, 1.6, 0.6) for s in (4, 5, 6)]
    found = told(mine, theirs)
    assert all(r.value is not None and r.low is not None and r.low <= r.value <= r.high for r in found.values())  # type: ignore[operator]
    assert found["gain"] == gain([s.test for s in theirs], [s.test for s in mine])  # type: ignore[misc]
    assert found["gain"].value == pytest.approx(
        found["held_out_loss_anchors"].value - found["held_out_loss"].value  # type: ignore[operator]
    )
    assert found["memo"].n == 120 and "pairs of 3 trainings pooled" in found["memo"].note
    assert found["ggmi"].value == pytest.approx(found["memo_anchors"].value - found["memo"].value) and (  # type: ignore[operator]
        found["ggmi"].low > 0  # type: ignore[operator]
    )
    assert found["faithfulness"].value == pytest.approx(-0.6)
    finals = [s.siblings.nats.sum() / s.siblings.tokens.sum() for s in mine]  # type: ignore[union-attr]
    assert found["absorbed"].value == pytest.approx(np.mean([100 * (2.6 - f) + 90 * (2.2 - f) for f in finals]))


def test_memo_is_of_calibrated_losses_per_token() -> None:
    """Rows differ much in how hard they are; only the change from the base tells members from siblings."""
    one = student(3, 1.5, 0.6)
    m, s, mb, sb = one.members, one.siblings, one.members_before, one.siblings_before
    assert m is not None and s is not None and mb is not None and sb is not None
    expected = memo((m.nats - mb.nats) / m.tokens, (s.nats - sb.nats) / s.tokens)
    raw = memo(m.nats / m.tokens, s.nats / s.tokens)
    assert told([one])["memo"] == expected and expected.value > 2 * raw.value  # type: ignore[operator]


def test_one_seed_has_intervals_over_documents_only() -> None:
    found = told([student(1, 1.5, 0.3)], [student(2, 1.6, 0.3)])
    assert found["gain"].low is not None and "does not cover how trainings differ" in found["gain"].note
    assert (
        found["absorbed"].value is not None
        and found["absorbed"].low is None
        and "1 data order" in found["absorbed"].note
    )


def test_arms_of_unequal_steps_are_named() -> None:
    found = told([student(1, 1.5, 0.3)], [student(2, 1.6, 0.3, steps=4)])
    assert "not compute-matched: 2 and 4 optimiser steps" in found["gain"].note
    assert "matched" not in told([student(1, 1.5, 0.3)], [student(2, 1.6, 0.3)])["gain"].note


def test_what_was_not_held_out_is_said_in_the_students_own_words() -> None:
    bare = replace(
        student(1, 1.5, 0.3, held_out={"why": "the rows have 8 different prompts"}), members=None, siblings=None
    )
    found = told([bare], [student(2, 1.6, 0.3)])
    for name in ("generalisation_gap", "generalisation_gap_calibrated", "memo", "memo_binned", "absorbed"):
        assert found[name].value is None and "8 different prompts" in found[name].note
    assert found["ggmi"].value is None and "synthetic rows" in found["ggmi"].note
    assert found["gain"].value is not None and found["memo_anchors"].value is not None


def test_nothing_at_all() -> None:
    for students, against in (([], []), ([StudentLosses()], [StudentLosses()])):
        found = told(students, against)
        assert all(r.value is None and r.note for r in found.values())


def test_missing_parts_leave_the_rest() -> None:
    one = student(1, 1.5, 0.3)
    no_base = told([replace(one, members_before=None)])
    assert no_base["memo"].value is None and no_base["generalisation_gap"].value is not None
    assert no_base["gain"].value is None and no_base["ggmi"].value is None and no_base["absorbed"].value is not None
    replayed = told([student(1, 1.5, 0.3, replay={"tokens": 70})])
    assert replayed["absorbed"].value is None and "replay" in replayed["absorbed"].note
    older = told([student(1, 1.5, 0.3, curve=[{"step": 1, "loss": 2.0, "tokens": 9, "lr": 0.1}])])
    assert older["absorbed_token"].value is None and "train again" in older["absorbed_token"].note
    short = told([student(1, 1.5, 0.3, epochs=0.4)])
    assert "only 40% of a pass" in short["absorbed"].note
    assert told([replace(one, dev=None)])["faithfulness"].value is None


def test_broken_losses_are_never_a_number() -> None:
    one = student(1, 1.5, 0.3)
    assert one.members is not None and one.siblings is not None and one.siblings_before is not None
    nan = Losses(np.full(len(one.members), np.nan), one.members.tokens)
    shorter = Losses(one.siblings.nats[:5], one.siblings.tokens[:5])
    other = Losses(one.siblings_before.nats, one.siblings_before.tokens + 1)
    for broken in (
        replace(one, members=nan),
        replace(one, siblings=shorter),
        replace(one, members_before=nan),
        replace(one, siblings_before=other),
    ):
        found = told([broken])
        assert found["memo"].value is None and found["memo_binned"].value is None
        assert found["generalisation_gap_calibrated"].value is None
    few = told([student(1, 1.5, 0.3, pairs=1)])
    assert few["generalisation_gap"].low is None and few["memo_binned"].value is None and few["memo"].value is not None


def test_a_student_given_twice_is_no_second_seed() -> None:
    """Copies would make the interval narrow and pool the same pairs again."""
    mine, theirs = [student(1, 1.5, 0.1), student(2, 1.5, 0.1)], [student(4, 1.6, 0.6), student(5, 1.6, 0.6)]
    once, twice = told(mine, theirs), told([*mine, *mine], [*theirs, theirs[0]])
    for name, reading in once.items():
        other = twice[name]
        assert (other.value, other.low, other.high, other.n) == (reading.value, reading.low, reading.high, reading.n)
    assert "given twice" in twice["gain"].note and "given twice" not in once["gain"].note


def test_held_out_rows_that_repeat_the_learnt_ones_show_nothing() -> None:
    one = student(1, 1.5, 0.1)
    copied = replace(one, siblings=one.members, siblings_before=one.members_before)
    found = told([copied], [student(4, 1.6, 0.6)])
    for name in ("memo", "memo_binned", "generalisation_gap", "generalisation_gap_calibrated", "ggmi", "absorbed"):
        assert found[name].value is None and "says the same" in found[name].note
    assert found["gain"].value is not None and found["memo_anchors"].value is not None
