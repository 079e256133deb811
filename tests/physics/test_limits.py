"""Limits in Python: exact results, small noise, several starts and atoms, comparison, files, refusals."""

from functools import cache

import numpy as np
import pytest
import xarray
from scipy import special

import meanfield_pde as mf
from meanfield_pde.limits import runs

#: What is promised: residuals; places of limit maps; distances of two of them, by a search for W₂².
RESIDUAL, PLACES, DISTANCE = 1e-12, 1e-8, 1e-7

FEW = {"token.resolution": 64, "auxiliary.nodes": 8}
STILL = {"noise.sigma": 0.0}
FREQUENCY = 1.5 * np.pi  # a = 3/4 of the shipped rotary encodings
TURNING = {"drift.degree": 1, "drift.parameters": [3.0, 0.5, 0.0]}


def ring(amplitude, sigma, nodes=8, **settings):
    own = {**FEW, "auxiliary.nodes": nodes, "encoding.amplitude": amplitude, "noise.sigma": sigma}
    return mf.load("additive-ring", {**own, **settings})


def steered(**settings):
    """Two prompts so far from one another that both hold tokens."""
    own = {"token.resolution": 64, "attention.beta": 8.0, "prompt.fraction": 0.8, **STILL}
    return mf.load("prompt-steering", {**own, "prompt.weights": [0.5, 0.5], **settings})


@cache
def solved():
    """A ring with noise, followed for a while."""
    return mf.solve(ring(1.0, 0.05, **{"time.final": 4.0, "time.save": 3}))


@cache
def of_starts(seed):
    return mf.limit(steered(), starts=5, seed=seed)


def shares(places, amplitude, nodes, queries, beta=2.0):
    """Keys and attention of queries at the nodes, by the definition."""
    keys = np.exp(1j * places) + amplitude * np.exp(2j * np.pi * nodes)
    own = np.exp(1j * queries) + amplitude * np.exp(2j * np.pi * nodes)
    return keys, special.softmax(beta * (own[:, None] * keys.conj()).real, axis=1)


def frozen_velocity(places, amplitude, nodes, queries):
    keys, share = shares(places, amplitude, nodes, queries)
    return (share @ keys * np.conj(1j * np.exp(1j * queries))).real


# Rows 2, 9, 10 and 11


def test_the_fastest_mode_predicts_three_clusters():
    """Row 2 at β = 5: m²(I_m/β − σ), roundings of 144 of them."""
    found = mf.limit(mf.load("three-clusters", {"token.resolution": 64, "noise.sigma": 0.2}))
    exact = found.mode**2 * (special.iv(found.mode, 5.0) / 5.0 - 0.2)
    assert np.abs(found.growth_rate - exact).max() < 1e-10
    assert found.attributes["clusters_predicted"] == 3
    assert found.attributes["leading_eigenvalue"] < 0.0
    assert found.attributes["spectral_gap"] == -found.attributes["leading_eigenvalue"]


def test_rotary_limits_are_pushforwards():
    """Row 9: T(z) = u − ωz and R = |sin(πa)/(πa)|, for n midpoints sin(πa)/(n sin(πa/n))."""
    found = mf.limit(mf.load("rotary-encoded", {**FEW, **STILL}))
    assert found.verdict == "pushforward"
    assert found.stable
    assert found.residual <= RESIDUAL
    turn = np.exp(1j * (found.pushforward_map + FREQUENCY * found.aux))
    assert np.abs(turn - turn[0]).max() < PLACES
    exact = np.sin(0.75 * np.pi) / (8.0 * np.sin(0.75 * np.pi / 8.0))
    assert found.attributes["order_parameter"] == pytest.approx(abs(exact), abs=PLACES)
    assert found.w1 == pytest.approx(0.0, abs=PLACES)
    assert (found.atoms == 1).all()


def test_rotary_marginals_with_noise():
    """Row 9: R is that of the conditional densities times the characteristic function of ν."""
    found = mf.limit(mf.load("rotary-encoded", {**FEW, "noise.sigma": 0.05}))
    known = abs(np.exp(1j * FREQUENCY * found.aux).mean())
    order = found.attributes["order_parameter"]
    # The marginal is told by as many quantiles as points, whose mean is good to about 1 / points².
    assert order == pytest.approx(known * found.attributes["conditional_concentration"], abs=1e-4)
    assert found.attributes["law"] == "density"
    assert found.w2 > 0.05


def test_bare_values_collapse():
    """Row 10: R = 1 though queries and keys are turned."""
    found = mf.limit(mf.load("rotary-bare", {**FEW, **STILL}))
    assert found.verdict == "collapsed"
    assert found.attributes["order_parameter"] == pytest.approx(1.0, abs=1e-12)
    assert found.attributes["nearest_dirac"] < PLACES


