"""Files of every kind come back as they were, and what contradicts itself is refused by the name of it."""

import re
from dataclasses import replace

import h5py
import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde.errors import InputError
from meanfield_pde.records import Record, Variable, read
from meanfield_pde.results import Bifurcation, Limit
from meanfield_pde.solution import Solution, open_solution
from tests.damage import at, cut, has, says, silent, turned, without

from .example_records import example
from .example_results import compared, diagram, limit, several_atoms, stationary
from .test_records import assert_same

EXAMPLES = {
    "solution": (lambda: example(4, 3, 16), Solution),
    "limit": (limit, Limit),
    "several atoms": (several_atoms, Limit),
    "density": (stationary, Limit),
    "compared solution": (compared, Solution),
    "bifurcation": (diagram, Bifurcation),
    "bifurcation of maps": (lambda: diagram(noise=False), Bifurcation),
}
ALL = pytest.mark.parametrize(("make", "kind"), EXAMPLES.values(), ids=EXAMPLES)


@ALL
def test_round_trip(make, kind, tmp_path):
    path, record = tmp_path / "a.h5", make()
    record.save(path)
    assert_same(record, read(path))
    opened = mf.open(path)
    assert type(opened) is kind
    opened.save(tmp_path / "b.h5")
    assert (tmp_path / "b.h5").read_bytes() == path.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        opened.save(path)


@ALL
def test_other_programs_open_it(make, kind, tmp_path):
    """The group with the coordinates of its own only; its dimensions aux and token are those of the file."""
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    path, record = tmp_path / "a.h5", make()
    record.save(path)
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        xarray.testing.assert_identical(dataset.load(), record.to_xarray())
    for name, group in record.groups.items():
        with xarray.open_dataset(path, group=name, engine="h5netcdf") as dataset:
            xarray.testing.assert_identical(dataset.load(), group.to_xarray())
            assert dataset.limit_density.dims == ("aux", "token")
        with h5py.File(path) as file:
            assert [axis[0].name for axis in file["limit/limit_density"].dims] == ["/aux", "/token"]
    merged = kind(record).to_xarray()
    assert {"aux", "token"} <= set(merged.coords)


# Contradictions


def within(change):
    """Change the group of the limit law."""
    return lambda record: replace(record, groups={"limit": change(record.groups["limit"])})


def both(*changes):
    def change(record):
        for one in changes:
            record = one(record)
        return record

    return change


def adds(name, dims, values):
    return lambda record: replace(
        record, variables={**record.variables, name: Variable(dims, np.asarray(values), name)}
    )


ROOT = {
    "unknown kind": (says(kind="poster"), "solution, limit, bifurcation"),
    "kind is a number": (says(kind=3), "kind"),
    "no status": (silent("status"), "status"),
    "no title": (silent("title"), "title"),
    "no seconds": (silent("seconds"), "seconds"),
    "resolution not whole": (says(resolution=16.5), "resolution"),
    "no grid": (without("token_weight"), "token_weight"),
    "nan in the grid": (has(token=at(3, np.nan)), "token"),
    "tokens backwards": (has(token=lambda values: values[::-1]), "token"),
    "short period": (says(period=1.0), "period"),
    "negative weight": (has(aux_weight=at(0, -0.1)), "aux_weight"),
    "weights doubled": (has(aux_weight=lambda values: 2 * values), "aux_weight"),
    "no quadrature": (has(token_weight=lambda values: 0 * values), "token_weight"),
    "encoding not finite": (has(encoding=at(0, np.inf)), "encoding"),
    "encoding turned": (turned("encoding"), "encoding"),
}

