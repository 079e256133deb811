"""A solution in motion: one frame for every saved state, as GIF or MP4."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from meanfield_pde.contents import SOLUTION, kind_of
from meanfield_pde.contents.grid import laid_out
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.files import check_target, replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = ["FASTEST", "FORMATS", "MOST", "Animation", "animate", "check_animation", "check_states"]

FORMATS = (".gif", ".mp4")
FASTEST = 50  # frames per second: viewers of GIF slow down what is faster
MOST = 500  # frames: a GIF of more is larger than anybody wants to load
_HOLD = 1000  # milliseconds that the last frame of a GIF is held before it begins again
_DOTS = 150  # per inch: 1050 pixels across


@dataclass(frozen=True)
class Animation:
    """What was written: the number of frames, out of so many saved states."""

    frames: int
    states: int


def check_animation(path: str | Path, fps: int, *, overwrite: bool = False) -> Path:
    """Resolve the path of an animation, refusing it, or what it needs, before any work is done for it.

    Raises
    ------
    InputError
        The suffix is none of `FORMATS`, there is no ffmpeg for MP4, the file cannot be written there,
        or the frames per second are none that can be shown.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            f"{path}: an animation must end in {' or '.join(FORMATS)}, got {Path(path).suffix!r}"
        )
    if not 1 <= fps <= FASTEST:
        raise InputError(f"--fps: must be an integer from 1 to {FASTEST}, got {fps}")
    target = check_target(path, overwrite=overwrite)
    if suffix == ".mp4":
        _ffmpeg()
    return target


def check_states(record: Record) -> None:
    """Raise InputError unless the record is a solution of which several states were saved."""
    if (kind := kind_of(record)) != "solution":
        raise InputError(f"only solutions can be animated, found a {kind}: plot draws it")
    record.require(laid_out(SOLUTION, record))
    if (states := len(record["time"])) < 2:
        raise InputError(
            f"an animation needs several saved states, found {states}: raise time.save, or plot it"
        )


