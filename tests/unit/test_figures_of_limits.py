"""Figures of limits and bifurcations: every kind gives a page that could be printed, and says what it is."""

import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba, to_rgba_array
from scipy import special

from meanfield_pde import figures
from meanfield_pde.contents import check
from meanfield_pde.errors import InputError
from meanfield_pde.figures import style
from meanfield_pde.figures.bifurcation import runs
from meanfield_pde.figures.limits import limit as limit_page
from meanfield_pde.figures.quantiles import cut
from meanfield_pde.records import Record

from .example_records import TURN, bifurcation, compared, example, grouped, limit, pitchfork
from .test_figures import DOTS, changed, open_line, texts

Z = (np.arange(64) + 0.5) / 64
RING = TURN * Z
NOISE = np.array([0.1, 0.05, 0.025, 0.0125])
SCATTERED = np.random.default_rng(3).vonmises(1.0, 0.7, 512)


def two_atoms():
    """Two atoms per node, a third with a single one, at sigma = 0."""
    position = np.stack([RING, RING + np.where(np.arange(64) % 3, 2.0, 0.0)], axis=1)
    share = np.where(np.arange(64) % 3, 0.3 + 0.4 * Z, 0.0)
    return limit(position, np.stack([1 - share, share], axis=1), sigma=0.0)


def with_noise(record):
    """Distances as Laplace's method predicts them, the conditional ones with the next order."""
    return grouped(
        record,
        {"noise_rate": 1.03},
        noise=(("rung",), NOISE),
        noise_w1=(("rung",), 0.2 * NOISE),
        noise_w2=(("rung",), 0.4 * NOISE),
        noise_conditional=(("rung",), 0.9 * NOISE * (1 + NOISE)),
        noise_predicted=(("rung",), 0.9 * NOISE),
    )


def with_maps(record, count):
    """So many limit maps, every other one stable, the later the rarer."""
    shift = np.arange(count)[:, None]
    shares = 2.0 ** -np.arange(1, count + 1)
    shares[-1] *= 2
    return grouped(
        record,
        map_position=(("map", "aux"), (0.2 + 0.5 * shift) * np.sin(RING) + 0.3 * shift),
        map_share=(("map",), shares),
        map_energy=(("map",), np.zeros(count)),
        map_residual=(("map",), np.full(count, 1e-13)),
        map_stable=(("map",), 1 - np.arange(count) % 2),
        map_starts=(("map",), np.ones(count, dtype=int)),
    )


def unstable(record):
    return grouped(record, {"leading_eigenvalue": 0.3}, stable=((), 0))


def monotone():
    """One branch on which nothing happens."""
    beta = np.linspace(0.5, 8.0, 30)
    branch = {
        "parameter": beta,
        "order_parameter": np.tanh(0.2 * beta),
        "leading_eigenvalue": -0.2 - 0.1 * beta,
        "free_energy": np.full(30, np.nan),
    }
    return bifurcation([branch], {"parameter": "attention.beta", "branch_0": "from the initial law"})


def five_branches():
    """The uniform state, which loses stability five times, and the branches of modes 1 to 4."""
    sigma = np.linspace(0.05, 1.0, 40)
    onsets = np.array([0.9, 0.6, 0.38, 0.2])
    branches = [{"parameter": sigma, "order_parameter": 0 * sigma, "leading_eigenvalue": 40 * (0.9 - sigma)}]
    for mode, onset in enumerate(onsets):
        along = np.linspace(0.05, onset, 25)
        order = np.sqrt(1 - along / onset) * 0.9 / (1 + 0.3 * mode)
        rate = -0.8 * (onset - along) if mode == 0 else 0.1 * mode + 0 * along
        branches.append({"parameter": along, "order_parameter": order, "leading_eigenvalue": rate})
    for branch in branches:
        branch["free_energy"] = -2 * branch["parameter"] - branch["order_parameter"]
    names = {"branch_0": "uniform state"} | {f"branch_{mode}": f"mode {mode}" for mode in range(1, 5)}
    return bifurcation(
        branches,
        {"transition": "continuous"} | names,
        branch_point_value=onsets,
        branch_point_order_parameter=np.zeros(4),
        branch_point_branch=np.zeros(4, dtype=int),
        branch_point_mode=np.arange(1, 5),
    )


