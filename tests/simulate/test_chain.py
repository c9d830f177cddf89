import json
import math

import numpy as np
import pytest

from synthgain.simulate import WORLDS, World, chain
from synthgain.simulate.chain import enumerate_world, world
from synthgain.simulate.worlds import random_world
from synthgain.types import SynthgainError

BIT = math.log(2)


def by_hand(w: World) -> dict[tuple[int, int], float]:
    """P(M, S_gen) by nested loops over a world without filter, written apart from the enumeration."""
    out: dict[tuple[int, int], float] = {}
    for a, pa in enumerate(w.anchor):
        e_p = w.factor[a]
        law = w.model[e_p] if isinstance(w.model[0], tuple) else w.model
        for e_m, pm in enumerate(law):
            m = w.h[e_p] + w.g[e_m]
            for e, pe in enumerate(w.noise):
                out[m, m + e] = out.get((m, m + e), 0.0) + pa * pm * pe
    return out


@pytest.mark.parametrize("seed", range(5))
def test_enumeration_equals_sums_by_hand(seed):
    w = random_world(seed)
    joint = enumerate_world(w)
    law = by_hand(w)
    assert joint.mass.sum() == pytest.approx(1)
    expected = -sum(p * math.log(p) for p in law.values() if p > 0)
    assert joint.h("M", "S_gen") == pytest.approx(expected, abs=1e-12)
    first: dict[int, float] = {}
    for (m, _), p in law.items():
        first[m] = first.get(m, 0.0) + p
    assert joint.h("S_gen", given=["M"]) == pytest.approx(
        expected + sum(p * math.log(p) for p in first.values()), abs=1e-12
    )


def test_mutual_information_of_a_noisy_bit():
    """A binary symmetric channel with flip odds 0.1: I = ln 2 − h(0.1)."""
    w = World(h=(0, 1), g=(0,), model=(1.0,), learn=((0.9, 0.1), (0.1, 0.9)))
    expected = BIT + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)
    assert chain(w)["quantities"]["I(S_gen;W)"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", [*WORLDS, "random"])
def test_every_named_world_is_json_with_the_contracts_keys(name):
    found = chain(name)
    text = json.dumps(found, allow_nan=False)
    assert set(json.loads(text)) >= {"world", "quantities", "inequalities"}
    assert {"name", "left", "right", "slack", "holds"} <= set(found["inequalities"][0])
    assert all(one["holds"] for one in found["inequalities"] if one["name"].startswith(("corrected", "identity")))
    again = chain(json.loads(text)["world"])
    assert again["quantities"] == found["quantities"]


def test_the_world_where_the_bounds_hold():
    found = chain("lossy-edit")
    assert all(one["holds"] for one in found["inequalities"] if one["name"].startswith(("lemma 4.5", "theorem")))


def test_a_filter_draws_again_from_the_same_prompt():
    """Two prompts, a filter that keeps only 1 of {0, 1} and 3 of {2, 3}: S_gen is 1 or 3, half each."""
    found = enumerate_world(World(h=(0, 2), keep=(0.0, 1.0, 0.0, 1.0)))
    assert found.values("S_gen", 4) == pytest.approx([0, 0.5, 0, 0.5])
    assert found.values("M", 4) == pytest.approx([0.25] * 4)


def test_edits_come_before_noise():
    found = enumerate_world(World(h=(0, 2), edit=(0, 0, 2, 2), noise=(0.5, 0.5)))
    assert found.values("S_gen", 5) == pytest.approx([0.25, 0.25, 0.25, 0.25, 0])


def test_random_worlds_repeat_and_differ():
    assert chain("random", seed=3) == chain("random", seed=3)
    assert chain("random", seed=3)["quantities"] != chain("random", seed=4)["quantities"]


def test_lists_from_json_are_taken():
    assert world({"name": "mine", "anchor": [0.5, 0.5], "learn": [[1], [1], [1]]}).learn == ((1,), (1,), (1,))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"anchor": (0.5, 0.6)}, "sum to 1"),
        ({"anchor": (-0.5, 1.5)}, "sum to 1"),
        ({"anchor": ()}, "empty"),
        ({"factor": (0, 5)}, "factor"),
        ({"model": (1.0,)}, "equally long"),
        ({"model": ((0.5, 0.5),) * 3}, "one for each"),
        ({"learn": ((1.0,),)}, "learn"),
        ({"keep": (1.0,)}, "keep must have"),
        ({"keep": (0.0, 0.0, 1.0)}, "keeps nothing"),
        ({"keep": (2.0, 0.0, 1.0)}, "odds"),
        ({"loss": ((1.0,),)}, "loss"),
        ({"target": (1.0,)}, "target"),
        ({"h": (-1, 0)}, "count from 0"),
        ({"sizes": (0, 1)}, "sizes"),
        ({"temperature": 1}, "no field"),
        (
            {
                "anchor": tuple(np.full(500, 1 / 500)),
                "factor": (0,) * 500,
                "h": (0,),
                "g": tuple(range(50)),
                "model": (0.02,) * 50,
            },
            "outcomes",
        ),
    ],
)
def test_broken_worlds_are_refused_in_words(broken, says):
    with pytest.raises(SynthgainError, match=says):
        chain(broken)


def test_unknown_world_is_refused():
    with pytest.raises(SynthgainError, match="no world"):
        chain("atlantis")
