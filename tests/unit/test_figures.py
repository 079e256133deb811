"""Figures: every kind of solution gives a page that could be printed, without warnings."""

import itertools
import re
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from meanfield_pde import figures, plateaus
from meanfield_pde.clusters import Clusters
from meanfield_pde.errors import InputError
from meanfield_pde.figures import axes, heat, style
from meanfield_pde.records import Variable

from .example_records import TURN, example

DOTS = 150  # per inch: enough to see what overlaps


def changed(record, attributes=(), **variables):
    """Return a record in which some variables have other values (None: are missing)."""
    kept = {
        name: v
        for name, v in record.variables.items()
        if name not in variables or variables[name] is not None
    }
    new = {
        name: replace(kept[name], values=values) for name, values in variables.items() if values is not None
    }
    return replace(record, variables=kept | new, attributes=dict(record.attributes) | dict(attributes))


def open_line():
    """Return a record whose token space is an interval, not a closed curve."""
    record = example(8, 5, 32)
    attributes = {name: value for name, value in record.attributes.items() if name != "period"}
    token = Variable(("token",), np.linspace(-1, 1, 32), "cosine", "1")
    return replace(record, variables=dict(record.variables) | {"token": token}, attributes=attributes)


def with_clusters(record, counts=(3, 2, 1), attributes=()):
    """Return a record with so many equal clusters in equal shares of the depth, none at the beginning."""
    time = record["time"]
    none = Clusters(np.empty(0), np.empty(0))
    shares = np.minimum((len(counts) * time / time[-1]).astype(int), len(counts) - 1)
    clusters = [Clusters(np.arange(n) * TURN / n, np.full(n, 1 / n)) for n in np.array(counts)[shares]]
    clusters[0] = none
    order = 0.02 + 0.2 * shares / max(len(counts) - 1, 1)
    variables = dict(record.variables) | plateaus.variables(time, order, clusters)
    variables["order_parameter"] = Variable(("time",), order, "order parameter")
    return replace(record, variables=variables, attributes=dict(record.attributes) | dict(attributes))


def with_labels(labels=300, nodes=1, speed=0.0, depths=61, first="time"):
    """Return tokens that gather in three clusters, two of which merge, all turning, as histograms."""
    record = example(nodes, depths, 128)
    time, start = record["time"][:, None], TURN * (np.arange(labels) + 0.5) / labels
    home = np.floor(3 * start / TURN)
    target = TURN * (home + 0.5) / 3 - np.where(home == 2, 2.0 / (1 + np.exp(10 - time)), 0.0)
    position = (target + (start - target) * np.exp(-time) + speed * time) % TURN
    weight = np.full((nodes, labels), 1 / labels)
    width = TURN / 128
    cell = np.floor(position / width + 0.5).astype(int) % 128
    density = np.array([np.bincount(row, weight[0], 128) for row in cell]) / width
    record = changed(record, density=np.repeat(density[:, None], nodes, axis=1), marginal=density)
    position = np.repeat(position[:, None], nodes, axis=1)[
        slice(None) if first == "time" else slice(-1, None)
    ]
    labelled = {
        "position": Variable((first, "aux", "label"), position, "angle of the label", "rad"),
        "label_weight": Variable(("aux", "label"), weight, "mass of the label"),
    }
    variables = dict(record.variables) | labelled
    return with_clusters(replace(record, variables=variables), (3, 2), {"density_kind": "histogram"})


