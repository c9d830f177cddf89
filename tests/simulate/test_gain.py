import json
import math

import pytest

from synthgain.intervals import t_quantile
from synthgain.simulate import GainOptions, gain
from synthgain.simulate.gain import DOSES, WORLDS, settings
from synthgain.types import SynthgainError


def curve(found, name):
    return [next(r.value for r in s.readings if r.name == name) for s in found]


def test_location_table():
    """ESTIMATORS check 8."""
    found = settings(world="location")
    assert [s.knobs["value"] for s in found] == [0.25, 1, 4, 16, 64]
    assert curve(found, "gain") == pytest.approx([0.0726, 0.0678, 0.0535, 0.0290, 0.0103], abs=5e-5)
    assert curve(found, "naive_gain") == pytest.approx([0.0728, 0.0667, 0.0426, -0.054, -0.441], abs=1e-3)
    assert curve(found, "delta_I") == pytest.approx([0.73, 1.42, 2.11, 2.81, 3.50], abs=5e-3)


def test_temperature_gives_an_inverted_u_that_delta_i_does_not_see():
    """ESTIMATORS check 19: ΔI rises strictly; the proxy's and the real gain's peak lie at a temperature of about 1."""
    found = settings(dose="temperature", worlds=6)
    heat = [s.knobs["value"] for s in found]
    dose, proxy, real = (curve(found, name) for name in ("delta_I", "proxy_gain", "gain"))
    assert dose == sorted(dose)
    for benefit in (proxy, real):
        assert heat[benefit.index(max(benefit))] in (0.7, 1.0)
        assert benefit[0] < max(benefit) - 0.2 and benefit[-1] < max(benefit) - 0.2
    assert curve(found, "transfer_kl") == sorted(curve(found, "transfer_kl"), reverse=True)


def test_hallucination_raises_delta_i_and_lowers_the_gain():
    found = settings(dose="hallucination", worlds=4)
    assert curve(found, "delta_I") == sorted(curve(found, "delta_I"))
    assert curve(found, "gain") == sorted(curve(found, "gain"), reverse=True)


def test_copying_brings_delta_i_to_zero_and_the_gain_below_it():
    found = settings(dose="copying", values=(0.0, 1.0), worlds=4)
    assert curve(found, "delta_I")[1] == pytest.approx(0.0, abs=1e-9)
    assert curve(found, "gain")[1] < 0 < curve(found, "gain")[0]


def test_off_task_documents_leave_delta_i_alone_and_take_the_gain():
    found = settings(dose="off_task", values=(0.0, 1.0), worlds=4)
    dose, real = curve(found, "delta_I"), curve(found, "gain")
    assert dose[1] == pytest.approx(dose[0], rel=0.1)
    assert real[1] < 0.3 * real[0]


def test_a_better_verifier_gives_more_gain_at_a_known_price():
    found = settings(dose="verifier", values=(0.5, 1.0), worlds=6)
    assert curve(found, "gain")[1] > curve(found, "gain")[0]
    assert curve(found, "acceptance") == [0.5, 0.5]
    assert curve(found, "curation_nats") == pytest.approx([math.log(2)] * 2)


def test_more_documents_give_more():
    found = settings(dose="documents", values=(50, 1600), worlds=4)
    assert curve(found, "gain")[1] > curve(found, "gain")[0] > 0


def test_flat_list_names_its_settings_and_repeats():
    first = gain(dose="copying", values=(0.0, 0.5), worlds=2)
    assert first == gain(GainOptions(dose="copying", values=(0.0, 0.5), worlds=2))
    assert {r.name.partition("@")[2] for r in first} == {"copying=0", "copying=0.5"}
    assert first != gain(dose="copying", values=(0.0, 0.5), worlds=2, seed=1)
    assert first[0].low is None and "too few" in first[0].note
    json.dumps([s.json() for s in settings(dose="copying", values=(0.0,), worlds=2)], allow_nan=False)


def test_every_dose_belongs_to_a_world():
    assert {d for doses in WORLDS.values() for d in doses} == set(DOSES)


@pytest.mark.parametrize(
    ("p", "freedom", "table"),
    [(0.975, 3, 3.182), (0.975, 11, 2.201), (0.975, 100, 1.984), (0.95, 5, 2.015)],
)
def test_t_quantile_against_the_table(p, freedom, table):
    assert t_quantile(2 * p - 1, freedom) == pytest.approx(table, rel=0.01)


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"world": "moon"}, "no world"),
        ({"dose": "noise"}, "no dose"),
        ({"world": "location", "dose": "copying"}, "no dose"),
        ({"worlds": 1}, "at least 2"),
        ({"anchors": 1}, "2 anchors"),
        ({"worlds": 10**9}, "hours"),
        ({"values": (0.0,)}, "temperature"),
        ({"dose": "copying", "values": (1.5,)}, "shares"),
        ({"dose": "verifier", "values": (0.2,)}, "verifier"),
        ({"dose": "documents", "values": (1.5,)}, "whole number"),
        ({"dose": "documents", "values": (10**9,)}, "hours"),
        ({"world": "location", "values": (-1.0,)}, "above 0"),
        ({"values": (1.0, 1.0)}, "differ"),
        ({"values": (math.nan,)}, "finite"),
        ({"colour": 1}, "no option"),
    ],
)
def test_bad_input_is_refused_in_words(knobs, says):
    with pytest.raises(SynthgainError, match=says):
        gain(**knobs)
