import json

import numpy as np
import pytest

from synthgain.simulate import GmmOptions, gmm, scene, sentences
from synthgain.simulate.gmm import point
from synthgain.simulate.options import PROTOCOLS
from synthgain.types import SynthgainError

SMALL = {"worlds": 8, "values": (2, 3), "draws": 100, "rounds": 1, "resample": 50}


def test_default_point_under_the_authors_protocol():
    """ESTIMATORS check 27: the exact reverse gap at K = J = L = 2 is negative, -8.5 [-9.6, -7.3] there; the published
    estimator says the opposite of the same worlds."""
    found = point(worlds=300)
    assert -9.6 < np.median(found.gap("reverse")) < -7.3
    assert np.median(found.gap("histogram")) > 0
    assert 25 < np.median(found.gap("forward")) < 45  # 34 there


def test_published_trends_with_the_published_estimator_and_what_exact_densities_say():
    found = gmm(worlds=60, values=(2, 5, 10, 15), rounds=3, draws=500)
    holds = {(t["axis"], t["divergence"]): t["holds"] for t in found["trends"]}
    assert [holds[axis, "histogram"] for axis in "JKL"] == [True, True, True]
    assert [holds[axis, "reverse"] for axis in "JKL"] == [True, False, True]
    assert holds["J", "forward"] is True
    assert holds["K", "forward"] is True
    assert holds["L", "forward"] is not True


def test_without_learning_the_gap_is_that_of_the_supports():
    """Where nothing is off task and M knows all, π_gen is nearly G: the reverse gap nears ln((K+J)/K)."""
    found = point(
        protocols=("no-fit",), K=2, J=6, L=1, dimension=8, anchors=5000, worlds=40, divergences=("reverse",), draws=1000
    )
    anchor, _ = found.pairs["reverse"]
    assert np.median(anchor) == pytest.approx(np.log(8 / 2), abs=0.02)


def test_a_model_that_only_repeats_adds_nothing_forward():
    found = point(generator="anchors", protocols=("valid",), worlds=60, divergences=("forward",))
    assert np.median(found.gap("forward")) < 0


def test_a_model_that_knows_more_gives_more():
    gaps = [
        np.median(point(knows=knows, J=6, protocols=("valid",), worlds=60, divergences=("reverse",)).gap("reverse"))
        for knows in (0.0, 0.5, 1.0)
    ]
    assert gaps == sorted(gaps)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dimension", [2, 3])
def test_every_protocol_gives_the_contracts_json(protocol, dimension):
    divergences = ("histogram", "reverse", "forward") if dimension == 2 else ("reverse", "forward")
    found = gmm(protocols=(protocol,), dimension=dimension, divergences=divergences, **SMALL)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert len(found["points"]) == 3 * 2 * len(divergences)
    assert {"axis", "x", "protocol", "divergence", "worlds", "median", "low", "high"} <= set(found["points"][0])
    assert {"axis", "protocol", "divergence", "claimed", "slope", "low", "high", "holds"} <= set(found["trends"][0])
    assert all(p["worlds"] == 8 and p["low"] <= p["median"] <= p["high"] for p in found["points"])
    assert len(sentences(found)) == len(found["trends"])


def test_the_same_seed_gives_the_same_figures_whatever_the_workers():
    first, second = (gmm(workers=workers, **SMALL) for workers in (1, 3))
    assert first == second
    assert gmm(seed=1, **SMALL)["points"] != first["points"]


def test_more_worlds_keep_the_first_ones():
    few, many = (point(worlds=n, divergences=("reverse",)) for n in (7, 120))
    assert (many.gap("reverse")[:7] == few.gap("reverse")).all()


def test_asking_for_one_divergence_gives_what_asking_for_all_gives():
    alone, together = point(worlds=9, divergences=("forward",)), point(worlds=9)
    assert (alone.gap("forward") == together.gap("forward")).all()


def test_information_gain_stands_beside_the_gap():
    found = gmm(axes=("L",), values=(2, 12), worlds=60, divergences=("reverse",))
    near, far = found["worlds"]
    assert far["delta_I"] > near["delta_I"]  # a model that talks of more things is more random
    assert far["d_tv"] > near["d_tv"] + 0.2  # and further from the truth


def test_scene_shows_one_world():
    found = scene(J=3)
    assert len(found["scene"]["anchors"]) == 100
    assert len(found["scene"]["synthetic"]) == 200
    assert [len(found["scene"][law]) for law in ("truth", "model", "anchor_fit", "synthetic_fit")] == [5, 7, 2, 7]


def test_a_neural_model_goes_through_the_whole_experiment():
    pytest.importorskip("torch", reason='pip install "synthgain[train]"')
    found = gmm(axes=("J",), values=(2,), worlds=2, generator="flow", steps=5, divergences=("forward",), draws=100)
    assert found["worlds"][0]["delta_I"] is None and found["worlds"][0]["note"]
    assert np.isfinite(found["points"][0]["median"])


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"K": 0}, "at least 1"),
        ({"J": -3}, "at least 1"),
        ({"values": (2, 2.5)}, "whole numbers"),
        ({"values": ()}, "whole numbers"),
        ({"values": (2, 2)}, "differ"),
        ({"anchors": 1}, "singular"),
        ({"dimension": 1}, "dimension"),
        ({"dimension": 4}, "histogram"),
        ({"synthetic": 5}, "fits"),
        ({"K": 1, "axes": ("J",), "values": (60,), "protocols": ("text",)}, "fits"),
        ({"values": (2, 5000)}, "components"),
        ({"worlds": 10**9}, "hours"),
        ({"worlds": 0}, "worlds"),
        ({"axes": ("M",)}, "axis"),
        ({"protocols": ("mine",)}, "protocol"),
        ({"divergences": ()}, "divergence"),
        ({"generator": "gan"}, "generator"),
        ({"knows": 1.5}, "knows"),
        ({"seed": -1}, "seed"),
        ({"workers": 0}, "workers"),
        ({"colour": "red"}, "no option"),
        ({"generator": "vae", "protocols": ("no-fit",), "worlds": 1, "values": (2,)}, "no-fit"),
    ],
)
def test_bad_input_is_refused_in_words(knobs, says):
    with pytest.raises(SynthgainError, match=says):
        gmm(GmmOptions(), **knobs)
