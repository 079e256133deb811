"""Figures on the sphere, of zonal densities and on the torus: projections, values between points, pages."""

import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from meanfield_pde import figures
from meanfield_pde.errors import InputError
from meanfield_pde.figures import heat, places, sphere, style, torus, zonal
from meanfield_pde.figures.projections import Mollweide, Orthographic, Sampler, View, vectors
from meanfield_pde.records import Record, Variable

from . import space_records as records
from .example_records import TURN, example
from .test_figures import DOTS, changed, texts

RANDOM = np.random.default_rng(1)


def directions(count):
    points = RANDOM.normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


VIEW = View.along(np.array([0.3, -0.8, 0.5]))


# Projections


@pytest.mark.parametrize("direction", [[0.3, -0.8, 0.5], [0, 0, 1], [0, 0, -2], [1, 0, 0]])
def test_a_view_is_a_rotation_that_looks_there(direction):
    axes = View.along(np.array(direction, dtype=float)).axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-15)  # products of unit vectors round once
    assert np.linalg.det(axes) == pytest.approx(1.0)
    np.testing.assert_allclose(axes[2], direction / np.linalg.norm(direction), atol=1e-15)


@pytest.mark.parametrize("projection", [Mollweide(VIEW), Orthographic(VIEW)], ids=["Mollweide", "globe"])
def test_points_come_back_from_paper(projection):
    points = directions(500)
    points = points[projection.in_view(points)]
    x, y = projection.project(points)
    across, up = projection.half_axes
    assert (np.hypot(x / across, y / up) <= 1 + 1e-12).all()
    # The limb loses digits: a rounding of 1e-16 on paper is its square root on the sphere; and the edge is
    # 1e-9 of the half axis inside, whose angle at the limb is sqrt(2e-9).
    np.testing.assert_allclose(projection.lift(x, y), points, atol=5e-5)


def test_beyond_the_edge_there_are_points_as_well():
    far = np.array([-5.0, 0.0, 5.0])
    for projection in (Mollweide(VIEW), Orthographic(VIEW)):
        points = projection.lift(*np.meshgrid(far, far))
        np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 1.0, atol=1e-12)


def test_the_map_is_equal_area():
    """The Jacobian of Mollweide's projection, by differences, is that of the area: one everywhere."""
    cosine, longitude = RANDOM.uniform(-0.99, 0.99, 200), RANDOM.uniform(-3, 3, 200)
    view, step = View.along(np.array([1.0, 0.0, 0.0])), 1e-5

    def paper(t, phi):
        return np.stack(Mollweide(view).project(vectors(np.arccos(t), phi)))

    by_cosine = (paper(cosine + step, longitude) - paper(cosine - step, longitude)) / (2 * step)
    by_longitude = (paper(cosine, longitude + step) - paper(cosine, longitude - step)) / (2 * step)
    area = by_cosine[1] * by_longitude[0] - by_cosine[0] * by_longitude[1]
    # Third derivatives grow as (1 - t²)^(-5/2) ~ 2e4 towards the poles, times step²; rounding 1e-16/step.
    np.testing.assert_allclose(area, 1.0, rtol=1e-4)


def test_the_poles_have_their_place():
    x, y = Mollweide(View.along(np.array([1.0, 0.0, 0.0]))).project(np.array([[0.0, 0, 1], [0, 0, -1]]))
    # At a pole the solution of 2τ + sin 2τ = π has a rounding error of the cube root of 1e-16, and cos τ too.
    np.testing.assert_allclose(x, 0.0, atol=1e-4)
    np.testing.assert_allclose(y, [np.sqrt(2), -np.sqrt(2)], atol=1e-9)


@pytest.mark.parametrize("longitudes", [48, 49])
def test_values_between_points_also_across_the_poles_and_the_seam(longitudes):
    record = records.sphere(nodes=1, depths=2, degree=24)
    colatitude = record["colatitude"]
    longitude = TURN * np.arange(longitudes) / longitudes
    points = np.concatenate([directions(300), [[0, 0, 1.0], [0, 0, -1.0], [1, 0, 0], [1, -1e-12, 0]]])
    slopes = np.array([0.7, -0.4, 1.1])
    values = vectors(colatitude[:, None], longitude[None, :]) @ slopes
    found = Sampler.at(colatitude, longitude, points)(values)
    # Bilinear: second derivatives (at most |slopes| = 1.4) times spacing²/8, in each of two directions.
    spacing = TURN / 48
    np.testing.assert_allclose(found, points @ slopes, atol=2 * 1.4 * spacing**2 / 8)


def test_values_at_the_points_are_those_of_the_grid():
    record = records.sphere(nodes=2, depths=2, degree=8)
    points = vectors(record["colatitude"][:, None], record["longitude"][None, :])
    found = Sampler.at(record["colatitude"], record["longitude"], points)(record["marginal"][-1])
    np.testing.assert_allclose(found, record["marginal"][-1], atol=1e-14)