GROUP = {
    **{f"no {name}": (without(name), name) for name in ("limit_density", "limit_marginal")},
    **{f"no {name}": (without(name), name) for name in ("stable", "residual", "atoms", "atom_mass")},
    **{f"no {name}": (without(name), name) for name in ("map_share", "map_starts", "map_position", "mode")},
    **{f"no {name}": (without(name), name) for name in ("eigenvalue_imaginary", "noise", "atom_position")},
    **{f"no {name}": (silent(name), name) for name in ("verdict", "law", "sigma", "spectral_gap", "entropy")},
    **{
        f"nan in {name}": (has(**{name: at(-1, np.nan)}), name)
        for name in ("limit_density", "limit_marginal", "pushforward_map", "atom_position", "atom_mass")
    },
    **{
        f"nan in {name}": (has(**{name: at(-1, np.nan)}), name)
        for name in ("eigenvalue_real", "growth_rate", "map_share", "noise")
    },
    "infinite map_position": (has(map_position=at(-1, np.inf)), "map_position"),
    "infinite curvature": (has(curvature=at(0, np.inf)), "curvature"),
    "density doubled": (has(limit_density=lambda values: 2 * values), "limit_density"),
    "density turned": (turned("limit_density"), "limit_density"),
    "density of integers": (has(limit_density=lambda values: values.astype(int)), "limit_density"),
    "another marginal": (has(limit_marginal=lambda values: values[::-1] + 0.1), "limit_marginal"),
    "fewer tokens": (cut("token", 7), "token"),
    "fewer nodes": (cut("aux", 2), "aux"),
    "half stable": (has(stable=lambda _: np.array(2)), "stable"),
    "stable by half": (has(stable=lambda _: np.array(0.5)), "stable"),
    "negative residual": (has(residual=lambda values: -values), "residual"),
    "no atom": (has(atoms=at(0, 0)), "atoms"),
    "too many atoms": (has(atoms=at(0, 2)), "atoms"),
    "atoms by half": (has(atoms=lambda values: values + 0.5), "atoms"),
    "negative mass": (has(atom_mass=at(0, -1.0)), "atom_mass"),
    "half the mass": (has(atom_mass=at(0, 0.5)), "atom_mass"),
    "another map": (has(pushforward_map=at(0, 3.0)), "pushforward_map"),
    "eigenvalues in disorder": (has(eigenvalue_real=lambda values: values[::-1]), "eigenvalue_real"),
    "no noise": (has(noise=at(1, 0.0)), "noise"),
    "negative distance": (has(noise_w1=at(1, -0.1)), "noise_w1"),
    "share above one": (has(map_share=at(0, 1.5)), "map_share"),
    "negative share": (has(map_share=at(0, -0.1)), "map_share"),
    "shares above one together": (has(map_share=lambda values: 0 * values + 0.9), "map_share"),
    "half a stable map": (has(map_stable=at(0, 7)), "map_stable"),
    "negative starts": (has(map_starts=at(0, -1)), "map_starts"),
    "mode zero": (has(mode=at(0, 0)), "mode"),
    "modes backwards": (has(mode=lambda values: values[::-1]), "mode"),
    "direction along tokens": (
        both(without("escape_direction"), adds("escape_direction", ("aux", "token"), np.zeros((4, 16)))),
        "escape_direction",
    ),
    "unknown verdict": (says(verdict="maybe"), "verdict"),
    "verdict is a number": (says(verdict=1), "verdict"),
    "several atoms with a map": (says(verdict="several atoms"), "verdict"),
    "no map with a map": (says(verdict="no limit map"), "verdict"),
    "pushforward of no map": (both(without("pushforward_map"), without("curvature")), "pushforward_map"),
    "curvature of no map": (both(without("pushforward_map"), says(verdict="collapsed")), "curvature"),
    "law of noise": (says(law="density"), "law"),
    "unknown law": (says(law="order"), "law"),
    "sigma unknown": (says(sigma=np.nan), "sigma"),
    "negative sigma": (says(sigma=-0.1), "sigma"),
    "negative distance to T": (says(w2=-0.1), "w2"),
    "infinite distance": (says(w1=np.inf), "w1"),
    "order above one": (says(order_parameter=1.5), "order_parameter"),
    "entropy in words": (says(entropy="high"), "entropy"),
    "clusters by half": (says(clusters_predicted=2.5), "clusters_predicted"),
}

ATOMS = {
    "mass of the padding": (has(atom_mass=lambda values: values[:, ::-1]), "atom_mass"),
    "place of the padding": (has(atom_position=at(-1, 0.0)), "atom_position"),
    "a map of several atoms": (
        both(adds("pushforward_map", ("aux",), np.zeros(4)), says(verdict="collapsed", law="map")),
        "pushforward_map",
    ),
    "pushforward": (says(verdict="pushforward"), "verdict"),
    "a map that is not there": (says(law="map"), "law"),
}

