"""Velocities between tokens and their derivatives, against the definition and differences of it."""

import numpy as np
from hypothesis import HealthCheck, given, settings

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Alibi, Attention, Head, Prompt, reference
from meanfield_pde.attention import linearised as module
from meanfield_pde.attention.linearised import linearised
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.circle import Circle
from tests.cases import SEEDS, attentions

RANDOM = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
SPACE = Circle(16)
#: Strengths at which |ξ| = β|Bu| stays below 80.
LAYERS = attentions(sizes=(1, 2, 3, 5), betas=(0.0, 0.5, 2.0, 8.0))
#: Fourth-order differences: their error is (h|ξ|)⁴/30 < 2e-9 at the very worst, and roundings 1e-15/h.
STEP, BOUND = 1e-4, 2e-9


def random_atoms(attention, seed):
    """Two atoms at every node."""
    rng, nodes = np.random.default_rng(seed), attention.auxiliary.nodes.size
    masses = rng.uniform(0.2, 1.0, (nodes, 2))
    masses /= masses.sum(axis=1, keepdims=True)
    return Atoms(rng.uniform(0.0, 6.0, 2 * nodes), masses.ravel(), 2 * np.arange(nodes + 1))


def with_probes(atoms, offsets):
    """Beside every atom one of no mass, by which it moves alone in the field of all the others."""
    places = np.stack([atoms.places, atoms.places + offsets], axis=1)
    masses = np.stack([atoms.masses, np.full_like(atoms.masses, 1e-200)], axis=1)
    return Atoms(places.ravel(), masses.ravel(), 2 * atoms.starts)


def along(attention, atoms):
    """Tangential velocity by the definition."""
    field = reference.token_velocity(SPACE, attention, atoms)
    return np.einsum("nd,nd->n", SPACE.frame_at(atoms.places)[:, 0], field)


def differences(function, step=STEP):
    """Derivative of a function of one number, of fourth order."""
    near, far = (function(reach * step) - function(-reach * step) for reach in (1.0, 2.0))
    return (8.0 * near - far) / (12.0 * step)


@RANDOM
@given(attention=LAYERS, seed=SEEDS)
def test_the_velocity_is_that_of_the_definition(attention, seed):
    """Rounding errors are relative to |A|; the lengths themselves are those of the definition."""
    atoms = random_atoms(attention, seed)
    found = linearised(SPACE, attention, atoms, jacobian=False)
    assert found.jacobian is None
    field = reference.token_velocity(SPACE, attention, atoms)
    lengths = np.hypot.reduce(field, axis=1)  # squares of e^300 overflow
    # Exponents up to 500 are known to 1e-16 of themselves, softmax takes differences of them.
    assert np.abs(found.velocity[:, 0] - along(attention, atoms)).max() < 1e-12 * max(lengths.max(), 1e-3)
    assert np.abs(found.length - lengths).max() < 1e-12 * max(lengths.max(), 1e-3)


@RANDOM
@given(attention=LAYERS, seed=SEEDS)
def test_the_jacobian_is_the_derivative_by_all_places(attention, seed):
    atoms = random_atoms(attention, seed)
    found = linearised(SPACE, attention, atoms)
    columns = []
    for one in np.eye(atoms.places.size):
        moved = [
            along(attention, Atoms(atoms.places + part * STEP * one, atoms.masses, atoms.starts))
            for part in (1.0, -1.0, 2.0, -2.0)
        ]
        columns.append((8.0 * (moved[0] - moved[1]) - (moved[2] - moved[3])) / (12.0 * STEP))
    scale = max(np.abs(found.jacobian).max(), found.length.max(), 1e-3)
    assert np.abs(found.jacobian - np.stack(columns, axis=1)).max() < BOUND * scale


@RANDOM
@given(attention=LAYERS, seed=SEEDS)
def test_the_local_derivative_moves_the_query_alone(attention, seed):
    """A probe of no mass at the place of an atom has its local derivative."""
    atoms = random_atoms(attention, seed)
    still = np.zeros(atoms.places.size)
    found = linearised(SPACE, attention, atoms).local[:, 0, 0]
    probes = linearised(SPACE, attention, with_probes(atoms, still)).local[:, 0, 0].reshape(-1, 2)
    expected = differences(
        lambda step: along(attention, with_probes(atoms, still + step)).reshape(-1, 2)[:, 1]
    )
    scale = max(np.abs(found).max(), linearised(SPACE, attention, atoms).length.max(), 1e-3)
    assert np.abs(probes - found[:, None]).max() < 1e-12 * scale
    assert np.abs(found - expected).max() < BOUND * scale


def test_blocks_of_queries_change_nothing(monkeypatch):
    """Sums over keys are the same in every block."""
    nu = auxiliary.uniform(7)
    prompt = Prompt(SPACE.points[:7, None], np.ones(1), 0.4)
    layer = Attention((Head.plain(3.0, 2, Alibi(2.0)),), nu, encodings.rotary(nu.nodes, 4.0), prompt=prompt)
    atoms = random_atoms(layer, 1)
    whole = linearised(SPACE, layer, atoms)
    monkeypatch.setattr(module, "BLOCK", 40)
    parts = linearised(SPACE, layer, atoms)
    for name in ("velocity", "length", "local", "jacobian"):
        # Matrix products may sum blocks of other sizes in another order.
        assert np.abs(getattr(parts, name) - getattr(whole, name)).max() < 1e-14
