"""The figure of the three methods: error against unknowns per node, and against CPU time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from benchmarks.problems import Problem
from meanfield_pde.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.methods import Row

COLOURS = {"spectral": style.BLUE, "characteristics": style.GREEN, "finite-volume": style.VERMILION}
NAMES = {"spectral": "spectral", "characteristics": "characteristics", "finite-volume": "finite volumes"}
MARKS = {"P5": "o", "P6": "s", "P7": "^"}
ONE_GRID = "spectral, one grid"
LOWEST = 1e-14  # rounding errors: what is below is drawn there


def draw(found: Sequence["Row"], problems: Sequence[Problem], path: Path) -> None:
    """Draw the runs and save them as PNG."""
    with style.applied():
        figure = style.page(3.3)
        left, right = figure.subplots(1, 2, sharey=True)
        for problem in problems:
            own = [run for run in found if run.problem == problem.name]
            for method, colour in COLOURS.items():
                timed = [run for run in own if run.method == method]
                sized = [run for run in own if run.method == ONE_GRID] if method == "spectral" else timed
                _curve(left, [run.resolution for run in sized], sized, problem, colour)
                _curve(right, [1e3 * (run.seconds or 0.0) for run in timed], timed, problem, colour)
        _slope(left, (200.0, 1000.0), 5e-3, -2.0)
        _slope(right, (300.0, 3000.0), 5e-3, -1.0)
        _dress(left, right)
        _explain(figure, left, problems)
        figure.savefig(path, dpi=style.RESOLUTION)


def _curve(ax: "Axes", sizes: Sequence[float], runs: Sequence["Row"], problem: Problem, colour: str) -> None:
    """One method on one problem, down to rounding errors."""
    errors = [max(run.error, LOWEST) for run in runs]
    end = next((index + 1 for index, value in enumerate(errors) if value <= 10.0 * LOWEST), len(errors))
    ax.plot(sizes[:end], errors[:end], color=colour, linewidth=0.9, **_mark(problem))


def _mark(problem: Problem) -> dict[str, Any]:
    """How the runs of a problem are marked."""
    return {
        "marker": MARKS[problem.name],
        "markersize": 3.2,
        "markerfacecolor": "white",
        "markeredgewidth": 0.9,
    }


def _slope(ax: "Axes", span: tuple[float, float], top: float, order: float) -> None:
    """Draw a line of a slope, with the slope beside it."""
    first, last = span
    bottom = top * (last / first) ** order
    ax.plot(span, (top, bottom), color=style.GREY, linewidth=0.7)
    middle = (first * last) ** 0.5, (top * bottom) ** 0.5
    ax.annotate(
        rf"slope ${order:g}$", middle, (2, 2), textcoords="offset points", ha="left", va="bottom",
        color=style.GREY, fontsize=7.5,
    )  # fmt: skip


def _dress(left: "Axes", right: "Axes") -> None:
    """Scales and labels."""
    for ax, letter, label in ((left, "a", "unknowns per node"), (right, "b", "CPU time / ms")):
        ax.set(xscale="log", yscale="log", xlabel=label)
        ax.set_yticks([10.0**power for power in range(-14, 1, 2)])
        ax.yaxis.set_minor_locator(NullLocator())
        style.head(ax, letter)
    left.set_ylabel(r"largest error of the modes $0, \ldots, 8$")


def _explain(figure: "Figure", ax: "Axes", problems: Sequence[Problem]) -> None:
    """Methods by colour, in a panel; problems by mark, above both."""
    methods = [Line2D([], [], color=colour, label=NAMES[name]) for name, colour in COLOURS.items()]
    ax.legend(handles=methods, loc="lower right", borderaxespad=0.8)
    cases = [
        Line2D(
            [], [], color="black", linestyle="", label=f"{problem.name}: {problem.title}", **_mark(problem)
        )
        for problem in problems
    ]
    figure.legend(handles=cases, loc="outside upper center", ncols=len(cases), borderaxespad=0.4)
