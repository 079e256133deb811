"""Every encoding against its formula."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from meanfield_pde import auxiliary, encodings, shipped
from meanfield_pde.errors import InputError
from tests.cases import SEEDS

NODES = np.array([0.0, 0.125, 0.3, 1.0])


def test_none_neither_shifts_nor_rotates():
    encoding = encodings.none()
    assert not encoding.is_shifted
    assert not encoding.is_rotated
    assert (encoding.components(3, 2) == np.zeros((3, 2))).all()


def test_ring():
    ring = encodings.ring(NODES, 0.7, 2)
    expected = [[0.7 * np.cos(2.0 * np.pi * z), 0.7 * np.sin(2.0 * np.pi * z)] for z in NODES]
    assert np.abs(ring - expected).max() < 1e-15  # one rounding each
    assert np.abs(encodings.ring(NODES, 0.7, 4)[:, 2:]).max() == 0.0


def test_line():
    assert np.abs(encodings.line(NODES, 0.5, 2) - [[-0.5, 0], [-0.375, 0], [-0.2, 0], [0.5, 0]]).max() < 1e-15


def test_sinusoidal():
    """Vaswani et al. 2017: pairs (sin, cos) of j / 10000^{2i/d}; in the plane the only frequency is one."""
    j = np.arange(5)
    assert np.abs(encodings.sinusoidal(5, 2.0, 2) - 2.0 * np.stack([np.sin(j), np.cos(j)], 1)).max() < 1e-15
    four = encodings.sinusoidal(5, 1.0, 4)
    expected = np.stack([np.sin(j), np.cos(j), np.sin(j / 100.0), np.cos(j / 100.0)], axis=1)
    assert np.abs(four - expected).max() < 1e-15


def test_rotary_angles_are_frequency_times_z():
    encoding = encodings.rotary(NODES, -3.0)
    assert (encoding.angles == -3.0 * NODES).all()
    assert encoding.is_rotated
    assert not encoding.is_shifted
    assert not encodings.rotary(NODES, 0.0).is_rotated


def test_additive_with_zero_shift_is_no_shift():
    assert not encodings.additive(np.zeros((4, 2))).is_shifted
    assert encodings.additive(np.eye(2)).is_shifted


def test_rows_of_an_encoding():
    encoding = encodings.additive(encodings.ring(NODES, 1.0, 2))
    assert (encoding.at(np.array([2, 0])).shifts == encoding.shifts[[2, 0]]).all()
    assert (encodings.rotary(NODES, 2.0).at(np.array([3])).angles == [2.0]).all()


@pytest.mark.parametrize("shifts", [np.zeros(3), np.full((3, 2), np.nan), np.full((3, 2), np.inf)])
def test_wrong_shifts_are_refused(shifts):
    with pytest.raises(InputError, match="shifts must be finite with 2 axes"):
        encodings.additive(shifts)


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_principal_components_of_random_rows(seed):
    """Uncorrelated, ordered, and the projection that leaves the least: the SVD's own accuracy."""
    rows = np.random.default_rng(seed).standard_normal((20, 6)) * np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.5])
    found = encodings.principal_components(rows, [0, 1, 2])
    covariance = found.T @ found
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[:3]
    assert np.abs(covariance - np.diag(values**2)).max() < 1e-12 * values[0] ** 2
    assert np.abs(found.mean(axis=0)).max() < 1e-13
    # Asking for one component alone, or in another order, changes nothing else.
    swapped = encodings.principal_components(rows, [2, 0])
    assert (swapped == found[:, [2, 0]]).all() or np.abs(swapped - found[:, [2, 0]]).max() < 1e-13


def test_the_sign_of_a_component_is_that_of_its_largest_loading():
    """Rows along a known axis whose largest entry is negative: coordinates count against it."""
    axis = np.array([0.3, -0.9, 0.1])
    axis /= np.linalg.norm(axis)
    place = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    found = encodings.principal_components(np.outer(place, axis) + 7.0, [0])[:, 0]
    assert np.abs(found + place).max() < 1e-14


def test_principal_components_do_not_depend_on_the_sign_of_the_data_basis():
    """Negating all rows negates the coordinates, as loadings keep their sign by the rule."""
    rows = np.random.default_rng(0).standard_normal((30, 5))
    plus, minus = (encodings.principal_components(sign * rows, [0, 1]) for sign in (1.0, -1.0))
    assert np.abs(plus + minus).max() < 1e-13


def test_the_real_positions_form_a_ring():
    """512 × 384 embeddings of all-MiniLM-L6-v2: the leading plane is a ring of radius 0.22."""
    with h5py.File(shipped.data_file("minilm-l6-v2-positions.h5")) as file:
        rows = file["position_embeddings"][:].astype(float)
    assert rows.shape == (512, 384)
    plane = encodings.principal_components(rows, [0, 1])
    centred = rows - rows.mean(axis=0)
    # By the eigenvectors of the covariance, another algorithm; the two leading ones are well apart.
    _, axes = np.linalg.eigh(centred.T @ centred)
    for k in (0, 1):
        axis = axes[:, -1 - k]
        axis = axis * np.sign(axis[np.abs(axis).argmax()])
        assert np.abs(centred @ axis - plane[:, k]).max() < 1e-9
    radius = np.linalg.norm(plane, axis=1)
    assert radius.mean() == pytest.approx(0.22, abs=0.02)
    assert np.abs(plane.mean(axis=0)).max() < 1e-12  # centred


def test_auxiliary_quadratures():
    """Midpoints and Gauss nodes of [0, 1]; n Gauss nodes integrate degree 2n − 1 exactly."""
    for nu in (auxiliary.uniform(7), auxiliary.legendre(7), auxiliary.none()):
        assert nu.weights.sum() == pytest.approx(1.0, abs=1e-15)
    gauss = auxiliary.legendre(7)
    assert gauss.mean(gauss.nodes**13) == pytest.approx(1.0 / 14.0, rel=1e-14)
    assert np.abs(auxiliary.uniform(4).nodes - [0.125, 0.375, 0.625, 0.875]).max() == 0.0
    assert gauss.mean(np.ones((7, 3))).shape == (3,)


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([0.0, 1.0], [0.5, 0.6]),
        ([0.0, 1.0], [1.5, -0.5]),
        ([0.0, np.nan], [0.5, 0.5]),
        ([0.0], [0.5, 0.5]),
        ([], []),
    ],
)
def test_wrong_auxiliary_distributions_are_refused(nodes, weights):
    with pytest.raises(InputError, match="auxiliary"):
        auxiliary.Auxiliary(np.array(nodes), np.array(weights))