SERIES = ("parameter", "branch", "stable", "order_parameter", "conditional_concentration", "free_energy")
DIAGRAM = {
    **{f"no {name}": (without(name), name) for name in (*SERIES, "leading_eigenvalue", "residual")},
    **{f"no {name}": (without(name), name) for name in ("fold_value", "fold_order_parameter", "fold_branch")},
    **{
        f"no branch_point_{name}": (without(f"branch_point_{name}"), f"branch_point_{name}")
        for name in ("value", "branch", "mode")
    },
    **{
        f"no {name}": (silent(name), name)
        for name in (
            "parameter",
            "parameter_from",
            "parameter_to",
            "transition",
            "sigma",
            "branch_0",
            "branch_1",
        )
    },
    **{
        f"nan in {name}": (has(**{name: at(-1, np.nan)}), name)
        for name in (
            "parameter",
            "order_parameter",
            "residual",
            "marginal",
            "fold_value",
            "branch_point_value",
        )
    },
    "infinite parameter": (has(parameter=at(0, np.inf)), "parameter"),
    "branches in turn": (has(branch=at(1, 1)), "branch"),
    "first branch missing": (has(branch=lambda values: values + 1), "branch"),
    "a branch left out": (has(branch=lambda values: 2 * values), "branch"),
    "unsigned branches in turn": (has(branch=lambda values: values[::-1].astype(np.uint8)), "branch"),
    "branches by half": (has(branch=lambda values: values / 2), "branch"),
    "a branch without a name": (says(branch_1=2), "branch_1"),
    "stable twice": (has(stable=at(0, 2)), "stable"),
    "another length": (cut("fold", 0), "fold_value"),
    "fold of no branch": (has(fold_branch=at(0, 2)), "fold_branch"),
    "branch point of no branch": (has(branch_point_branch=at(0, -1)), "branch_point_branch"),
    "no such mode": (has(branch_point_mode=at(0, -2)), "branch_point_mode"),
    "order above concentration": (has(order_parameter=at(0, 0.5)), "order_parameter"),
    "negative residual": (has(residual=at(0, -1.0)), "residual"),
    "negative distance": (has(w2=at(-1, -1.0)), "w2"),
    "marginal doubled": (has(marginal=lambda values: 2 * values), "marginal"),
    "marginal turned": (turned("marginal"), "marginal"),
    "a distance and no marginal": (without("marginal"), "w2"),
    "no state": (both(without("w2"), without("marginal")), "map_position"),
    "unknown transition": (says(transition="soft"), "transition"),
    "half an interval": (silent("spinodal_high"), "spinodal_high"),
    "interval backwards": (says(spinodal_low=2.0), "spinodal_low"),
    "interval of nan": (says(spinodal_low=np.nan), "spinodal_low"),
    "endless parameter": (says(parameter_to=np.inf), "parameter_to"),
}

CASES = [
    *[pytest.param(limit, *case, id=f"limit: {name}") for name, case in ROOT.items()],
    *[pytest.param(diagram, *case, id=f"bifurcation: {name}") for name, case in (ROOT | DIAGRAM).items()],
    *[pytest.param(limit, within(c), word, id=f"group: {name}") for name, (c, word) in GROUP.items()],
    *[pytest.param(compared, within(c), word, id=f"solution: {name}") for name, (c, word) in GROUP.items()],
    *[pytest.param(several_atoms, within(c), word, id=f"atoms: {name}") for name, (c, word) in ATOMS.items()],
    pytest.param(lambda: example(4, 3, 16), says(kind="limit"), "space", id="a solution as a limit"),
    pytest.param(limit, says(kind="solution"), "time", id="a limit as a solution"),
    pytest.param(limit, says(kind="bifurcation"), "parameter", id="a limit as a bifurcation"),
    pytest.param(limit, lambda record: replace(record, groups={}), "limit", id="no group"),
]


@pytest.mark.parametrize(("make", "change", "word"), CASES)
def test_contradictions_are_refused(make, change, word, tmp_path):
    path = tmp_path / "a.h5"
    change(make()).save(path)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    said, *_ = str(caught.value).removeprefix(f"{path}: ").split("; there are")  # what else there is
    assert re.search(rf"\b{word}\b", said)


