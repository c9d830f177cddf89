"""The audit of the paper's mathematics (ESTIMATORS.md section 1.1), each claim with the smallest world that tests it."""

import math

import numpy as np
import pytest

from synthgain.simulate import chain
from synthgain.simulate.chain import enumerate_world
from synthgain.simulate.worlds import random_world

BIT = math.log(2)


def rows(found, starts):
    return [one for one in found["inequalities"] if one["name"].startswith(starts)]


def row(found, starts):
    (one,) = rows(found, starts)
    return one


def normal_entropy(variance: float) -> float:
    return 0.5 * math.log(2 * math.pi * math.e * variance)


def test_m1_the_integral_is_twice_the_total_variation():
    one = row(chain("strict-filter"), "eq. 12")
    assert not one["holds"]
    assert one["left"] == pytest.approx(2 * one["right"])


def test_m2_a_filter_costs_what_it_rejects_however_good_it_is():
    found = chain("strict-filter")["quantities"]
    assert found["acceptance"] == pytest.approx(0.1)
    assert found["D_TV(D_M,D_gen)"] == pytest.approx(0.9)
    assert found["KL(D_gen||D_M)"] == pytest.approx(-math.log(0.1))
    assert found["D_TV(D,D_gen)"] == pytest.approx(0.0)  # the kept law is the target itself


def test_m3_entropy_after_curation_has_no_fixed_sign():
    noise = row(chain("noise"), "eq. 15")
    assert (noise["left"] / BIT, noise["right"] / BIT) == pytest.approx((1.5, 1.0))
    assert not noise["holds"]
    assert not row(chain("raising-filter"), "eq. 15")["holds"]
    assert row(chain("strict-filter"), "eq. 15")["holds"]
    assert row(chain("lossy-edit"), "eq. 15")["holds"]


def test_m4_data_processing_goes_the_other_way():
    found = chain("noise")
    assert not row(found, "eq. 16")["holds"]
    assert row(found, "corrected 16")["holds"]
    assert found["quantities"]["delta_epsilon"] < 0
    # Gaussian: M ~ N(0, 2), noise 1, learner's noise 1
    assert normal_entropy(4) - normal_entropy(1) == pytest.approx(0.693, abs=1e-3)  # I(S;W)
    assert normal_entropy(4) - normal_entropy(2) == pytest.approx(0.347, abs=1e-3)  # I(M;W)


def test_m4_holds_in_random_worlds():
    for seed in range(50):
        joint = enumerate_world(random_world(seed))
        assert joint.i("M", "W") <= joint.i("S_gen", "W") + 1e-12


def test_m5_holds_for_discrete_variables_and_fails_for_densities():
    for seed in range(50):
        found = chain(random_world(seed))
        assert all(one["holds"] for one in rows(found, ("eq. 18", "eq. 24")))
    assert normal_entropy(4) - normal_entropy(1) == pytest.approx(BIT)  # h(2X) − h(X) > 0
    assert normal_entropy(0.02) > 2 * normal_entropy(0.01)  # h(X + Y) > h(X) + h(Y)


def test_m6_a_sum_can_be_known_better_than_its_parts():
    found = chain("decodable-sum")
    parts, factors = rows(found, "eq. 21")
    assert (parts["left"] / BIT, parts["right"] / BIT) == pytest.approx((1.5, 1.0))
    assert not parts["holds"] and not factors["holds"]
    assert row(found, "corrected 21")["slack"] == pytest.approx(0.0, abs=1e-12)


def test_m7_the_assumed_chain_makes_training_blind_to_the_prompt():
    found = chain("prompt-blind")
    markov = next(c for c in found["conditions"] if c["name"].startswith("M(p) -> e_M"))
    assert markov["met"]
    assert found["quantities"]["I(e_p;W)"] == pytest.approx(0.0, abs=1e-12)
    assert row(found, "lemma 4.5")["holds"]


def test_m8_lemma_4_5_is_false_without_that_chain():
    one = row(chain("relation"), "lemma 4.5")
    assert one["left"] == pytest.approx(BIT)
    assert one["right"] == pytest.approx(0.0, abs=1e-12)
    assert not one["holds"]


def test_m9_delta_i_is_no_lever_of_the_bound():
    worst = 0.0
    for seed in range(200):
        one = row(chain(random_world(seed)), "identity: -dI")
        worst = max(worst, abs(one["slack"]))
        assert one["left"] >= -1e-12
    assert worst < 1e-9
    # independent factors and an injective g: 0, whatever ΔI is
    for odds in (0.5, 0.7, 0.99):
        q = chain({"h": (0, 2), "model": (odds, 1 - odds)})["quantities"]
        assert q["H(e_M)"] - q["delta_I"] == pytest.approx(0.0, abs=1e-12)


def test_m10_the_last_line_of_23_drops_a_term_that_it_needs():
    found = chain("decodable-sum")
    assert not row(found, "eq. 23")["holds"]
    assert row(found, "lemma 4.5")["slack"] == pytest.approx(0.0, abs=1e-12)


def test_m11_a_larger_lambda_means_less_information_from_the_prompt():
    known = []
    for flips in (0.0, 0.1, 0.3):
        q = chain({"h": (0, 1), "g": (0, 1), "model": ((1 - flips, flips), (1.0, 0.0))})["quantities"]
        known.append((q["lambda"], q["I(e_p;M(p))"]))
    assert [k[0] for k in known] == sorted(k[0] for k in known)
    assert [k[1] for k in known] == sorted((k[1] for k in known), reverse=True)


