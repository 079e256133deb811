"""Animations: a frame a state, what moves in it, both formats, and nothing left behind by what goes wrong."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.figures import animation, places, style
from meanfield_pde.figures.scenes import scene
from meanfield_pde.records import Variable

from . import space_records as records
from .example_records import bifurcation, example
from .test_figures import changed, with_labels


def last_only(record):
    """Return a record that keeps the density of the last state alone."""
    density = record.variables["density"]
    kept = replace(density, dims=("state", *density.dims[1:]), values=density.values[-1:])
    state = Variable(("state",), record["time"][-1:], "depth of the last state")
    return replace(record, variables=dict(record.variables) | {"density": kept, "state": state})


SCENES = {
    "circle": lambda: example(8, 3, 32),
    "circle, one node": lambda: example(1, 3, 32, sharpness=400.0),
    "circle, last density": lambda: last_only(example(8, 3, 32)),
    "circle, uniform": lambda: example(4, 3, 32, uniform=True),
    "circle, no means": lambda: changed(example(4, 3, 32), conditional_mean=None, conditional_length=None),
    "circle, tokens": lambda: with_labels(20, nodes=3, depths=3),
    "circle, tokens of one node": lambda: with_labels(20, depths=3),
    "sphere": lambda: records.sphere(4, 3, 8),
    "sphere, one node": lambda: last_only(records.sphere(1, 3, 8)),
    "sphere, tokens": lambda: records.with_tokens(records.sphere(2, 3, 8)),
    "zonal": lambda: records.zonal(4, 3, 8),
    "zonal, one node": lambda: records.zonal(1, 3, 8),
    "zonal, tokens": lambda: records.with_tokens(records.zonal(2, 3, 8)),
    "zonal, tokens of one node": lambda: records.with_tokens(records.zonal(1, 3, 8)),
    "torus": lambda: records.torus(4, 3, 8),
    "torus, tokens": lambda: records.with_tokens(records.torus(2, 3, 8)),
}


@pytest.mark.parametrize("make", SCENES.values(), ids=SCENES)
def test_every_state_has_a_frame_of_its_own(make):
    told = []
    frames = list(animation._frames(make(), [0, 1, 2], lambda *count: told.append(count)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert len({frame.shape for frame in frames}) == 1
    assert all(side % 2 == 0 for side in frames[0].shape[:2])
    assert all((frame[:3] == 255).all() for frame in frames), "the margin is paper"
    for one, other in ((0, 1), (1, 2)):
        changed_ = (frames[one] != frames[other]).any(axis=-1)
        assert changed_.any()
        # Panels stay where they are: neither the frame of the strip below nor its labels move.
        assert not changed_[-20:].any()


def shown(record, state):
    """Update a scene to a state and return its figure."""
    with style.applied():
        figure, update = scene(record)
        update(0)
        update(state)
    return figure


def test_the_mark_is_at_the_depth_and_its_order_parameter():
    record = example(4, 5, 32, spread=0.3)
    figure = shown(record, 3)
    (strip,) = [ax for ax in figure.findobj(mpl.axes.Axes) if ax.get_ylabel() == "$R$"]
    mark = strip.lines[-1]
    np.testing.assert_array_equal(mark.get_data(), [[record["time"][3]], [record["order_parameter"][3]]])
    assert places.depth_heading(record, 3) == "$t = 15$"
    assert "$t = 15$" in strip.get_title("left")


def test_the_profile_is_the_marginal_of_the_state():
    record = example(1, 5, 32)
    figure = shown(record, 2)
    (profile,) = [ax for ax in figure.findobj(mpl.axes.Axes) if ax.get_xlabel() == r"$\mu(t,\theta)$"]
    density, angle = profile.lines[0].get_data()
    np.testing.assert_array_equal(density[1:-1], record["marginal"][2])
    np.testing.assert_array_equal(angle[1:-1], record["token"])


def test_colours_mean_the_same_in_all_frames():
    record = records.sphere(3, 4, 8)
    for state in (0, 3):
        globe = next(ax for ax in shown(record, state).findobj(mpl.axes.Axes) if ax.images)
        limits = globe.images[0].norm.vmin, globe.images[0].norm.vmax
        assert limits == (0.0, record["marginal"].max())


def test_means_without_direction_are_not_shown():
    record = records.torus(3, 3, 8)
    length = np.array([[0.0, 0.5, 0.5]] * 3)
    figure = shown(replace_length(record, length), 1)
    heat = next(ax for ax in figure.findobj(mpl.axes.Axes) if ax.images)
    offsets = np.ma.getdata(heat.collections[0].get_offsets())
    assert np.isnan(offsets).all(axis=1).tolist() == [True, False, False]


def replace_length(record, length):
    return changed(record, conditional_length=length)


# Files


def test_gif_has_the_frames_and_the_speed(tmp_path):
    path = tmp_path / "a.gif"
    written = animation.animate(example(3, 4, 32), path, 10)
    assert (written.frames, written.states) == (4, 4)
    with Image.open(path) as image:
        assert image.n_frames == 4
        assert image.info["loop"] == 0
        assert image.info["duration"] == 100
        assert image.size == (1050, 600)
        image.seek(3)
        assert image.info["duration"] == 1000, "the last frame is held"
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert list(tmp_path.iterdir()) == [path]


def test_colours_of_a_gif_are_near_those_of_the_frame(tmp_path):
    record = example(3, 2, 32)
    (frame,) = animation._frames(record, [1], lambda *_: None)
    animation._write_gif(iter([frame]), tmp_path / "a.gif", 10, 1)
    with Image.open(tmp_path / "a.gif") as image:
        away = np.abs(np.asarray(image.convert("RGB"), dtype=int) - frame)
    # 100 colours from white to navy: steps of at most 3 per channel; the edges of type and lines are mixed.
    assert np.quantile(away.max(axis=-1), 0.97) <= 4


def test_a_palette_has_256_colours():
    assert animation._colors().shape == (256, 3)


def test_many_states_are_thinned_out_evenly(monkeypatch):
    drawn = []
    monkeypatch.setattr(animation, "MOST", 5)
    monkeypatch.setattr(animation, "_frames", lambda _, states, __: drawn.extend(states) or iter([]))
    monkeypatch.setattr(animation, "_write_gif", lambda *_: None)
    monkeypatch.setattr(animation, "replacing", lambda path, overwrite: open_null(path))  # noqa: ARG005
    written = animation.animate(example(1, 41, 8), Path("a.gif"))
    assert drawn == [0, 10, 20, 30, 40]
    assert (written.frames, written.states) == (5, 41)


class open_null:  # noqa: N801 (stands for a context manager)
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        return None


def has_ffmpeg():
    try:
        animation._ffmpeg()
    except InputError:
        return False
    return True


needs_ffmpeg = pytest.mark.skipif(not has_ffmpeg(), reason="neither ffmpeg nor imageio-ffmpeg")


@needs_ffmpeg
def test_mp4_plays(tmp_path):
    path = tmp_path / "a.MP4"
    animation.animate(records.zonal(2, 3, 8), path, 25)
    content = path.read_bytes()
    assert content[4:8] == b"ftyp"
    command = [animation._ffmpeg(), "-i", str(path), "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    for part in ("h264", "yuv420p", "1050x600", "25 fps", "frame=    3"):
        assert part in told
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".gif", pytest.param(".mp4", marks=needs_ffmpeg)])
def test_an_interrupt_leaves_what_was_there(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("mine")

    def interrupted(done, _):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        animation.animate(example(2, 4, 16), path, overwrite=True, progress=interrupted)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def ffmpeg_that(tmp_path, monkeypatch, script):
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    "script", ["sys.exit('no such codec')", "sys.stdin.buffer.read(); sys.exit('no such codec')"]
)
def test_what_ffmpeg_says_is_said(tmp_path, monkeypatch, script):
    ffmpeg_that(tmp_path, monkeypatch, script)
    with pytest.raises(ComputationError, match="ffmpeg could not write the animation: no such codec"):
        animation.animate(example(2, 3, 16), tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


def test_without_ffmpeg_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"MP4 needs ffmpeg.*meanfield-pde\[movies\].*\.gif"):
        animation.check_animation(tmp_path / "a.mp4", 20)


# Refusals


@pytest.mark.parametrize("name", ["a", "a.png", "gif", "a.gif.txt"])
def test_other_formats_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"must end in \.gif or \.mp4"):
        animation.check_animation(tmp_path / name, 20)


@pytest.mark.parametrize("fps", [0, -3, 51])
def test_other_speeds_are_refused(tmp_path, fps):
    with pytest.raises(InputError, match=f"--fps: must be an integer from 1 to 50, got {fps}"):
        animation.check_animation(tmp_path / "a.gif", fps)


def test_an_animation_is_replaced_only_on_request(tmp_path):
    (tmp_path / "a.gif").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        animation.animate(example(2, 2, 8), tmp_path / "a.gif")
    assert (tmp_path / "a.gif").read_text() == "mine"


def test_what_does_not_move_is_refused():
    with pytest.raises(InputError, match="needs several saved states, found 1"):
        animation.check_states(example(2, 1, 8))
    with pytest.raises(InputError, match="only solutions can be animated, found a limit"):
        animation.check_states(records.limit_of(records.sphere(2, 2, 4)))
    branch = {name: np.zeros(2) for name in ("order_parameter", "leading_eigenvalue")}
    with pytest.raises(InputError, match="found a bifurcation"):
        animation.check_states(bifurcation([branch | {"parameter": np.arange(2.0)}]))
    with pytest.raises(InputError, match="no dataset marginal"):
        animation.check_states(changed(example(2, 2, 8), marginal=None))
