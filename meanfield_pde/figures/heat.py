"""Heat maps whose pixels are means over their area, on scales that suit sharp densities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LogNorm, Normalize, PowerNorm

from meanfield_pde.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from meanfield_pde.figures.axes import Axis

__all__ = ["Shade", "average", "heat", "raster"]

_PIXELS = 700  # per side: somewhat finer than a panel is printed
_DECADES = 1e-4  # the smallest density that a logarithmic scale shows, relative to the largest


@dataclass(frozen=True)
class Shade:
    """A scale from density to colour, and the words that say which kind it is."""

    norm: Normalize
    note: str

    @property
    def lowest(self) -> float:
        """The density of the lightest colour."""
        return float(self.norm.vmin or 0.0)

    @classmethod
    def of(cls, *images: NDArray[np.float64]) -> Shade:
        """Choose by how far the peak of all images stands out: linear, square root, or logarithmic."""
        peak = max(float(image.max()) for image in images)
        mean = max(float(image.mean()) for image in images)
        if not peak > 0:
            return cls(Normalize(0.0, 1.0), "")
        if peak < 12 * mean:
            return cls(Normalize(0.0, max(peak, 2 * mean)), "")
        if peak < 60 * mean:
            return cls(PowerNorm(0.5, 0.0, peak), "square-root scale")
        return cls(LogNorm(_DECADES * peak, peak), "logarithmic scale")


def heat(ax: Axes, image: NDArray[np.float64], shade: Shade, x: Axis, y: Axis) -> AxesImage:
    """Draw an image of pixels, axes (y, x), over the limits of two axes."""
    # Rounding leaves densities slightly below zero, where a logarithmic scale has no colour.
    shown = np.maximum(image, shade.lowest)
    return ax.imshow(
        shown,
        cmap=style.DENSITY,
        norm=shade.norm,
        extent=(*x.limits, *y.limits),
        origin="lower",
        aspect="auto",
        interpolation="antialiased",
    )


def raster(values: NDArray[np.float64], x: Axis, y: Axis) -> NDArray[np.float64]:
    """Return the image (y, x) of values at the points, axes (x, y)."""
    columns = average(values[:, y.index], y.edges, y.limits)
    return average(columns[x.index].T, x.edges, x.limits)


def average(
    values: NDArray[np.float64], edges: NDArray[np.float64], limits: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the means of a piecewise constant function over equal pixels: (..., cell) to (..., pixel)."""
    integral = np.zeros((*values.shape[:-1], len(edges)))
    np.cumsum(values * np.diff(edges), axis=-1, out=integral[..., 1:])
    ends = np.linspace(*limits, _PIXELS + 1)
    cell = np.clip(np.searchsorted(edges, ends, side="right") - 1, 0, len(edges) - 2)
    upto = integral[..., cell] + values[..., cell] * (ends - edges[cell])
    return np.asarray(np.diff(upto, axis=-1) / np.diff(ends))


def scale(image: AxesImage, axes: Axes | list[Axes], label: str, shade: Shade) -> None:
    """Put the colour bar of an image beside its axes."""
    place = axes if not isinstance(axes, list) else axes[0]
    bar = place.figure.colorbar(image, ax=axes, pad=0.02, aspect=28)
    separator = ",\n" if "histogram" in label else ", "
    bar.set_label(f"{label}{separator}{shade.note}" if shade.note else label, linespacing=0.9)
    bar.outline.set_linewidth(0.6)
