"""Limits on S²: maps that are known, and their stationary densities with noise."""

import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import auxiliary, config, encodings, initial
from meanfield_pde.attention import Attention, Head, Prompt, Within
from meanfield_pde.building import build
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.sphere import Sphere

CENTER = np.array([0.6, 0.0, 0.8])


def sphere(attention, sigma=0.0, **options):
    start = Initial(initial.vonmises(CENTER, 1.0))
    return Problem(Sphere(12), attention, np.array([0.0, 1.0]), start, sigma, **options)


def test_a_ring_spreads_tokens_along_the_equator_as_on_the_circle():
    """Positions in the plane of e_1 and e_2 leave the equator to itself: the circle's own map."""
    nu = auxiliary.uniform(6)
    ring = [encodings.additive(encodings.ring(nu.nodes, 0.8, d)) for d in (2, 3)]
    flat = Attention((Head.plain(2.0, 2),), nu, ring[0])
    start = Initial(initial.fourier([(1, 0.3, 0.4)]))
    known = mf.limit(Problem(Circle(64), flat, np.array([0.0, 1.0]), start))
    found = mf.limit(sphere(Attention((Head.plain(2.0, 3),), nu, ring[1])))
    assert found.verdict == known.verdict == "pushforward"
    assert found.residual <= 1e-12
    assert found.stable
    vectors = found.pushforward_map
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1.0).max() < 1e-14
    assert np.abs(vectors[:, 2]).max() < 1e-10  # Newton ends at residuals of 1e-12 over rates near one
    angles = np.arctan2(vectors[:, 1], vectors[:, 0])
    assert np.abs(np.exp(1j * angles) - np.exp(1j * known.pushforward_map)).max() < 1e-10
    assert found.attributes["interaction_energy"] == pytest.approx(
        known.attributes["interaction_energy"], rel=1e-10
    )


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_rotary_encodings_are_their_own_pushforward(normalization):
    """T(z) = R(−ωz) u (MODEL.md, exact result 9), about e_3: all u are one point."""
    nu = auxiliary.uniform(2)
    code = encodings.rotary(nu.nodes, 2.0)
    attention = Attention((Head.plain(1.5, 3),), nu, code, normalization)
    found = mf.limit(sphere(attention))
    turned = np.einsum("zde,ze->zd", Sphere(4).rotations(code.angles), found.pushforward_map)
    assert found.residual <= 1e-12
    assert np.abs(turned - turned[0]).max() < 1e-10


def test_prompts_within_populations_reach_any_target():
    """Tokens that attend to their own population and to one prompt q(z) go to T = q (MODEL.md, section 5)."""
    rng = np.random.default_rng(3)
    targets = rng.standard_normal((5, 3))
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    nu = auxiliary.uniform(5)
    prompt = Prompt(targets[:, None], np.ones(1), 0.4)
    attention = Attention((Head.plain(2.0, 3, Within()),), nu, prompt=prompt)
    found = mf.limit(sphere(attention))
    assert found.stable
    assert np.abs(found.pushforward_map - targets).max() < 1e-11
    assert found.w2 < 1e-10


def stationary(space, extra=""):
    return f"""
[token]
space = "{space}"
resolution = 20
[attention]
beta = 2.0
[noise]
sigma = 0.15
[initial]
kind = "vonmises"
concentration = 1.0
{extra}
[time]
final = 1.0
"""


def test_clusters_with_noise_are_those_of_the_zonal_sphere():
    """About any axis: one is symmetric about e_1, the other about a point off all axes."""
    zonal = mf.limit(build(config.loads(stationary("zonal", "center = [1.0, 0.0, 0.0]"))))
    free = mf.limit(build(config.loads(stationary("sphere", "center = [0.6, 0.48, 0.64]"))))
    assert max(zonal.residual, free.residual) <= 1e-12
    assert zonal.stable
    assert free.stable
    # Both resolve atol = 1e-10; energies and entropies are sums of about a thousand coefficients.
    for name in ("order_parameter", "free_energy", "entropy", "interaction_energy"):
        assert free.attributes[name] == pytest.approx(zonal.attributes[name], abs=1e-8)
    # Turning the cluster is neutral, and left out.
    assert free.attributes["leading_eigenvalue"] < 0.0
    mean = free.record.groups["limit"]
    assert mean.attributes["verdict"] == "collapsed"