def point():
    """A single stationary state."""
    numbers = {
        "parameter": 0.5,
        "order_parameter": 0.7,
        "leading_eigenvalue": -1.0,
        "free_energy": np.nan,
    }
    branch = {name: np.array([value]) for name, value in numbers.items()}
    return bifurcation([branch], {"parameter": "prompt.fraction"}, title="")


def small_order():
    """Order parameters that nobody would see between 0 and 1, and eigenvalues on two scales."""
    a = np.linspace(0.0, 2.0, 50)
    rates = -(10.0 ** np.linspace(-4, 2, 50))
    branch = {
        "parameter": a,
        "order_parameter": 0.01 * a,
        "leading_eigenvalue": rates,
        "free_energy": 0 * a + np.nan,
    }
    return bifurcation([branch], {"parameter": "encoding.amplitude"})


def on_an_interval():
    """A limit on an interval: the quantiles need no cut."""
    line = open_line()
    density = line["density"][-1]
    group = limit(np.zeros(8), resolution=32).groups["limit"]
    values = {"limit_density": density, "limit_marginal": density.mean(axis=0)}
    values["pushforward_map"] = np.linspace(-0.8, 0.8, 8)
    values["atom_position"] = values["pushforward_map"][:, None]
    group = changed(group, **values)
    attributes = {"kind": "limit", "space": "interval", "seconds": 1.0, "resolution": 32}
    return Record(line.variables, dict(line.attributes) | attributes, {"limit": group})


def many_branches():
    """More branches than there are colours."""
    branches = [
        {
            "parameter": np.array([0.0, 1.0]),
            "order_parameter": np.full(2, 0.1 * (1 + number)),
            "leading_eigenvalue": np.full(2, -1.0),
            "free_energy": np.full(2, np.nan),
        }
        for number in range(8)
    ]
    return bifurcation(branches)


LIMITS = {
    "ring": lambda: limit(RING, title="Additive ring, $a = 1$"),
    "ring without noise": lambda: limit(RING, sigma=0.0),
    "collapsed": lambda: limit(np.full(64, 1.3)),
    "collapsed at the seam": lambda: limit(np.full(64, 0.02), sigma=0.01),
    "collapsed without noise": lambda: limit(np.full(64, 1.3), sigma=0.0),
    "two atoms": two_atoms,
    "two atoms with noise": lambda: limit(np.stack([RING, RING + 2.0], 1), np.full((64, 2), 0.5)),
    "scattered": lambda: limit(SCATTERED, sigma=0.02),
    "unstable": lambda: unstable(limit(RING)),
    "noise": lambda: with_noise(limit(RING)),
    "vanishing distances": lambda: grouped(with_noise(limit(RING)), noise_w2=(("rung",), np.zeros(4))),
    "two maps": lambda: with_maps(limit(RING), 2),
    "nine maps": lambda: with_maps(limit(RING), 9),
    "no limit map": lambda: grouped(limit(RING, law=False), {"reason": "Newton's method did not settle"}),
    "small distances": lambda: grouped(with_noise(two_atoms()), {"w1": 1.2e-12, "w2": 3.4e-12}),
    "no reason": lambda: limit(RING, law=False),
    "one node": lambda: limit(np.array([2.0])),
    "negative curvature": lambda: grouped(unstable(limit(RING)), curvature=(("aux",), np.cos(RING))),
    "long title": lambda: unstable(limit(RING, title="A long title with $x_ and \\frac{ in it, " * 9)),
    "on an interval": on_an_interval,
    "comparison": compared,
    "unstable comparison": lambda: unstable(compared()),
}
BIFURCATIONS = {
    "pitchfork": pitchfork,
    "monotone": monotone,
    "five branches": five_branches,
    "one point": point,
    "small": small_order,
    "eight branches": many_branches,
    "another parameter": lambda: changed(monotone(), {"parameter": "attention.heads.0.beta"}),
}
PAGES = LIMITS | BIFURCATIONS


