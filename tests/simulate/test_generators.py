import numpy as np
import pytest

from synthgain.simulate.generators import Making, chosen, covariances, observed, truths
from synthgain.types import SynthgainError


def test_product_covariance_is_what_numpy_draws_from():
    """A Bᵀ is not symmetric; numpy's draws have covariance (CᵀC)^½ all the same."""
    rng = np.random.default_rng(3)
    state = rng.bit_generator.state
    effective = covariances(rng, "product", (), 2)
    rng.bit_generator.state = state
    product = rng.random((2, 2)) @ rng.random((2, 2)).T
    assert abs(product[0, 1] - product[1, 0]) > 0.05
    draws = np.random.RandomState(0).multivariate_normal([0, 0], product, 200_000, check_valid="ignore")
    assert np.cov(draws.T) == pytest.approx(effective, abs=0.01)


def test_sound_covariances_are_sound():
    found = covariances(np.random.default_rng(0), "sound", (50, 4), 3)
    assert np.linalg.eigvalsh(found).min() >= 0.05 - 1e-9


def test_truths_lie_in_the_square():
    law = truths(np.random.default_rng(0), "sound", 100, 5, 2)
    assert law.means.min() > 0 and law.means.max() < 10
    assert law.means.mean() == pytest.approx(5, abs=0.3)


def world(seen: int = 2, unseen: int = 4):
    rng = np.random.default_rng(0)
    truth = truths(rng, "sound", 3, seen + unseen, 2)
    return rng, truth, rng.standard_normal((3, seen, 50, 2)) + truth.means[:, :seen, None]


def test_informed_model_has_observed_then_true_then_made_up_components():
    rng, truth, anchors = world()
    law = Making()(rng, truth, anchors, 3).law
    assert law.components == 2 + 4 + 3
    assert law.means[1, 0] == pytest.approx(anchors[1, 0].mean(axis=0))
    assert law.covariances[1, 0] == pytest.approx(np.cov(anchors[1, 0].T) + 1e-6 * np.eye(2))
    assert (law.means[:, 2:6] == truth.means[:, 2:]).all()
    assert law.weights == pytest.approx(np.full((3, 9), 1 / 9))


@pytest.mark.parametrize(("knobs", "known"), [({"knows": 0.5}, 2), ({"name": "blind"}, 0), ({"knows": 1.0}, 4)])
def test_what_a_model_knows_of_the_unseen_part(knobs, known):
    rng, truth, anchors = world()
    law = Making(**knobs)(rng, truth, anchors, 1).law
    assert law.components == 7
    assert (law.means[:, 2:6] == truth.means[:, 2:]).all(axis=(0, 2)).sum() == known


def test_the_repeater_has_the_anchors_components_only():
    rng, truth, anchors = world()
    law = Making(name="anchors")(rng, truth, anchors, 5).law
    assert law.components == 2
    assert law.means == pytest.approx(observed(anchors)[0])


def test_unknown_generator_is_refused():
    with pytest.raises(SynthgainError, match="no generator"):
        chosen("gan")


@pytest.mark.parametrize("name", ["vae", "flow", "diffusion"])
def test_neural_generators_learn_the_law_they_are_shown(name):
    """Two far clusters of different shape: mass, means and spreads come back, in each world its own."""
    pytest.importorskip("torch", reason='pip install "synthgain[train]"')
    from synthgain.simulate.neural import school

    rng = np.random.default_rng(0)
    centre = np.array([[[-4.0, 0.0]], [[0.0, 100.0]]])
    right = rng.random((2, 1500, 1)) < 0.3
    lessons = centre + np.where(right, [8.0, 0.0], [0.0, 0.0]) + rng.standard_normal((2, 1500, 2)) * [0.5, 1.0]
    made = school(name, lessons, rng, 200).draw(rng, 3000)
    for world in range(2):
        mine, theirs = made[world] - centre[world], lessons[world] - centre[world]
        assert (mine[:, 0] > 4).mean() == pytest.approx((theirs[:, 0] > 4).mean(), abs=0.1)
        assert mine.mean(axis=0) == pytest.approx(theirs.mean(axis=0), abs=1.0)
        assert mine.std(axis=0) == pytest.approx(theirs.std(axis=0), rel=0.3)


def test_neural_generators_repeat_themselves():
    pytest.importorskip("torch", reason='pip install "synthgain[train]"')
    from synthgain.simulate.neural import school

    lessons = np.random.default_rng(0).standard_normal((2, 300, 3))
    first, second = (
        school("flow", lessons, rng, 5).draw(rng, 10) for rng in (np.random.default_rng(1) for _ in range(2))
    )
    assert (first == second).all()
