"""Labels that are halved and joined: what is conserved, and where labels stay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meanfield_pde.methods.labels import Cloud, Labels
from solvers.panels import ORDER, Panels

SEEDS = st.integers(0, 2**32 - 1)
TURN = 2.0 * np.pi
#: Labels of a cluster lie so close together, clusters so much further apart.
TIGHT, APART = 1e-9, 1e-2


def arc(first, second):
    difference = np.abs(first - second) % TURN
    return np.minimum(difference, TURN - difference)


def tokens_in_clusters(rng):
    """Tokens of three rows, and places to which they have come: up to three clusters a row, turns between."""
    counts = rng.integers(1, 9, 3)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    places = np.concatenate([0.3 + TURN * rng.permutation(count) / count for count in counts])
    masses = rng.uniform(0.1, 1.0, starts[-1])
    masses /= np.repeat(np.add.reduceat(masses, starts[:-1]), counts)
    labels = Labels.of_tokens(places, masses, starts)
    centres = rng.uniform(0.0, TURN) + np.array([0.0, 2.0, 4.0])  # the same in all rows: rows never join
    cluster = rng.integers(0, 3, starts[-1])
    turns = TURN * rng.integers(-2, 3, starts[-1])
    seam = -centres[0] if rng.random() < 0.5 else 0.0  # a cluster across the seam
    positions = centres[cluster] + seam + turns + TIGHT * rng.uniform(-1.0, 1.0, starts[-1])
    return labels, cluster, positions


def test_tokens_are_put_in_order_within_their_row():
    starts = np.array([0, 3, 5])
    labels = Labels.of_tokens(np.array([3.0, -1.0, 0.5, 7.0, 2.0]), np.arange(1.0, 6.0), starts)
    assert labels.places == pytest.approx([0.5, 3.0, TURN - 1.0, 7.0 - TURN, 2.0], abs=1e-15)
    assert list(labels.masses) == [3.0, 1.0, 2.0, 4.0, 5.0]
    assert list(labels.rows) == [0, 0, 0, 1, 1]


@given(seed=SEEDS)
def test_what_has_come_together_is_joined_and_nothing_else(seed):
    labels, cluster, positions = tokens_in_clusters(np.random.default_rng(seed))
    cloud = Cloud.start(labels).at(positions)
    joined = cloud.merged(10.0 * TIGHT)
    keys = 3 * labels.rows + cluster
    same = keys[:, None] == keys
    assert np.array_equal(joined.group[:, None] == joined.group, same)
    # Atoms are ordered by row, and hold the mass of their labels.
    atoms = joined.atoms
    assert np.array_equal(atoms.rows[joined.group], labels.rows)
    assert (np.diff(atoms.rows) >= 0).all()
    assert np.abs(atoms.sums(np.ones(atoms.places.size)) - 1.0).max() < 1e-15
    # Every label stays where it was, up to the size of its cluster and without turns.
    assert np.abs(joined.places - cloud.places).max() <= 2.0 * TIGHT + 1e-14
    # Centres of mass stay, by roundings of angles up to 20.
    before = np.bincount(labels.rows, labels.masses * cloud.places)
    assert np.abs(np.bincount(labels.rows, labels.masses * joined.places) - before).max() < 1e-14
    assert joined.merged(10.0 * TIGHT).positions.size == joined.positions.size


def test_atoms_join_across_the_seam_and_keep_their_turns():
    """A chain of four across 0, one of them a turn ahead; a fifth label is elsewhere."""
    labels = Labels.of_tokens(np.array([0.1, 1.0, 2.0, 3.0, 4.0]), np.full(5, 0.2), np.array([0, 5]))
    positions = np.array([-2e-9, -1e-9, TURN + 0.0, 1e-9, 3.0])
    joined = Cloud.start(labels).at(positions).merged(1.5e-9)
    assert joined.positions.size == 2
    assert np.abs(joined.places - np.array([0.0, 0.0, TURN, 0.0, 3.0])).max() < 2e-9
    assert np.unique(joined.group[:4]).size == 1
    # All five at one place: the chain closes upon itself.
    everyone = Cloud.start(labels).at(np.array([0.0, TURN, -TURN, 0.0, 0.0])).merged(1e-9)
    assert everyone.positions.size == 1
    assert np.array_equal(everyone.places, [0.0, TURN, -TURN, 0.0, 0.0])


def test_what_was_as_close_at_the_start_is_not_joined():
    """Only contraction by a factor of 1,000 counts: close tokens may separate again."""
    labels = Labels.of_tokens(np.array([1.0, 1.0 + 1e-9, 2.0, 4.0]), np.full(4, 0.25), np.array([0, 4]))
    cloud = Cloud.start(labels)
    assert cloud.merged(1e-6) is cloud
    for gap, count in ((1e-9, 3), (1e-13, 2)):
        moved = cloud.at(np.array([5.0, 5.0 + gap, 5.0 + 2e-9, 6.0]))
        assert moved.merged(1e-6).positions.size == count


def flowed(rng):
    """Panels of two rows with smooth densities, carried by a smooth map of degree one."""
    panels = Panels.even(2, 6, TURN)
    density = (1.0 + 0.5 * np.cos(panels.nodes + panels.row[:, None])) / TURN
    labels = Labels.of_panels(panels, density, 2)
    amplitude, phase = rng.uniform(-0.8, 0.8, 2), rng.uniform(0.0, TURN, 2)

    def carried(rows, places):
        return places + amplitude[rows] * np.sin(places - phase[rows]) + 3.0 * rows

    return labels, carried


@given(seed=SEEDS)
def test_halving_adds_labels_on_the_flow_map(seed):
    """The map is interpolated by polynomials of degree 15 on a sixth of a turn: 0.8 (π/12)^16 / 16! · 2."""
    rng = np.random.default_rng(seed)
    labels, carried = flowed(rng)
    cloud = Cloud.start(labels).at(carried(labels.rows, labels.places))
    chosen = rng.random(12) < 0.5
    finer = cloud.halved(chosen)
    repeats = np.where(chosen, 2, 1)
    assert finer.labels.places.size == ORDER * repeats.sum()
    assert np.abs(np.add.reduceat(finer.labels.masses, finer.labels.starts[:-1]) - 1.0).max() < 1e-14
    expected = carried(finer.labels.rows, finer.labels.places)
    assert np.abs(finer.places - expected).max() < 1e-13  # roundings of angles up to 10
    kept = np.repeat(np.repeat(~chosen, repeats), ORDER)
    assert np.array_equal(finer.places[kept], cloud.places[np.repeat(~chosen, ORDER)])
    assert (np.diff(finer.atoms.rows) >= 0).all()
    assert finer.positions.size == finer.labels.places.size
    assert finer.unresolved().max(initial=0.0) < 1e-13


@given(seed=SEEDS)
def test_halving_panels_with_joined_labels_keeps_the_rest_joined(seed):
    """Two panels a row have shrunk to a point; one of them is halved, and its labels come free."""
    rng = np.random.default_rng(seed)
    labels, carried = flowed(rng)
    point = np.isin(np.repeat(np.arange(12), ORDER), [1, 2, 7, 8])
    positions = np.where(point, 1.0 + TURN * labels.rows, carried(labels.rows, labels.places) + 20.0 * TURN)
    joined = Cloud.start(labels).at(positions).merged(1e-12)
    assert joined.positions.size == labels.places.size - 4 * ORDER + 2
    chosen = np.zeros(12, dtype=bool)
    chosen[rng.choice([1, 2])] = True
    finer = joined.halved(chosen)
    assert finer.positions.size == joined.positions.size + 2 * ORDER
    assert (np.diff(finer.atoms.rows) >= 0).all()
    assert np.abs(finer.atoms.sums(np.ones(finer.positions.size)) - 1.0).max() < 1e-14
    again = finer.merged(1e-12)
    assert again.positions.size == joined.positions.size
    assert arc(again.places, finer.places).max() < 1e-13


def test_tokens_cannot_be_halved():
    labels = Labels.of_tokens(np.zeros(1), np.ones(1), np.array([0, 1]))
    with pytest.raises(ValueError, match="cannot be refined"):
        Cloud.start(labels).halved(np.ones(1, dtype=bool))


def contracted_panels(rng):
    """Panels of three rows of which some have come together to a point, and the size of those."""
    labels = Labels.of_panels(panels := Panels.even(3, 4, TURN), np.full((12, ORDER), 1.0 / TURN), 3)
    narrow = rng.random(12) < 0.6
    centres = rng.uniform(-TURN, TURN, 12)
    centres[1::4] = centres[::4] + 1e-7  # two panels of a row at the same place
    places = centres[:, None] + np.where(narrow, TIGHT, 1e-2)[:, None] * rng.uniform(-1.0, 1.0, (12, ORDER))
    assert panels.row.size == 12
    return Cloud.start(labels).at(places.ravel()), narrow


@given(seed=SEEDS)
def test_contracted_panels_move_as_few_atoms_about_the_same_centres(seed):
    cloud, narrow = contracted_panels(np.random.default_rng(seed))
    distance = 1e-5
    assert np.array_equal(cloud.contracted(distance), narrow)
    assert np.array_equal(cloud.contracted(2.0), narrow)  # others are not much narrower than they were
    assert not cloud.contracted(TIGHT / 2.0).any()
    joined = cloud.condensed(distance)
    # An interval may end within a cluster: two atoms then; labels of wide panels keep their own.
    assert joined.positions.size <= 2 * np.count_nonzero(narrow) + ORDER * np.count_nonzero(~narrow)
    assert np.array_equal(joined.labels.rows, joined.atoms.rows[joined.group])
    assert np.abs(joined.places - cloud.places).max() <= distance
    moments = [one.atoms.sums(np.exp(1j * one.positions)) for one in (cloud, joined)]
    assert np.abs(moments[0] - moments[1]).max() <= distance**2
    assert joined.condensed(distance).positions.size == joined.positions.size