def drawn(record):
    """Return the page of a record, laid out."""
    with style.applied():
        figure = limit_page(record) if "limit" in record.groups else figures.figure([record])
        figure.set_dpi(DOTS)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    return figure


def panels_of(figure):
    return [ax for ax in figure.findobj(mpl.axes.Axes) if ax.get_label() != "<colorbar>"]


def said(figure):
    return [text.get_text() for text, _ in texts(figure)]


@pytest.fixture(params=PAGES.values(), ids=PAGES, scope="module")
def page(request):
    return drawn(request.param())


# Every page


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_the_examples_are_what_files_hold(make):
    check(make())


def test_texts_are_within_the_page_and_do_not_overlap(page):
    width, height = page.bbox.size
    found = texts(page)
    for text, box in found:
        assert -0.5 <= box.x0 <= box.x1 <= width + 0.5, text
        assert -0.5 <= box.y0 <= box.y1 <= height + 0.5, text
    for (one, box), (two, other) in itertools.combinations(found, 2):
        # The box of a text has some air in it: two pixels are a third of a millimetre.
        wide = min(box.x1, other.x1) - max(box.x0, other.x0)
        high = min(box.y1, other.y1) - max(box.y0, other.y0)
        assert wide < 2 or high < 2, (one.get_text(), two.get_text())


def test_keys_do_not_reach_into_headings(page):
    renderer = page.canvas.get_renderer()
    for ax in panels_of(page):
        key, heading = ax.get_legend(), ax._left_title
        if key is not None and heading.get_text():
            box, other = key.get_window_extent(renderer), heading.get_window_extent(renderer)
            assert box.x0 > other.x1 or box.y1 < other.y0, heading.get_text()


def test_panels_are_large_enough_labelled_and_not_empty(page):
    for letter, ax in zip("abcd", sorted(panels_of(page), key=place), strict=False):
        assert ax.get_window_extent().size.min() / DOTS > 0.65, ax.get_xlabel()
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert ax.get_title("left").startswith(rf"$\mathbf{{{letter}}}$")
        assert ax.images or ax.lines or ax.collections


def place(ax):
    """Rows from above, each from the left."""
    box = ax.get_window_extent()
    return -round(box.y1 / 10), box.x0


# Limits


@pytest.mark.parametrize(
    ("name", "count"),
    [("ring", 4), ("noise", 4), ("nine maps", 4), ("two atoms", 4), ("no limit map", 2), ("comparison", 4)],
)
def test_the_panels_of_a_limit(name, count):
    assert len(panels_of(drawn(LIMITS[name]()))) == count


def dots(ax):
    """Return the positions and areas of all points of a panel."""
    return (
        np.concatenate([np.asarray(points.get_offsets()) for points in ax.collections]),
        np.concatenate([points.get_sizes() for points in ax.collections]),
    )


def test_the_map_is_drawn_over_the_densities():
    joint = panels_of(drawn(LIMITS["ring"]()))[0]
    places, areas = dots(joint)
    np.testing.assert_array_equal(places, np.column_stack([Z, RING]))
    assert np.ptp(areas) == 0
    assert joint.images


def test_areas_of_atoms_go_with_their_masses():
    record = two_atoms()
    figure = drawn(record)
    _, areas = dots(panels_of(figure)[0])
    masses = record.groups["limit"]["atom_mass"].T.ravel()
    np.testing.assert_allclose(areas, masses * areas.max() / masses.max(), rtol=1e-14)  # two roundings
    text = " ".join(said(figure))
    assert "atoms of the limit" in text
    assert "pushforward" not in text
    assert r"T_{\#}" not in text


@pytest.mark.parametrize("name", ["ring", "two atoms", "comparison", "scattered"])
def test_both_marginals_are_smoothed_alike_and_keep_their_mass(name):
    lines = panels_of(drawn(LIMITS[name]()))[1].lines
    assert len(lines) == 2
    for line in lines:
        angle, density = line.get_data()
        # Trapezoidal sums of a periodic Gaussian of 5 degrees on a grid of half a degree are exact.
        assert np.trapezoid(density, angle) == pytest.approx(1.0, abs=1e-12)