SWITCHED = {"switched_at": 6.0}
SINGLE = {
    "usual": example,
    "collapsed": lambda: example(spread=0.0, sharpness=50.0),
    "one node": lambda: example(nodes=1),
    "two nodes": lambda: example(nodes=2),
    "sharp": lambda: example(nodes=512, depths=11, resolution=1024, sharpness=3000.0),
    "fairly sharp": lambda: example(nodes=32, sharpness=400.0, spread=0.05),
    "two depths": lambda: example(nodes=8, depths=2),
    "one depth": lambda: example(nodes=8, depths=1),
    "uniform": lambda: example(uniform=True),
    "coarse": lambda: example(nodes=3, depths=3, resolution=4, sharpness=2.0),
    "no title": lambda: example(8, 5, 32, title=""),
    "long title": lambda: example(8, 5, 32, title="A long title with $x_ and \\frac{ in it, " * 9),
    "foreign title": lambda: example(8, 5, 32, title="Größe ρ → 位置 🙂"),
    "stopped": lambda: changed(example(8, 5, 32), {"status": "stopped"}),
    "uneven depths": lambda: changed(example(8, 5, 32), time=np.array([0, 1e-3, 1e-2, 1.0, 1e5])),
    "unsorted nodes": lambda: changed(example(4, 5, 32), aux=np.array([3.0, -1.0, 3.0, 20.0])),
    "equal nodes": lambda: changed(example(4, 5, 32), aux=np.zeros(4)),
    "no energy": lambda: changed(example(8, 5, 32), free_energy=np.full(5, np.nan)),
    "constant energy": lambda: changed(
        example(8, 5, 32), free_energy=np.full(5, -1e5 - 1e-9), interaction_energy=np.full(5, 1e5)
    ),
    "tiny energy": lambda: changed(
        example(8, 5, 32), free_energy=1e-9 * np.arange(5), interaction_energy=np.zeros(5)
    ),
    "no map": lambda: changed(example(8, 5, 32), conditional_mean=None, conditional_length=None),
    "angles from -pi": lambda: changed(example(8, 5, 32), token=TURN * np.arange(32) / 32 - np.pi),
    "another period": lambda: changed(example(8, 5, 32), {"period": 1.0}, token=np.arange(32) / 32),
    "an interval": open_line,
    "clusters of one node": lambda: with_clusters(example(nodes=1)),
    "many clusters": lambda: with_clusters(example(1, 121, 32), (*range(30, 0, -1), 12)),
    "clusters at one depth": lambda: changed(with_clusters(example(1, 2, 32)), time=np.array([0.0, 1e-9])),
    "clusters at uneven depths": lambda: with_clusters(SINGLE["uneven depths"]()),
    "switched": lambda: with_clusters(example(8, 31, 32), attributes=SWITCHED),
    "turning labels": lambda: with_labels(speed=0.5),
    "labels of many nodes": lambda: with_labels(nodes=4, depths=9),
    "labels of the last state": lambda: with_labels(first="state"),
}
SEVERAL = {
    "three methods": lambda: [
        with_labels(30, depths=9),
        changed(example(8, 9, 64, title="Changed over"), SWITCHED),
        with_labels(30, nodes=2, depths=9),
    ],
    "three": lambda: [example(1, 9, 64, title="Positions removed"), example(32, 9, 64), example(64, 9, 128)],
    "two": lambda: [example(32, 9, 64, sharpness=3000.0), example(32, 5, 64, uniform=True)],
    "six": lambda: [
        example(16, 9, 64, title="A title that is $ longer than its column " * k) for k in range(6)
    ],
    "mixed spaces": lambda: [example(8, 5, 32), open_line(), SINGLE["another period"]()],
}
PAGES = {name: lambda make=make: [make()] for name, make in SINGLE.items()} | SEVERAL


@pytest.fixture(params=PAGES.values(), ids=PAGES, scope="module")
def page(request):
    records = request.param()
    figure = figures.figure(records)
    with style.applied():
        figure.set_dpi(DOTS)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    return records, figure


def texts(figure):
    """Return the texts that are seen, each with its box in pixels."""
    renderer = figure.canvas.get_renderer()
    found = {
        id(text): text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()
    }
    ticks = [
        tick for ax in figure.findobj(mpl.axes.Axes) for axis in (ax.xaxis, ax.yaxis) for tick in _ticks(axis)
    ]
    hidden = {id(label) for tick, seen in ticks for label in (tick.label1, tick.label2) if not seen}
    return [(text, text.get_window_extent(renderer)) for text in found.values() if id(text) not in hidden]


def _ticks(axis):
    """Matplotlib keeps ticks beyond the limits of an axis, and does not draw them."""
    low, high = sorted(axis.get_view_interval())
    margin = 1e-9 * (high - low)
    return [
        (tick, low - margin <= tick.get_loc() <= high + margin)
        for tick in (*axis.majorTicks, *axis.minorTicks)
    ]