def test_strong_rings_stay_spread():
    """Row 11: T(z) = 2πz up to a rotation by symmetry, R = 0; weak rings are nearly one point."""
    spread = mf.limit(ring(1.2, 0.0))
    assert spread.verdict == "pushforward"
    assert spread.stable
    turn = np.exp(1j * (spread.pushforward_map - 2.0 * np.pi * spread.aux))
    assert np.abs(turn - 1.0).max() < PLACES
    assert spread.attributes["order_parameter"] < PLACES
    weak = mf.limit(ring(0.2, 0.0))
    assert weak.attributes["order_parameter"] > 0.999
    assert weak.verdict == "pushforward"  # of a map that is no constant
    velocity = frozen_velocity(weak.pushforward_map, 0.2, weak.aux, weak.pushforward_map)
    assert np.abs(velocity).max() < 1e-11


def test_additive_encodings_have_no_linear_theory():
    """The uniform law moves: no modes, no clusters predicted."""
    found = mf.limit(ring(1.2, 0.0))
    assert "growth_rate" not in found.record.groups["limit"]
    assert found.summary()["clusters_predicted"] is None
    assert found.summary()["growth_rates"] == {}


def test_without_amplitude_all_collapses():
    """The limit, and a solution that is on its way."""
    problem = ring(0.0, 0.0, 4, **{"time.final": 20.0, "time.save": 2})
    assert mf.limit(problem).verdict == "collapsed"
    table = mf.compare(mf.solve(problem))
    assert table["verdict"] == "collapsed"
    assert table["depth"] == 20.0
    assert table["stable"]
    assert table["atoms"] == 1


# Small noise


def test_densities_approach_the_pushforward():
    """conditional / (σ Σ w/κ) − 1 = Cσ: order one, with one C along the last halvings."""
    found = mf.limit(ring(1.0, 0.04, 16), halvings=4)
    ratio = found.noise_conditional / found.noise_predicted - 1.0
    assert np.array_equal(found.noise, 0.04 / 2.0 ** np.arange(5))
    order = np.log2(ratio[1:-1] / ratio[2:])
    assert np.abs(order - 1.0).max() < 0.1
    constant = ratio / found.noise
    assert constant[-1] == pytest.approx(constant[-2], rel=0.01)  # what Cσ² leaves at σ = 1/200
    assert 0.1 < constant[-1] < 1.0
    assert found.attributes["noise_rate"] == pytest.approx(1.0, abs=0.01)
    # Curvatures by the definition; differences of step 1e-4, good to 1e-8.
    places = found.pushforward_map
    ahead, behind = (frozen_velocity(places, 1.0, found.aux, places + h) for h in (1e-4, -1e-4))
    assert found.noise_predicted == pytest.approx(found.noise * (2e-4 / (behind - ahead)).mean(), rel=1e-6)
    # The map of every conditional law to its atom is a coupling of the marginals.
    assert (found.noise_w2**2 <= found.noise_conditional).all()
    assert (found.noise_w1 <= found.noise_w2).all()
    assert (np.diff(found.noise_w2) < 0.0).all()
    assert found.w2 == found.noise_w2[0]


def test_narrow_densities_in_many_dimensions_are_followed_to_small_noise():
    """Their coefficients go up to thousands, of which 1e-12 is rounding; (ratio − 1)/σ settles again."""
    problem = mf.load("zonal-collapse", {"token.dimension": 8, "token.resolution": 31})
    found = mf.limit(problem, halvings=5)
    assert np.array_equal(found.noise, 0.1 / 2.0 ** np.arange(6))
    constant = (found.noise_conditional / found.noise_predicted - 1.0) / found.noise
    assert constant[-1] == pytest.approx(constant[-2], rel=0.02)
    assert 0.5 < constant[-1] < 3.0


# Where from


def test_limits_are_looked_for_near_a_start():
    """Angles, a limit, or a solution; each prompt has its own."""
    problem = steered()
    ends = [mf.limit(problem, start=np.array([angle])) for angle in (0.1, 2.0)]
    assert np.abs(ends[0].pushforward_map - [0.0]).max() < 1e-4
    assert np.abs(ends[1].pushforward_map - [2.2]).max() < 1e-4
    again = mf.limit(problem, start=ends[1])
    assert again.pushforward_map == pytest.approx(ends[1].pushforward_map, abs=PLACES)
    still = ring(1.0, 0.0, 8)
    found = mf.limit(still, start=solved())
    apart = np.exp(1j * found.pushforward_map) - np.exp(1j * solved().conditional_mean[-1])
    assert np.abs(apart).max() < 0.3
    with pytest.raises(mf.InputError, match="one finite angle per node, 8"):
        mf.limit(still, start=np.zeros(3))
    with pytest.raises(mf.InputError, match="starts must be at least 1"):
        mf.limit(still, starts=0)
    with pytest.raises(mf.InputError, match="halvings must be from 0 to 20"):
        mf.limit(still, halvings=21)


def test_equal_limits_of_several_starts_are_counted_together():
    found = of_starts(3)
    assert found.map_share.sum() == pytest.approx(1.0, abs=1e-15)
    assert found.map_starts.sum() == 5
    assert np.array_equal(found.map_share, found.map_starts / 5.0)
    assert (np.diff(found.map_starts) <= 0).all()
    maps = found.map_position[:, 0]
    single = np.exp(1j * maps[np.isfinite(maps)])
    assert single.size == 2
    assert np.abs(single[0] - single[1]) > 1.0
    assert np.isnan(maps).sum() == 1  # the initial law's own, of two atoms
    assert (found.map_residual <= RESIDUAL).all()