def test_a_comparison_shows_the_last_state_of_the_solution():
    record = compared()
    figure = drawn(record)
    assert r"$\mathbf{a}$  State, $t = 20$" in said(figure)
    group = record.groups["limit"]
    other = grouped(record, limit_marginal=(("token",), 0 * group["limit_marginal"]))
    curves = [panels_of(page)[1].lines[0].get_ydata() for page in (figure, drawn(other))]
    np.testing.assert_array_equal(*curves)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ring", ["Additive ring, $a = 1$: pushforward", "$W_1 = 0.01$, $W_2 = 0.023$", r"$T_{\#}\nu$"]),
        ("unstable", [r"Limit law, $\sigma = 0.05$ (unstable)"]),
        ("unstable comparison", ["State, $t = 20$ (limit unstable)"]),
        ("no limit map", ["No limit map: Newton's method did not settle", r"$T_{\#}\nu$ not defined"]),
        ("noise", [r"Observed $\sigma^{1.03}$", r"$\sigma \langle \mathrm{tr}\,K^{-1} \rangle$"]),
        ("nine maps", ["9 limit maps $T(z)$", "50%, stable", "25%, unstable", "3 more", "Share of starts"]),
        ("small distances", [r"$W_1 = 1 \times 10^{-12}$, $W_2 = 3 \times 10^{-12}$"]),
        ("long title", ["…: pushforward"]),
    ],
)
def test_what_is_said_of_a_limit(name, parts):
    text = "\n".join(said(drawn(LIMITS[name]())))
    for part in parts:
        assert part in text


def test_a_stable_limit_is_not_called_unstable():
    assert "unstable" not in " ".join(said(drawn(LIMITS["ring"]())))


def test_noise_is_drawn_as_squared_distances_on_logarithmic_axes():
    ax = panels_of(drawn(LIMITS["noise"]()))[3]
    predicted, conditional, marginal = (line.get_ydata() for line in ax.lines)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), NOISE[::-1])
    np.testing.assert_array_equal(predicted, 0.9 * NOISE[::-1])
    np.testing.assert_array_equal(conditional, (0.9 * NOISE * (1 + NOISE))[::-1])
    np.testing.assert_array_equal(marginal, ((0.4 * NOISE) ** 2)[::-1])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_distances_of_zero_are_left_out_of_a_logarithmic_panel():
    assert len(panels_of(drawn(LIMITS["vanishing distances"]()))[3].lines) == 2


def test_the_commonest_maps_are_shown_each_in_its_colour():
    record = with_maps(limit(RING), 9)
    ax = panels_of(drawn(record))[3]
    assert len(ax.collections) == 6
    for points, color, position in zip(
        ax.collections[::-1], style.CYCLE, record.groups["limit"]["map_position"], strict=False
    ):
        assert to_rgba_array(points.get_facecolor())[0] == pytest.approx(to_rgba(color))
        # Angles are brought into a turn by a division with remainder: a few roundings of 2 pi.
        np.testing.assert_allclose(np.asarray(points.get_offsets())[:, 1], position % TURN, atol=1e-14)


def test_curvatures_show_where_stability_ends():
    ax = panels_of(drawn(LIMITS["negative curvature"]()))[3]
    np.testing.assert_array_equal(dots(ax)[0][:, 1], np.cos(RING))
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.0, 0.0]]


# Quantiles


def shown_quantiles(record):
    ax = panels_of(drawn(record))[2]
    diagonal, points = ax.lines
    np.testing.assert_array_equal(*diagonal.get_data())
    assert ax.get_xlim() == ax.get_ylim()
    return points.get_data()


@pytest.mark.parametrize("shift", [0.0, 0.3, 3.0, 5.5])
def test_quantiles_of_equal_laws_lie_on_the_diagonal_wherever_the_circle_is_cut(shift):
    # Angles over half a turn: what is thin lies opposite, wherever the coordinate has its seam.
    atoms, marginal = shown_quantiles(limit(0.5 * RING + shift, sigma=0.0))
    # An atom is up to half a cell from the middle of its cell, over which its mass is spread.
    assert np.abs(atoms - marginal).max() <= TURN / 256
    assert np.ptp(atoms) == pytest.approx(TURN / 2 * 63 / 64)


