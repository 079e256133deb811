"""Solutions: datasets, attributes, and the way through HDF5 and xarray and back."""

import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import auxiliary, encodings, evolution, initial
from meanfield_pde.attention import Attention, Head
from meanfield_pde.errors import InputError
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Problem
from meanfield_pde.solution import assemble, open_solution
from meanfield_pde.spaces.circle import Circle
from tests.cases import modes_of

DEPTHS = np.array([0.0, 0.5, 2.0])


def problem_of(**options):
    nu = auxiliary.legendre(5)
    layer = Attention((Head.plain(2.0, 2),), nu, encodings.additive(encodings.ring(nu.nodes, 0.4, 2)))
    start = Initial(initial.fourier([(1, 0.4, 0.2)]))
    return Problem(Circle(32), layer, DEPTHS, start, 0.05, title="A title", **options)


@pytest.fixture(scope="module")
def solution():
    return evolution.solve(problem_of())


def test_datasets_are_attributes(solution):
    nu = auxiliary.legendre(5)
    points = solution.token.size
    assert (solution.time == DEPTHS).all()
    assert (solution.aux == nu.nodes).all()
    assert (solution.aux_weight == nu.weights).all()
    assert (solution.encoding == encodings.ring(nu.nodes, 0.4, 2)).all()
    assert solution.density.shape == (3, 5, points)
    assert solution.marginal.shape == (3, points)
    assert solution.token_weight.sum() == pytest.approx(2.0 * np.pi, rel=1e-15)
    assert points == solution.attributes["resolution"] == solution.grid_size[-1]
    assert {"density", "marginal", "order_parameter"} <= set(dir(solution))
    with pytest.raises(AttributeError, match="no dataset 'densities'; it has"):
        _ = solution.densities


def test_datasets_agree_with_each_other(solution):
    """All follow from the density on the grid: sums of a hundred terms."""
    points = np.stack([np.cos(solution.token), np.sin(solution.token)], axis=1)
    mass = solution.density * solution.token_weight
    assert np.abs(mass.sum(axis=-1) - 1.0).max() < 1e-13
    assert (
        np.abs(np.einsum("z,tzi->ti", solution.aux_weight, solution.density) - solution.marginal).max()
        < 1e-13
    )
    means = mass @ points
    assert np.abs(np.linalg.norm(means, axis=-1) - solution.conditional_length).max() < 1e-13
    angle = np.arctan2(means[..., 1], means[..., 0]) % (2.0 * np.pi)
    assert np.abs(angle - solution.conditional_mean).max() < 1e-12
    total = np.linalg.norm(np.einsum("z,tzd->td", solution.aux_weight, means), axis=-1)
    assert np.abs(total - solution.order_parameter).max() < 1e-13
    # Diagnostics are those of the grid in use at their depth, the density that of the finest.
    assert solution.minimum[-1] == pytest.approx(solution.density[-1].min(), abs=1e-15)


def test_states_of_coarser_grids_are_put_on_the_finest(solution):
    assert solution.grid_size[0] < solution.grid_size[-1]
    start = modes_of(solution.density[0])
    assert np.abs(start[:, 1] - 0.2 * np.exp(-0.2j)).max() < 1e-15
    assert np.abs(start[:, 2:]).max() < 1e-15


def test_attributes(solution):
    found = solution.attributes
    assert found["title"] == "A title"
    assert found["status"] == "finished"
    assert found["method"] == "spectral"
    assert found["space"] == "circle"
    assert found["period"] == 2.0 * np.pi
    assert found["steps"] > 0
    # Six rates a step, or fewer where the first is known; one more at the start.
    assert 5 * found["steps"] < found["evaluations"] <= 6 * (found["steps"] + found["rejected"]) + 12
    assert found["seconds"] > 0.0
    assert 0.0 <= found["w1"] <= found["w2"] + 1e-3
    closing = solution.summary()
    assert closing["depth"] == 2.0
    assert closing["order_parameter"] == solution.order_parameter[-1]
    assert closing["mass_error"] == solution.mass_error.max()
    compared = mf.compare(solution)
    assert compared["w2"] == found["w2"]
    assert compared["atoms"] is None


def assert_equal(one, other):
    assert set(one.record.variables) == set(other.record.variables)
    for name, variable in one.record.variables.items():
        again = other.record.variables[name]
        assert variable.dims == again.dims
        assert np.array_equal(variable.values, again.values)
        assert (variable.long_name, variable.units) == (again.long_name, again.units)
    assert dict(one.attributes) == dict(other.attributes)


def test_round_trip_through_hdf5(solution, tmp_path):
    path = tmp_path / "solution.h5"
    solution.save(path)
    assert_equal(solution, open_solution(path))
    assert_equal(solution, mf.open(path))
    with pytest.raises(InputError):
        solution.save(path)
    solution.save(path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["solution.h5"]


def test_through_xarray(solution, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    path = tmp_path / "solution.h5"
    solution.save(path)
    direct = solution.to_xarray()
    with xarray.open_dataset(path, engine="h5netcdf") as read:
        for name, variable in solution.record.variables.items():
            assert np.array_equal(read[name].values, variable.values)
            assert np.array_equal(direct[name].values, variable.values)
            assert read[name].dims == direct[name].dims == variable.dims
        assert read.attrs["title"] == direct.attrs["title"] == "A title"
        assert set(read.coords) == set(direct.coords)


@pytest.mark.parametrize("keep", [True, False])
def test_keeping_the_last_density_alone(solution, tmp_path, keep):
    last = evolution.solve(problem_of(keep_density=keep))
    if keep:
        assert (last.density == solution.density).all()  # a solve is deterministic
        return
    assert last.density.shape == (1, *solution.density.shape[1:])
    assert (last.density[0] == solution.density[-1]).all()
    assert last.state.tolist() == [2.0]
    assert (last.marginal == solution.marginal).all()
    assert (last.conditional_mean == solution.conditional_mean).all()
    path = tmp_path / "last.h5"
    last.save(path)
    assert_equal(last, open_solution(path))


def test_progress_is_reported(monkeypatch):
    monkeypatch.setattr("solvers.travel.SECONDS_PER_CHUNK", 0.0)
    monkeypatch.setattr("meanfield_pde.evolution.SECONDS_PER_CHUNK", 0.0)
    seen = []
    solution = evolution.solve(problem_of(), seen.append, threads=1)
    depths = [report.depth for report in seen]
    assert depths == sorted(depths)
    assert seen[-1].final == 2.0
    assert seen[-1].accepted <= solution.attributes["steps"]
    sizes = [report.resolution for report in seen]
    assert sizes == sorted(sizes)
    assert sizes[0] == 32
    assert sizes[-1] == solution.attributes["resolution"]
    assert (modes_of(solution.density) == modes_of(evolution.solve(problem_of()).density)).all()


def test_nothing_saved_is_no_solution():
    with pytest.raises(InputError, match="no state"):
        assemble(problem_of(), [], evolution.Totals("finished", 0, 0, 0), 0.0, {}, {}, {})