def test_text_is_within_the_page(page):
    _, figure = page
    width, height = figure.bbox.size
    for text, box in texts(figure):
        assert box.x0 >= -0.5, text
        assert box.y0 >= -0.5, text
        assert box.x1 <= width + 0.5, text
        assert box.y1 <= height + 0.5, text


def test_texts_do_not_overlap(page):
    _, figure = page
    for (one, box), (two, other) in itertools.combinations(texts(figure), 2):
        # The box of a text has some air in it: two pixels are a third of a millimetre.
        wide = min(box.x1, other.x1) - max(box.x0, other.x0)
        high = min(box.y1, other.y1) - max(box.y0, other.y0)
        assert wide < 2 or high < 2, (one.get_text(), two.get_text())


def test_panels_are_large_enough(page):
    _, figure = page
    for ax in figure.findobj(mpl.axes.Axes):
        if ax.get_label() != "<colorbar>":
            size = ax.get_window_extent().size / DOTS
            assert size.min() > 0.65, (ax.get_xlabel(), size)


def test_every_panel_is_labelled(page):
    records, figure = page
    panels_ = [ax for ax in figure.findobj(mpl.axes.Axes) if ax.get_label() != "<colorbar>"]
    alone = (4 if len(records[0]["aux"]) == 1 else 5) + ("cluster_mass" in records[0])
    assert len(panels_) == {1: alone}.get(len(records), 2 * len(records) + 2)
    assert all(ax.get_xlabel() for ax in panels_)
    shown = "\n".join(text.get_text() for text, _ in texts(figure))
    symbol = axes.token_axis(records[0]).symbol
    marginal = "tokens" if "tokens" in shown else rf"$\mu(t,{symbol})$"  # the trajectories of tokens
    for part in ("Depth $t$" if len(records) < 4 else "$t$", f"${symbol}$", marginal, "$R$"):
        assert part in shown
    letters = (
        [r"\mathbf{" + letter + "}" for letter in "abcdef"[:alone]] if len(records) == 1 else list("abcd")
    )
    assert all(re.search(rf"(^|\$){re.escape(letter)}(\$|$)", shown, re.MULTILINE) for letter in letters)


def test_limits_are_those_of_the_axes(page):
    records, figure = page
    images = [ax for ax in figure.findobj(mpl.axes.Axes) if ax.images]
    assert len(images) >= len(records) - sum("label_weight" in record for record in records)
    for ax in images:
        assert (*ax.get_xlim(), *ax.get_ylim()) == pytest.approx(ax.images[0].get_extent())


def test_what_is_not_defined_is_said():
    shown = [text.get_text() for text, _ in texts(drawn(SINGLE["no energy"]()))]
    assert r"$F_\sigma$ not defined" in shown


@pytest.mark.parametrize(("value", "text"), [(20.0, "20"), (0.1, "0.1"), (1e5, r"1 \times 10^{5}")])
def test_numbers(value, text):
    assert style.number(value) == text


def test_free_energy_and_density_have_their_symbols():
    shown = "\n".join(text.get_text() for text, _ in texts(drawn(example(8, 5, 32))))
    symbols = (r"$F_\sigma$", "$-E$", r"$T_{\#}\nu$", "$W_2 = 0.15$", r"$\rho(\theta\,|\,z)$", "mean $T(z)$")
    for part in (*symbols, "Additive positional encoding"):
        assert part in shown


def test_clusters_and_plateaus_are_shown():
    record = with_clusters(example(nodes=1))
    figure = drawn(record)
    shown = [text.get_text() for text, _ in texts(figure)]
    assert [text for text in shown if text in {"1", "2", "3"} and text != "1"] == ["3", "2"]
    assert {"Masses of clusters", "plateau, number of clusters", "plateau"} <= set(shown)
    (panel,) = [ax for ax in figure.findobj(mpl.axes.Axes) if ax.get_ylabel() == "Masses of clusters"]
    spans = [tuple(line.get_xdata()) for line in panel.lines]
    assert spans == [(p["start"], p["end"]) for p in plateaus.describe(record)]
    assert len(spans) == 3