def test_the_globe_shows_the_mass_and_the_map_is_cut_where_there_is_none():
    center = np.array([-0.48, -0.6, 0.64])
    points = directions(4000)
    masses = np.exp(20 * (points @ center - 1))
    # Candidates are 8 degrees from each other.
    assert sphere.globe_view(points, masses).axes[2] @ center > np.cos(np.deg2rad(8))
    middle = sphere.equator_view(points, masses).axes[2]
    turn = np.arctan2(middle[1], middle[0]) - np.arctan2(center[1], center[0])
    assert abs((turn + np.pi) % TURN - np.pi) < np.deg2rad(15)


def test_the_mass_in_a_picture_is_the_mass():
    """Pixels of an equal-area map times their area sum to one."""
    record = records.sphere(nodes=6, depths=3, degree=24)
    paper = sphere.Paper.of(record, Mollweide(sphere.equator_view(*sphere.last_cloud(record))))
    image = paper.image(record["marginal"][-1], heat.Shade.of(record["marginal"]))
    rows, columns = image.shape
    x = 2 * np.sqrt(2) * ((2 * np.arange(columns) + 1) / columns - 1)
    y = np.sqrt(2) * ((2 * np.arange(rows) + 1) / rows - 1)
    inside = (x / (2 * np.sqrt(2))) ** 2 + (y[:, None] / np.sqrt(2)) ** 2 < 1
    # Bilinear interpolation on spacings of 7 degrees of densities like cos¹⁰: relative error 0.13² · 10/8.
    assert (image * inside).sum() * 16 / image.size == pytest.approx(1.0, abs=0.02)


# Zonal


@pytest.mark.parametrize("dimension", [2, 4, 6, 20])
def test_the_law_of_the_polar_angle_integrates_to_one(dimension):
    angle = (np.arange(400) + 0.5) * np.pi / 400
    weight = np.sin(angle) ** (dimension - 2)
    grid = {"cosine": np.cos(angle), "token_weight": 7.0 * weight / weight.sum()}
    variables = {name: Variable(("cosine",), values, name) for name, values in grid.items()}
    law = zonal.angular(Record(variables, {"dimension": dimension}), np.full(400, 1 / 7.0))
    # The midpoint rule of even powers of the sine is exact up to rounding.
    assert law.sum() * np.pi / 400 == pytest.approx(1.0, abs=1e-12)
    # 1 - cos² of the smallest angle, 0.004, is rounded by 1e-11 of itself; its ninth power by ten times that.
    np.testing.assert_allclose(law, weight / (weight.sum() * np.pi / 400), rtol=1e-9)


def test_places_of_a_cone_are_one():
    angles = np.array([0.3, -0.3, TURN - 0.3, 0.3 + 2 * TURN])
    np.testing.assert_allclose(zonal.folded(angles), 0.3, atol=1e-14)
    away = np.array([[np.cos(0.3), 0, np.sin(0.3)], [np.cos(0.3), -np.sin(0.3), 0]])
    np.testing.assert_allclose(zonal.folded(away), 0.3, atol=1e-14)


def test_angles_on_the_torus():
    record = records.torus(nodes=3, depths=2, resolution=8)
    z = record["aux"]
    expected = np.stack([TURN * z + 0.3, 2 * TURN * z + 1.0], -1) % TURN
    np.testing.assert_allclose(torus.angles(record, record["conditional_mean"][-1]), expected, atol=1e-14)


# Depths


def test_the_depth_in_between_is_as_far_from_both_ends():
    record = records.sphere(nodes=2, depths=41, degree=12)
    first, middle, last = places.chosen_depths(record)
    assert (first, last) == (0, 40)
    flat, weight = record["marginal"].reshape(41, -1), record["token_weight"].ravel()
    from_first, from_last = (np.abs(flat - flat[end]) @ weight for end in (0, -1))
    # Between two saved states the difference of the distances changes by that much.
    step = np.abs(np.diff(from_first - from_last)).max()
    assert abs(from_first[middle] - from_last[middle]) <= step


def test_where_nothing_moves_the_middle_of_the_depth_is_shown():
    assert places.chosen_depths(records.sphere(1, 21, 8, 0.0)) == [0, 10, 20]
    assert places.chosen_depths(example(1, 2, 16)) == [0, 1]
    assert places.chosen_depths(example(1, 1, 16)) == [0]


# Pages


def uniform(record):
    """All conditional means without direction."""
    zero = np.zeros_like(record["conditional_length"])
    return changed(record, conditional_length=zero, order_parameter=zero[:, 0])