LEGAL = {
    "a map found once around": (
        limit,
        within(has(pushforward_map=lambda values: values + 2 * np.pi)),
    ),
    "no map and no law": (
        stationary,
        within(both(without("limit_density"), without("limit_marginal"), silent("law"))),
    ),
    "energies not defined": (diagram, has(free_energy=lambda values: np.nan * values)),
    "no events": (
        diagram,
        both(*(without(f"fold_{name}") for name in ("value", "order_parameter", "branch"))),
    ),
    "residual not known": (limit, within(has(residual=lambda values: np.nan * values))),
    "truth instead of 0 and 1": (limit, within(has(stable=lambda values: values > 0))),
    "conjugate pair up to rounding": (limit, within(has(eigenvalue_real=at(2, -0.7 + 1e-15)))),
}


@pytest.mark.parametrize(("make", "change"), LEGAL.values(), ids=LEGAL)
def test_what_is_legal(make, change, tmp_path):
    change(make()).save(tmp_path / "a.h5")
    mf.open(tmp_path / "a.h5").summary()


# Objects


def test_a_solution_is_asked_for(tmp_path):
    limit().save(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"a\.h5: must hold a solution, found a limit"):
        open_solution(tmp_path / "a.h5")


def test_limit():
    found = Limit(limit())
    assert (found.pushforward_map == found.atom_position[:, 0]).all()
    assert found.aux.shape == found.atoms.shape == (4,)
    assert found.stable is True
    assert (found.residual, found.w1, found.w2, found.verdict) == (1e-13, 0.0, 0.0, "pushforward")
    assert (found.attributes["space"], found.attributes["law"]) == ("circle", "map")
    assert {"token", "limit_density"} <= set(dir(found))
    with pytest.raises(AttributeError, match=r"no dataset 'densities'; it has .*limit_density"):
        _ = found.densities
    summary = found.summary()
    assert (summary["atoms"], summary["stable"], summary["law"], summary["status"]) == (
        1,
        True,
        "map",
        "finished",
    )
    assert summary["growth_rates"] == {1: 0.4, 2: -0.1}
    assert summary["maps"][0] == {
        "share": 0.75,
        "energy": -1.0,
        "stable": True,
        "residual": 1e-13,
        "starts": 3,
    }
    assert summary["maps"][1]["stable"] is False
    assert [row["sigma"] for row in summary["noise"]] == [0.1, 0.05, 0.025]
    assert summary["noise"][2] == {
        "sigma": 0.025,
        "w1": 0.025,
        "w2": 0.05,
        "conditional": 0.05,
        "predicted": 0.05,
    }
    assert (summary["noise_rate"], summary["clusters_predicted"]) == (0.5, 3)
    assert Limit(several_atoms()).summary()["atoms"] == 2


def test_what_a_limit_does_not_know():
    found = Limit(stationary())
    assert np.isnan(found.w2)
    summary = found.summary()
    assert (summary["w1"], summary["atoms"], summary["noise_rate"]) == (None, None, None)
    assert (summary["maps"], summary["noise"], summary["growth_rates"]) == ([], [], {})
    with pytest.raises(InputError, match="limit"):
        Limit(example(2, 2, 8))


def test_bifurcation():
    found = Bifurcation(diagram())
    assert found.parameter.shape == found.branch.shape == found.order_parameter.shape == (7,)
    assert found.folds == [{"value": 0.35, "order_parameter": 0.4, "branch": 1}]
    assert found.branch_points == [{"value": 0.3, "order_parameter": 0.0, "branch": 0, "mode": 1}]
    assert found.transition == "discontinuous"
    summary = found.summary()
    assert summary["parameter"] == "noise.sigma"
    assert (summary["spinodal_low"], summary["spinodal_high"]) == (0.3, 0.35)
    assert summary["branches"] == [
        {"name": "uniform state", "points": 3, "from": 0.1, "to": 0.5},
        {"name": "mode 1", "points": 4, "from": 0.3, "to": 0.1},
    ]
    plain = Bifurcation(
        Record({k: v for k, v in diagram().variables.items() if "fold" not in k}, diagram().attributes)
    )
    assert plain.folds == []


def test_a_compared_solution_has_the_limit_law():
    solution = Solution(compared())
    assert (solution.pushforward_map == limit().groups["limit"]["pushforward_map"]).all()
    assert solution.density.shape == (3, 4, 16)
    assert "limit_density" in dir(solution)
    with pytest.raises(AttributeError, match="no dataset 'pushforward_map'"):
        _ = Solution(example(4, 3, 16)).pushforward_map