def test_starts_are_reproducible():
    first, again = of_starts(3), mf.limit(steered(), starts=5, seed=3)
    for name in ("map_position", "map_share", "map_energy"):
        assert np.array_equal(getattr(first, name), getattr(again, name), equal_nan=True)


def test_several_atoms_are_told():
    """Half of the prompts each: two atoms that share the initial law, and no map."""
    found = of_starts(3)
    assert found.verdict == "several atoms"
    assert found.attributes["law"] == "atoms"
    assert found.atoms.tolist() == [2]
    assert found.atom_mass.sum() == pytest.approx(1.0, abs=1e-12)
    assert (found.atom_mass > 0.01).all()
    with pytest.raises(AttributeError, match="pushforward_map"):
        _ = found.pushforward_map
    assert found.summary()["atoms"] == 2
    mean = (found.atom_mass * np.exp(1j * found.atom_position)).sum()
    assert found.attributes["order_parameter"] == pytest.approx(abs(mean), abs=1e-12)


# Refusals


def test_the_uniform_law_has_no_limit_without_noise():
    problem = mf.load("mode-collapse", {"token.resolution": 64, **STILL, "initial.modes": [[1, 0.0, 0.0]]})
    with pytest.raises(mf.LimitError, match="does not move") as caught:
        mf.limit(problem)
    reached = caught.value.limit
    assert reached.attributes["status"] == "stopped"
    assert reached.verdict == "no limit map"
    assert not reached.stable
    assert reached.limit_density == pytest.approx(np.full((1, 64), 0.5 / np.pi), rel=1e-12)
    assert reached.attributes["clusters_predicted"] == 2


def test_rotating_tokens_have_no_limit(monkeypatch):
    """Given up sooner than by default."""
    monkeypatch.setattr(runs, "LATEST", 32.0)
    problem = mf.load("mode-collapse", {"token.resolution": 64, **STILL, **TURNING})
    with pytest.raises(mf.LimitError, match="there is no limit map up to depth") as caught:
        mf.limit(problem)
    reached = caught.value.limit
    assert (reached.limit_density @ reached.token_weight) == pytest.approx(1.0, abs=1e-12)
    assert "no limit map" in reached.attributes["reason"]
    assert reached.verdict == "no limit map"


def test_unresolved_densities_are_told():
    settings = {"token.resolution": 48, "solver.max_resolution": 48, "noise.sigma": 0.005}
    with pytest.raises(mf.LimitError, match="max_resolution = 48") as caught:
        mf.limit(mf.load("mode-collapse", settings))
    assert caught.value.limit.attributes["status"] == "stopped"


# Comparison and files


def test_solutions_are_compared_with_limits():
    """With a limit's file, or with what is found from the configuration: the same law, the same distances."""
    solution, found = solved(), mf.limit(ring(1.0, 0.05))
    alone, beside = mf.compare(solution), mf.compare(solution, found)
    for name in ("w1", "w2"):
        assert alone[name] == pytest.approx(beside[name], abs=DISTANCE)
        assert alone[name] > 0.0
    assert alone["depth"] == beside["depth"] == 4.0
    assert alone["verdict"] == beside["verdict"] == "pushforward"
    assert alone["entropy"] == solution.entropy[-1]
    assert alone["order_parameter"] == beside["order_parameter"]
    with pytest.raises(mf.InputError, match="same nodes"):
        mf.compare(solution, mf.limit(ring(1.2, 0.0, 6)))


def test_a_limit_is_compared_with_itself():
    found = mf.limit(ring(1.2, 0.0))
    assert mf.compare(found) == found.summary()


def test_limits_are_read_as_they_were_saved(tmp_path):
    found = mf.limit(ring(1.0, 0.05), halvings=1)
    found.save(tmp_path / "limit.h5")
    read = mf.open(tmp_path / "limit.h5")
    assert isinstance(read, mf.Limit)
    assert read.summary() == found.summary()
    assert np.array_equal(read.pushforward_map, found.pushforward_map)
    with xarray.open_dataset(tmp_path / "limit.h5", group="limit", engine="h5netcdf") as group:
        assert np.array_equal(group["pushforward_map"], found.pushforward_map)
        assert group["limit_density"].dims == ("aux", "token")
        assert group.attrs["verdict"] == "pushforward"
    assert found.to_xarray()["limit_density"].shape == (8, found.token.size)


def test_compared_solutions_are_read_as_they_were_saved(tmp_path):
    both = mf.compared(solved())
    both.save(tmp_path / "compared.h5")
    read = mf.open(tmp_path / "compared.h5")
    assert isinstance(read, mf.Solution)
    group = mf.Limit(read.record)
    assert group.attributes["compared_depth"] == 4.0
    assert np.array_equal(group.limit_density, solved().density[-1])
    assert group.w2 == mf.Limit(both.record).w2