def test_quantiles_of_a_uniform_law_lie_on_the_diagonal():
    atoms, marginal = shown_quantiles(limit(RING + 0.2))
    # An atom stands for 1/64 of a turn, at most half of which is on either side of it; and a grid of half
    # a degree says where the circle is cut.
    assert np.abs(atoms - marginal).max() < TURN / 128 + np.radians(0.5)


def test_quantiles_of_a_gaussian_about_one_place_are_those_of_a_gaussian():
    sigma = 1e-2  # von Mises of concentration 1/sigma: a Gaussian of variance sigma up to its square
    atoms, marginal = shown_quantiles(limit(np.full(64, 0.02), sigma=sigma))
    assert np.ptp(atoms) == 0
    expected = 0.02 + special.ndtri((np.arange(256) + 0.5) / 256) * sigma**0.5
    # The next order of the variance is sigma^2/2, and cells of 2 pi/256 are cut straight.
    np.testing.assert_allclose(marginal, expected, atol=0.02)


def test_quantiles_weigh_nodes_and_atoms():
    position, mass = np.tile([1.0, 3.0], (8, 1)), np.tile([0.25, 0.75], (8, 1))
    atoms, marginal = shown_quantiles(limit(position, mass, sigma=0.0))
    np.testing.assert_allclose(np.sort(atoms), np.repeat([1.0, 3.0], [64, 192]), atol=1e-14)  # a remainder
    assert np.abs(atoms - marginal).max() <= TURN / 256


def test_the_circle_is_cut_where_both_laws_are_thin():
    record = limit(0.25 * RING + 1.0)
    group = record.groups["limit"]
    x = cut(record, group["limit_marginal"], (group["pushforward_map"], record["aux_weight"]))
    opposite = 1.0 + TURN / 8 + TURN / 2
    assert np.cos(x.limits[0] - opposite) > np.cos(0.1)
    assert x.limits[1] - x.limits[0] == pytest.approx(TURN)


# Bifurcations


@pytest.mark.parametrize(
    ("stable", "expected"),
    [
        ([1], [(0, 1)]),
        ([1, 1, 1], [(0, 3)]),
        ([1, 0], [(0, 2), (1, 2)]),
        ([1, 1, 0, 0, 1], [(0, 3), (2, 5), (4, 5)]),
    ],
)
def test_runs_share_the_point_where_stability_changes(stable, expected):
    assert [(run.start, run.stop) for run in runs(np.array(stable))] == expected


@pytest.mark.parametrize(
    ("name", "ordinates"),
    [
        ("pitchfork", ["$R$", r"$\lambda$", r"$W_2(\mu, T_{\#}\nu)$", r"$F_\sigma$"]),
        ("monotone", ["$R$", r"$\lambda$"]),
        ("five branches", ["$R$", r"$\lambda$", r"$F_\sigma$"]),
    ],
)
def test_the_panels_of_a_bifurcation(name, ordinates):
    found = panels_of(drawn(BIFURCATIONS[name]()))
    assert len(found) == len(ordinates)
    for ax, symbol in zip(sorted(found, key=place), ordinates, strict=True):
        assert symbol in ax.get_ylabel()


def test_stable_parts_are_solid_and_unstable_ones_dashed_in_the_colour_of_the_branch():
    record = pitchfork()
    ax = panels_of(drawn(record))[0]
    curves = [line for line in ax.lines if line.get_marker() == "None"]
    assert [line.get_color() for line in curves] == [style.BLUE, style.BLUE, style.VERMILION, style.VERMILION]
    assert [line.is_dashed() for line in curves] == [True, False, True, False]
    start = 0
    for color in (style.BLUE, style.VERMILION):
        one, two = (line.get_xydata() for line in curves if line.get_color() == color)
        np.testing.assert_array_equal(one[-1], two[0])
        whole = np.concatenate([one, two[1:]])
        points = slice(start, start + len(whole))
        np.testing.assert_array_equal(whole[:, 0], record["parameter"][points])
        np.testing.assert_array_equal(whole[:, 1], record["order_parameter"][points])
        start = points.stop
    assert start == len(record["parameter"])