PAGES = {
    "sphere": records.sphere,
    "sphere, one node": lambda: records.sphere(1, sharpness=60.0),
    "sphere, many nodes": lambda: records.sphere(1100, 3, 8),
    "sphere, one depth": lambda: records.sphere(3, 1, 8),
    "sphere, two depths": lambda: records.sphere(3, 2, 8),
    "sphere, uniform": lambda: uniform(records.sphere(3, 3, 8, 0.0)),
    "sphere, tokens": lambda: records.with_tokens(records.sphere(4, 5, 8)),
    "sphere, tokens of one node": lambda: records.with_tokens(records.sphere(1, 5, 8)),
    "sphere, tokens of the last state": lambda: records.with_tokens(records.sphere(4, 5, 8), first="state"),
    "sphere, no means": lambda: changed(
        records.sphere(3, 3, 8), conditional_mean=None, conditional_length=None
    ),
    "zonal": records.zonal,
    "zonal, one node": lambda: records.zonal(1, dimension=2),
    "zonal, many dimensions": lambda: records.zonal(4, 5, dimension=1000),
    "zonal, tokens": lambda: records.with_tokens(records.zonal(3, 4)),
    "zonal, tokens of one node": lambda: records.with_tokens(records.zonal(1, 4)),
    "zonal, one depth": lambda: records.zonal(3, 1),
    "torus": records.torus,
    "torus, one node": lambda: records.torus(1, sharpness=40.0),
    "torus, tokens": lambda: records.with_tokens(records.torus(4, 5, 12)),
    "torus, longer means": lambda: changed(
        records.torus(2, 3, 12), order_parameter=np.full(3, 1.3), conditional_concentration=np.full(3, 1.4)
    ),
    "limit on the sphere": lambda: records.limit_of(records.sphere()),
    "limit on the sphere without curvature": lambda: records.limit_of(records.sphere(3), curvature=False),
    "zonal limit": lambda: records.limit_of(records.zonal()),
    "zonal limit of one node": lambda: records.limit_of(records.zonal(1), curvature=False),
    "limit on the torus": lambda: records.limit_of(records.torus()),
    "limit on the torus without curvature": lambda: records.limit_of(records.torus(), curvature=False),
}


@pytest.fixture(params=PAGES.values(), ids=PAGES, scope="module")
def page(request):
    record = request.param()
    figure = figures.figure([record])
    with style.applied():
        figure.set_dpi(DOTS)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    return record, figure


def ticks(ax):
    return [*ax.get_xticklabels(), *ax.get_yticklabels()]


def test_text_is_within_the_page_and_apart(page):
    _, figure = page
    width, height = figure.bbox.size
    undrawn = {id(tick) for ax in figure.findobj(mpl.axes.Axes) if not ax.axison for tick in ticks(ax)}
    seen = [(text, box) for text, box in texts(figure) if id(text) not in undrawn]
    for text, box in seen:
        assert box.x0 >= -0.5, text
        assert box.y0 >= -0.5, text
        assert box.x1 <= width + 0.5, text
        assert box.y1 <= height + 0.5, text
    for (one, box), (two, other) in itertools.combinations(seen, 2):
        # The box of a text has some air in it: two pixels are a third of a millimetre.
        wide, high = (
            min(box.x1, other.x1) - max(box.x0, other.x0),
            min(box.y1, other.y1) - max(box.y0, other.y0),
        )
        assert wide < 2 or high < 2, (one.get_text(), two.get_text())


def test_every_panel_has_its_letter(page):
    _, figure = page
    panels = [ax for ax in figure.findobj(mpl.axes.Axes) if ax.get_label() != "<colorbar>"]
    heads = [ax.get_title("left") for ax in panels]
    for letter, head in zip("abcdef", heads, strict=False):
        assert head.startswith(rf"$\mathbf{{{letter}}}$"), heads
    for ax in panels:
        size = ax.get_window_extent().size / DOTS
        assert size.min() > 0.65, (ax.get_title("left"), size)


def test_the_conditional_means_are_on_the_globe():
    record = records.sphere(12, 5, 8)
    figure = figures.figure([record])
    (globe,) = [ax for ax in figure.findobj(mpl.axes.Axes) if r"\mathbf{d}" in ax.get_title("left")]
    front, back = (np.ma.getdata(points.get_offsets()) for points in globe.collections)
    view = sphere.globe_view(*sphere.last_cloud(record))
    mean = record["conditional_mean"][-1]
    before = mean @ view.axes[2] >= 0
    assert 0 < before.sum() < 12, "some are on either side"
    np.testing.assert_allclose(front[before], (mean @ view.axes[:2].T)[before], atol=1e-12)
    np.testing.assert_allclose(back[~before], (mean @ view.axes[:2].T)[~before], atol=1e-12)
    assert np.isnan(front[~before]).all()
    assert np.isnan(back[before]).all()


def test_a_solution_beside_its_limit_is_drawn_as_a_limit(tmp_path):
    record = records.sphere(4, 3, 8)
    group = records.limit_of(record).groups["limit"]
    figures.draw_comparison(replace(record, groups={"limit": group}), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_limit_without_a_law_is_refused():
    with pytest.raises(InputError, match="no limit law to be drawn: nothing converged"):
        figures.figure([records.limit_of(records.zonal(3), law=False)])


def test_a_comparison_needs_a_limit(tmp_path):
    with pytest.raises(InputError, match="no group 'limit'"):
        figures.draw_comparison(records.torus(2, 2, 8), tmp_path / "a.png")


def test_other_spaces_are_not_drawn_side_by_side():
    with pytest.raises(InputError, match="side by side, got sphere, torus: draw each alone"):
        figures.figure([records.sphere(2, 2, 8), records.torus(2, 2, 8), example(2, 2, 8)])