def animate(
    record: Record,
    path: str | Path,
    fps: int = 20,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Animation:
    """Write every saved state of a solution as a frame, at most `MOST` of them at equal steps.

    Parameters
    ----------
    progress
        Is told the frames that were drawn, and how many there will be.

    Raises
    ------
    InputError
        The path is not allowed (`check_animation`), or the record is none that moves (`check_states`).
    ComputationError
        The file could not be written; what was there is untouched.
    """
    check_animation(path, fps, overwrite=overwrite)
    check_states(record)
    saved = len(record["time"])
    states = np.unique(np.round(np.linspace(0, saved - 1, min(saved, MOST))).astype(int)).tolist()
    write = _write_gif if Path(path).suffix.lower() == ".gif" else _write_mp4
    with replacing(path, overwrite=overwrite) as temporary:
        write(_frames(record, states, progress), temporary, fps, len(states))
    return Animation(len(states), saved)


def _frames(
    record: Record, states: list[int], progress: Callable[[int, int], None]
) -> Iterator[NDArray[np.uint8]]:
    """Draw the states one after the other, and give the pixels of each, (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from meanfield_pde.figures import style
    from meanfield_pde.figures.scenes import scene

    with style.applied():
        page, update = scene(record)
        page.set_dpi(_DOTS)
        canvas: Any = FigureCanvasAgg(page)  # matplotlib leaves it untyped
        update(states[-1])  # the widest labels
        canvas.draw()
        page.set_layout_engine("none")  # panels stay where they are
    for count, state in enumerate(states, 1):
        with style.applied():  # not while the caller has the frame: its settings are its own
            update(state)
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        yield pixels
        progress(count, len(states))


def _write_gif(frames: Iterator[NDArray[np.uint8]], path: Path, fps: int, count: int) -> None:
    """Write a GIF that begins again and again."""
    from PIL import Image
    from scipy.spatial import KDTree

    colors = _colors()
    nearest = KDTree(colors.astype(float))

    def indexed(frame: NDArray[np.uint8]) -> Image.Image:
        # One palette for all frames, and no dithering: neither colours nor noise flicker.
        packed, where = np.unique(frame.astype(np.int32) @ [1 << 16, 1 << 8, 1], return_inverse=True)
        found = nearest.query(packed[:, None] >> [16, 8, 0] & 255)[1]
        height, width = frame.shape[:2]
        image = Image.frombytes("P", (width, height), found[where].astype(np.uint8).tobytes())
        image.putpalette(colors.tobytes())
        return image

    images = map(indexed, frames)
    delay = round(1000 / fps)
    delays = [delay] * (count - 1) + [max(delay, _HOLD)]
    first = next(images)
    with path.open("wb") as file:
        first.save(file, format="GIF", save_all=True, append_images=images, duration=delays, loop=0)


def _colors() -> NDArray[np.uint8]:
    """Return the 256 colours of a GIF, (256, 3): those of densities, of nodes, and of lines upon paper."""
    from matplotlib.colors import to_rgb

    from meanfield_pde.figures import places, style

    density, few = (style.DENSITY(np.linspace(0, 1, count))[:, :3] for count in (100, 24))
    graticule = 0.45 * few[::2] + 0.55 * np.array(to_rgb("#8b929c"))
    nodes = places.NODES(np.linspace(0, 1, 40))[:, :3]
    grey = np.repeat(np.linspace(0, 1, 26)[:, None], 3, axis=1)
    lines = np.array([to_rgb(color) for color in style.CYCLE[:5]])
    mixed = [1 - share * (1 - lines) for share in (1.0, 0.83, 0.66, 0.5, 0.33, 0.16)]
    # The limb of a globe is darker.
    colors = np.concatenate([density, 0.95 * few, 0.88 * few, graticule, nodes, grey, *mixed])
    return np.asarray(np.round(255 * colors), dtype=np.uint8)


def _write_mp4(frames: Iterator[NDArray[np.uint8]], path: Path, fps: int, count: int) -> None:  # noqa: ARG001
    """Write an MP4 that every player knows: H.264 with an even number of pixels per side."""
    first = next(frames)
    height, width = (side - side % 2 for side in first.shape[:2])
    with _encoder(path, (width, height), fps) as take:
        take(first[:height, :width])
        for frame in frames:
            take(frame[:height, :width])


@contextmanager
def _encoder(path: Path, size: tuple[int, int], fps: int) -> Iterator[Callable[[NDArray[np.uint8]], int]]:
    """Run ffmpeg, and give the function that passes it a frame; on any error it is ended at once.

    Raises
    ------
    ComputationError
        It failed; with what it said.
    """
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "{}x{}".format(*size), "-r", str(fps), "-i", "-"]
    film = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-movflags", "+faststart", "-f", "mp4"]
    command = [_ffmpeg(), "-loglevel", "error", "-nostdin", *raw, *film, "-y", str(path)]
    with tempfile.TemporaryFile() as said:
        # A session of its own: an interrupt at the terminal is ours to handle.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said, start_new_session=True)  # noqa: S603
        pipe = cast("IO[bytes]", process.stdin)
        try:
            yield lambda frame: pipe.write(frame.tobytes())
            pipe.close()
            failed = process.wait() != 0
        except BrokenPipeError:
            failed = True
        finally:
            process.kill()
            process.wait()
            with suppress(BrokenPipeError):
                pipe.close()
        if failed:
            said.seek(0)
            text = said.read().decode(errors="replace").strip()
            raise ComputationError(f"ffmpeg could not write the animation: {text or 'it said nothing'}")


def _ffmpeg() -> str:
    """Return the program that encodes MP4: that of the system, or that of the package imageio-ffmpeg.

    Raises
    ------
    InputError
        There is neither.
    """
    if found := shutil.which("ffmpeg"):
        return found
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise InputError(
            'MP4 needs ffmpeg, which is not there: install it, or pip install "meanfield-pde[movies]", '
            "or write a .gif"
        ) from error