def test_folds_and_branch_points_are_marked_and_coexistence_is_shaded():
    record = pitchfork()
    figure = drawn(record)
    ax = panels_of(figure)[0]
    marks = {line.get_marker(): line.get_xydata()[0] for line in ax.lines if line.get_marker() != "None"}
    assert list(marks) == ["D", "s"]
    np.testing.assert_array_equal(marks["D"], [record["fold_value"][0], record["fold_order_parameter"][0]])
    np.testing.assert_array_equal(marks["s"], [record["branch_point_value"][0], 0.0])
    (span,) = ax.patches
    assert span.get_x() == record.attributes["spinodal_low"]
    assert span.get_x() + span.get_width() == pytest.approx(record.attributes["spinodal_high"])
    names = {"uniform state", "mode 1", "stable", "unstable", "fold", "branch point (mode 1)"}
    assert names | {"two stable states"} <= set(said(figure))


def test_nothing_is_said_of_what_does_not_bifurcate():
    figure = drawn(monotone())
    text = " ".join(said(figure))
    for part in ("fold", "branch point", "unstable", "two stable"):
        assert part not in text
    assert "Uniform attention: no transition" in text
    assert not panels_of(figure)[0].patches


def test_colours_that_are_used_again_are_paler():
    lines = panels_of(drawn(many_branches()))[0].lines
    assert len({(line.get_color(), line.get_alpha()) for line in lines}) == 8


def test_small_order_parameters_and_eigenvalues_on_two_scales_can_be_read():
    order, eigenvalue = panels_of(drawn(small_order()))
    assert order.get_ylim()[1] == pytest.approx(1.06 * 0.02)
    assert eigenvalue.get_yscale() == "symlog"
    assert panels_of(drawn(monotone()))[1].get_yscale() == "linear"


@pytest.mark.parametrize(
    ("parameter", "label"),
    [
        ("noise.sigma", r"Noise $\sigma$"),
        ("attention.beta", r"$\beta$"),
        ("encoding.amplitude", "Amplitude $a$"),
        ("prompt.fraction", r"Prompt fraction $\omega$"),
        ("potential.height", "potential.height"),
    ],
)
def test_the_parameter_has_its_usual_symbol(parameter, label):
    figure = drawn(changed(monotone(), {"parameter": parameter}))
    assert {ax.get_xlabel() for ax in panels_of(figure)} == {label}


# Which page


def test_a_kind_has_its_page(tmp_path):
    for name, record in {"limit": limit(RING), "bifurcation": monotone()}.items():
        figures.draw([record], tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert r"$\mathbf{c}$  Quantiles" in said(laid_out([limit(RING)]))
    assert "Tokens over depth" in " ".join(said(laid_out([compared()])))


def laid_out(records):
    figure = figures.figure(records)
    with style.applied():
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    return figure


def test_a_comparison_is_drawn_on_request(tmp_path):
    figures.draw_comparison(compared(), tmp_path / "a.pdf")
    assert b"Additive positional encoding" in (tmp_path / "a.pdf").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        figures.draw_comparison(compared(), tmp_path / "a.pdf")
    figures.draw_comparison(compared(), tmp_path / "a.pdf", overwrite=True)
    with pytest.raises(InputError, match="no group 'limit'"):
        figures.draw_comparison(example(8, 3, 32), tmp_path / "b.pdf")
    assert not (tmp_path / "b.pdf").exists()


def test_only_solutions_stand_side_by_side():
    with pytest.raises(InputError, match="got solution, limit: draw each"):
        figures.figure([example(2, 2, 8), limit(RING)])


def test_what_cannot_be_drawn_is_said():
    record = limit(RING, law=False)
    group = changed(record.groups["limit"], {"reason": "it drifts"}, limit_density=None, limit_marginal=None)
    with pytest.raises(InputError, match="no limit law to be drawn: it drifts"):
        figures.figure([replace(record, groups={"limit": group})])
    with pytest.raises(InputError, match="no dataset stable"):
        figures.figure([changed(monotone(), stable=None)])
    with pytest.raises(InputError, match="'kind' must be one of"):
        figures.figure([changed(monotone(), {"kind": "movie"})])
