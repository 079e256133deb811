"""P1 to P3 with exponax and py-pde, where they are installed (the extra ``peers``), as their users would.

* exponax: its exponential scheme of fourth order, an own nonlinear function, fixed steps; compiled by JAX.
* py-pde: its operators (differences of second order), its explicit adaptive steps; one node, P1 and P2.
"""

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.special import iv

from benchmarks.problems import HIGHEST_MODE, FloatArray, Modes, Prepare, Problem, Run
from benchmarks.tuning import Trial, trial

Setting = tuple[int, float]

REPETITIONS = 2  # of a run, the quicker of which counts

#: Points and steps, or points and tolerances, from which each may choose.
EXPONAX: dict[str, list[Setting]] = {
    "P1": [(n, steps) for n in (128, 192, 256, 384, 512) for steps in (100, 200, 400, 800, 1600, 3200)],
    "P2": [(n, steps) for n in (32, 48, 64, 96) for steps in (10, 20, 40, 80, 160, 320, 640)],
    "P3": [(n, steps) for n in (32, 48, 64) for steps in (20, 40, 80, 160, 320, 640)],
}
PY_PDE: dict[str, list[Setting]] = {name: [(n, 1e-4) for n in (128, 256, 512)] for name in ("P1", "P2")}


def exponax(problem: Problem, resolution: int, steps: float) -> Run:
    """Return the run with so many equal steps."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    ex, jax, jnp = (import_module(name) for name in ("exponax", "jax", "jax.numpy"))
    jax.config.update("jax_enable_x64", True)
    angles = 2.0 * np.pi * np.arange(resolution) / resolution
    velocity = _velocity(problem, angles, jnp)
    count = int(steps)

    class Flux(ex.nonlin_fun.BaseNonlinearFun):  # type: ignore[misc, name-defined]
        """−∂_θ(ρV)."""

        derivative: Any

        def __init__(self, derivative: Any) -> None:
            super().__init__(1, resolution, dealiasing_fraction=2 / 3)
            self.derivative = derivative

        def __call__(self, spectrum: Any) -> Any:
            density = self.ifft(self.dealias(spectrum))
            return -self.derivative * self.fft(density * velocity(density))

    class Attention(ex.BaseStepper):  # type: ignore[misc, name-defined]
        """σΔ and the flux."""

        def _build_linear_operator(self, derivative: Any) -> Any:
            return problem.sigma * derivative**2

        def _build_nonlinear_fun(self, derivative: Any) -> Any:
            return Flux(derivative)

    stepper = Attention(
        num_spatial_dims=1,
        domain_extent=2.0 * np.pi,
        num_points=resolution,
        dt=problem.final / count,
        num_channels=problem.nodes,
        order=4,
    )
    advance = jax.jit(ex.repeat(stepper, count))
    start = jnp.asarray(problem.density(angles))
    advance(start).block_until_ready()

    def run() -> Modes:
        return _modes(np.asarray(advance(start).block_until_ready()))

    return run


def _velocity(problem: Problem, angles: FloatArray, xp: Any) -> Callable[[Any], Any]:
    """V on the grid: without an encoding by Fourier multipliers, else by the kernel of all pairs."""
    resolution = angles.size
    m = np.arange(resolution // 2 + 1)
    derivative = 1j * np.where(2 * m == resolution, 0, m)
    if problem.ring == 0.0:
        kernel = 2.0 * np.pi * iv(m, problem.beta)

        def alone(density: Any) -> Any:
            spectrum = xp.fft.rfft(density)
            field = xp.fft.irfft(derivative * kernel / problem.beta * spectrum, resolution)
            return field / xp.fft.irfft(kernel * spectrum, resolution) if problem.softmax else field

        return alone
    encoded = np.exp(1j * angles) + problem.ring * np.exp(2j * np.pi * problem.positions[:, None])
    points = np.stack([encoded.real.ravel(), encoded.imag.ravel()], axis=1)
    weight = 2.0 * np.pi / (resolution * problem.nodes)
    pairs = xp.asarray(weight * np.exp(problem.beta * (points @ points.T)))

    def between(density: Any) -> Any:
        potential = xp.log(pairs @ density.ravel()).reshape(density.shape) / problem.beta
        return xp.fft.irfft(derivative * xp.fft.rfft(potential), resolution)

    return between


def py_pde(problem: Problem, resolution: int, tolerance: float) -> Run:
    """Return the run with steps of this tolerance."""
    pde = import_module("pde")
    grid = pde.CartesianGrid([(0.0, 2.0 * np.pi)], resolution, periodic=True)
    centres = np.asarray(grid.axes_coords[0])
    velocity = _velocity(problem, centres, np)

    class Attention(pde.PDEBase):  # type: ignore[misc, name-defined]
        """σΔρ − div(ρV)."""

        def evolution_rate(self, state: Any, t: float = 0.0) -> Any:  # noqa: ARG002
            flux = pde.VectorField(grid, [state.data * velocity(state.data)])
            return problem.sigma * state.laplace("periodic") - flux.divergence("periodic")

    equation = Attention()
    start = pde.ScalarField(grid, problem.density(centres)[0])

    def run() -> Modes:
        end = equation.solve(
            start, problem.final, dt=1e-3, solver="runge-kutta", adaptive=True, tolerance=tolerance,
            backend="numpy", tracker=None,
        )  # fmt: skip
        shift = np.exp(-1j * np.arange(HIGHEST_MODE + 1) * centres[0])
        found: Modes = _modes(np.asarray(end.data)[None]) * shift
        return found

    return run


def _modes(density: FloatArray) -> Modes:
    """Fourier modes 0 … 8 of values on an equispaced grid."""
    found = np.fft.fft(density)[..., : HIGHEST_MODE + 1] * (2.0 * np.pi / density.shape[-1])
    modes: Modes = np.asarray(found)
    return modes


OTHERS: dict[str, tuple[str, Prepare, dict[str, list[Setting]]]] = {
    "exponax": ("exponax", exponax, EXPONAX),
    "py-pde": ("pde", py_pde, PY_PDE),
}


def installed() -> list[str]:
    """Names of those that are there."""
    return [name for name, (module, _, _) in OTHERS.items() if find_spec(module) is not None]


def cheapest(name: str, problem: Problem, targets: tuple[float, ...]) -> Iterator[tuple[float, Trial | None]]:
    """Return for every target the cheapest setting that reaches it, None where none does."""
    _, prepare, settings = OTHERS[name]
    if problem.name not in settings:
        return
    trials = [
        trial(prepare(problem, resolution, setting), problem, resolution, setting, REPETITIONS)
        for resolution, setting in settings[problem.name]
    ]
    for target in targets:
        reached = [one for one in trials if one.error <= target]
        yield target, min(reached, key=lambda one: one.seconds, default=None)