def test_m12_equation_29_is_an_equality_when_only_the_factor_matters():
    for seed in range(50):
        one = row(chain(random_world(seed)), "eq. 29")
        assert one["holds"]
    independent = chain({"anchor": (0.2, 0.3, 0.5), "factor": (0, 1, 0), "h": (0, 1)})
    assert row(independent, "eq. 29")["slack"] == pytest.approx(0.0, abs=1e-12)


def test_m13_theorem_4_10_is_an_identity_and_noise_breaks_it():
    broken = 0
    for seed in range(300):
        found = chain(random_world(seed))
        assert abs(row(found, "identity: slack")["slack"]) < 1e-12
        joint = enumerate_world(random_world(seed))
        independent = joint.i("S_anchor", "M", given=["h"]) < 1e-12
        broken += not row(found, "theorem 4.10")["holds"]
        if independent:
            assert not row(found, "theorem 4.10")["holds"]
        assert row(found, "corrected 4.10")["holds"]
    assert broken > 200
    assert row(chain(random_world(0, noisy=False)), "theorem 4.10")["holds"]


def test_m13_independent_factors_with_noise_always_break_it():
    rng = np.random.default_rng(0)
    for _ in range(300):
        law = [tuple(rng.dirichlet(np.ones(n))) for n in (3, 3, 2)]
        w = {"anchor": law[0], "factor": (0, 1, 2), "h": (0, 2, 3), "g": (0, 1, 4), "model": law[1], "noise": law[2]}
        assert not row(chain(w), "theorem 4.10")["holds"]


def test_m13_one_nat_of_delta_i_enters_the_right_side_as_minus_one():
    """With I(S_anchor;M(p)) held fixed and W = S_gen, the right side falls as ΔI rises."""
    sides = []
    for n in (1, 2, 4):
        found = chain({"h": (0, 4), "g": tuple(range(n)), "model": (1 / n,) * n})
        sides.append((found["quantities"]["delta_I"], row(found, "theorem 4.10")["right"]))
    (d0, r0), (d1, r1), (d2, r2) = sides
    assert d0 < d1 < d2
    assert (r1 - r0) / (d1 - d0) == pytest.approx(-1)
    assert (r2 - r1) / (d2 - d1) == pytest.approx(-1)


def test_m14_a_learner_that_learns_nothing_has_the_largest_ggmi():
    q = chain("silent-learner")["quantities"]
    assert q["I(S_gen;W)"] == pytest.approx(0.0, abs=1e-12)
    assert q["ggmi"] == pytest.approx(q["I(S_anchor;W')"])
    assert q["ggmi"] > chain("relation")["quantities"]["ggmi"]


def test_m15_ggmi_turns_its_sign_when_bounds_are_compared_per_example():
    q = chain("many-examples")["quantities"]
    assert q["ggmi"] < 0 < q["ggmi_per_example"]


def test_m16_the_expected_absolute_gap_needs_ln_2_more():
    found = chain("silent-learner")
    assert not row(found, "lemma 4.6")["holds"]
    assert all(one["holds"] for one in rows(found, "corrected 4.6"))
    for seed in range(100):
        assert all(one["holds"] for one in rows(chain(random_world(seed)), "corrected 4.6"))


def test_m18_the_bound_is_vacuous_above_two_nats_a_sample():
    def term(nats: float, c: float = 1.0) -> float:
        return math.sqrt(2 * (c / 2) ** 2 * nats)

    assert term(1.99) < 1 < term(2.01)
    assert term(91) > 6  # 91 nats were measured for a 31-token answer


def test_m19_a_density_can_make_alpha_negative():
    """H(S|W') and H(S|W) are differential; with a sharp W the ratio α is below 0."""
    vague, sharp = normal_entropy(1.0), normal_entropy(0.01)
    assert vague > 0 > sharp
    assert vague / sharp < 0


def test_lemma_4_5_holds_where_the_factors_meet_the_learner_without_synergy():
    met = 0
    for seed in range(200):
        found = chain(random_world(seed))
        if next(c for c in found["conditions"] if "synergy" in c["name"])["met"]:
            met += 1
            assert row(found, "lemma 4.5")["holds"]
    assert met > 20


def test_m16_outputs_of_one_prompt_are_not_independent():
    """n answers to one prompt whose answers agree hold no more than one: the gap's spread does not fall as 1/√n."""
    rng = np.random.default_rng(0)
    prompts = rng.random((4000, 1)) < 0.5  # each prompt is answered right by all of its 100 draws, or by none
    draws = np.repeat(prompts, 100, axis=1)
    alone = rng.random((4000, 100)) < 0.5
    assert draws.mean(axis=1).std() == pytest.approx(0.5, abs=0.02)
    assert alone.mean(axis=1).std() == pytest.approx(0.05, abs=0.005)


def test_m17_a_residual_layer_need_not_contract():
    """x + f(x) with |f'| < 1 can be undone, so it keeps every bit (η = 1); a rectifier alone loses some."""
    x = np.linspace(-3, 3, 401)

    def entropy(values) -> float:
        share = np.unique(values, return_counts=True)[1] / len(values)
        return float(-(share * np.log(share)).sum())

    deep = x
    for _ in range(30):  # thirty layers
        deep = deep + 0.5 * np.tanh(deep)
        assert (np.diff(deep) > 0).all()
    assert entropy(deep) == pytest.approx(entropy(x)) == pytest.approx(math.log(401))
    assert entropy(np.maximum(x, 0)) < entropy(x) - 0.3