@pytest.mark.parametrize("attributes", [{}, {"switched_at": 21.0}])
def test_nothing_is_said_of_what_there_is_not(attributes):
    shown = " ".join(text.get_text() for text, _ in texts(drawn(changed(example(8, 5, 32), attributes))))
    for part in ("lateau", "luster", "istogram", "finite volumes"):
        assert part not in shown


def test_the_change_to_finite_volumes_is_marked_over_depth():
    record = with_clusters(example(nodes=1), attributes=SWITCHED)
    figure = drawn(record)
    over_depth = [ax for ax in figure.findobj(mpl.axes.Axes) if ax.get_xlabel() == "Depth $t$"]
    assert len(over_depth) == 4
    for ax in over_depth:
        assert sum(list(line.get_xdata()) == [6.0, 6.0] for line in ax.lines) == 1
    assert [text.get_text() for text, _ in texts(figure)].count("to finite volumes") == 1


@pytest.mark.parametrize("nodes", [1, 8])
def test_histograms_are_named(nodes):
    shown = [text.get_text() for text, _ in texts(drawn(with_labels(nodes=nodes)))]
    named = [text for text in shown if "istogram" in text]
    assert len(named) == (1 if nodes == 1 else 3)
    assert ("60 tokens of equal mass" in shown) == (nodes == 1)


@pytest.mark.parametrize("speed", [0.0, 0.5, -3.0])
@pytest.mark.parametrize("labels", [3, 300])
def test_no_trajectory_crosses_the_seam(labels, speed):
    record = with_labels(labels, speed=speed)
    figure = drawn(record)
    (panel,) = [
        ax for ax in figure.findobj(mpl.axes.Axes) if ax.collections and "tokens" in ax.get_title("right")
    ]
    lines = panel.collections[0].get_segments()
    # Two saved states are 1/3 apart: no label moves by more than 3 (1 − e^{−1/3}) + 3/3 in between.
    steps = np.concatenate([np.abs(np.diff(line[:, 1])) for line in lines])
    assert steps.max() < 2.0
    # At every depth each label that is shown is within the limits once.
    heights = np.stack([line[:, 1] for line in lines])
    inside = ((heights >= 0) & (heights < TURN)).sum(axis=0)
    np.testing.assert_array_equal(inside, min(labels, 60))


def test_smoothed_histograms_keep_their_mass():
    figure = drawn(with_labels())
    curves = {line.get_label(): line for ax in figure.findobj(mpl.axes.Axes) for line in ax.lines}
    for label in ("$t = 0$", "$t = 20$"):
        angle, density = curves[label].get_data()
        # Trapezoidal sums of a periodic Gaussian of 5 degrees on a grid of half a degree are exact.
        assert np.trapezoid(density, angle) == pytest.approx(1.0, abs=1e-12)


def drawn(*records):
    figure = figures.figure(records)
    with style.applied():
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    return figure


# Files


@pytest.mark.parametrize(("count", "height"), [(1, 4.6), (3, 6.6)])
def test_png_has_the_size_of_a_page(tmp_path, count, height):
    figures.draw([example(8, 5, 32)] * count, tmp_path / "a.png")
    pixels = mpl.image.imread(tmp_path / "a.png")
    assert pixels.shape[:2] == (round(height * 300), 2100)
    assert pixels[:3].min() == 1, "the margin is paper"


@pytest.mark.parametrize("count", [1, 2])
def test_pdf_has_one_page_and_real_type(tmp_path, count):
    figures.draw([example(8, 5, 32)] * count, tmp_path / "a.PDF")
    content = (tmp_path / "a.PDF").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b(?!s)", content)) == 1
    assert b"/CIDFontType2" in content
    assert b"/Type3" not in content


def test_the_same_solution_gives_the_same_file(tmp_path):
    for name in ("a.pdf", "b.pdf"):
        figures.draw([example(8, 5, 32)], tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_a_figure_is_replaced_only_on_request(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        figures.draw([example(8, 5, 32)], path)
    assert path.read_text() == "mine"
    figures.draw([example(8, 5, 32)], path, overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a", "a.svg", "a.jpg", "png", "a.png.txt"])
def test_other_formats_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"must end in \.png or \.pdf"):
        figures.draw([example(2, 2, 8)], tmp_path / name)


@pytest.mark.parametrize("count", [0, 7])
def test_the_number_of_solutions(tmp_path, count):
    with pytest.raises(InputError, match=f"1 to 6 solutions, got {count}"):
        figures.draw([example(2, 2, 8)] * count, tmp_path / "a.png")


def test_what_is_not_a_solution(tmp_path):
    with pytest.raises(InputError, match="no dataset marginal"):
        figures.draw([changed(example(2, 2, 8), marginal=None)], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_drawing_leaves_the_settings_of_the_user_alone(tmp_path):
    with mpl.rc_context({"font.size": 31.0, "text.usetex": False}):
        before = dict(mpl.rcParams)
        figures.draw([example(2, 2, 8)], tmp_path / "a.png")
        assert dict(mpl.rcParams) == before


# Parts


def test_pixels_are_means_over_their_area():
    edges = np.sort(np.random.default_rng(0).random(40))
    edges[0], edges[-1], edges[7] = 0.0, 1.0, edges[6]
    values = np.random.default_rng(1).random((3, 39))
    pixels = heat.average(values, edges, (0.0, 1.0))
    # The mean of all pixels is the integral; 700 sums of numbers below 1 round to 1e-13 at most.
    np.testing.assert_allclose(pixels.mean(axis=-1), values @ np.diff(edges), atol=1e-13)
    inside = (np.arange(700) + 0.5) / 700
    cell = np.searchsorted(edges, inside, side="right") - 1
    whole = (
        np.searchsorted(edges, inside + 0.5 / 700) - 1
        == np.searchsorted(edges, inside - 0.5 / 700, "right") - 1
    )
    np.testing.assert_allclose(pixels[:, whole], values[:, cell[whole]], atol=1e-12)


@pytest.mark.parametrize(
    ("peak", "note"),
    [(0.0, ""), (1.0, ""), (11.0, ""), (20.0, "square-root scale"), (900.0, "logarithmic scale")],
)
def test_the_scale_says_what_it_is(peak, note):
    image = np.zeros((100, 100))
    image[::10] = peak
    image[0] = peak
    if peak > 11:
        image[:] = 1.0
        image[0, 0] = peak
    shade = heat.Shade.of(image)
    assert shade.note == note
    assert shade.lowest < shade.norm.vmax


@pytest.mark.parametrize("name", ["usual", "angles from -pi", "another period"])
def test_a_closed_curve_is_shown_once(name):
    record = SINGLE[name]()
    axis = axes.token_axis(record)
    assert axis.limits[1] - axis.limits[0] == pytest.approx(axis.period)
    assert axis.edges[0] <= axis.limits[0]
    assert axis.edges[-1] >= axis.limits[1]
    np.testing.assert_array_equal(record["token"][axis.index[1:-1]], axis.points[1:-1])
    wrapped = axis.wrap(np.linspace(-9, 9, 50))
    assert wrapped.min() >= axis.limits[0]
    assert wrapped.max() <= axis.limits[1]


def test_the_smoothed_densities_keep_their_mass():
    record = example(7, 3, 64, sharpness=200.0)
    figure = drawn(record)
    curves = {line.get_label(): line for ax in figure.findobj(mpl.axes.Axes) for line in ax.lines}
    for label in (r"$\mu$", r"$T_{\#}\nu$"):
        angle, density = curves[label].get_data()
        # Trapezoidal sums of a periodic Gaussian of 10 degrees on a grid of half a degree are exact.
        assert np.trapezoid(density, angle) == pytest.approx(1.0, abs=1e-12)


def test_conditionals_without_direction_give_no_map():
    figure = drawn(example(8, 5, 32, uniform=True))
    assert r"$T_{\#}\nu$ not defined" in [text.get_text() for text, _ in texts(figure)]
    points = [c for ax in figure.findobj(mpl.axes.Axes) for c in ax.collections if len(c.get_offsets()) == 8]
    assert not points
