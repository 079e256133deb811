"""Training on the circle in JAX: the same discretisation, written anew, with derivatives by JAX itself.

Only the tableau of the exponential scheme is taken over. Multipliers, transforms, weights of the steps (φ
functions by means over a circle in the complex plane, Kassam & Trefethen 2005), loss and initial densities
are its own. Steps are a ``lax.scan``, compiled; with ``jax.checkpoint`` around a step it keeps states
alone, around blocks of steps as well two levels.

jax (https://github.com/jax-ml/jax) is a development-only peer.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from solvers.exponential import NEW_STATE, QUARTERS, SCHEME

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
# Without types, so that they are checked alike with and without jax.
jax: Any = import_module("jax")
jnp: Any = import_module("jax.numpy")
jax.config.update("jax_enable_x64", True)

Transforms = Literal["fft", "matrices"]
Memory = Literal["tape", "states", "two levels"]

TURN = 2.0 * np.pi
#: Points on the circle of the φ functions: its mean converges geometrically, 32 of them reach rounding.
CONTOUR = 32
STAGES = 6


@dataclass(frozen=True)
class Circle:
    """The escape problem on the circle: no encoding, l2 loss, harmonics, piecewise constant parameters."""

    points: int
    softmax: bool
    transforms: Transforms
    intervals: int
    steps: int
    depth: float
    regularization: float
    beta: float = 1.0
    sigma: float = 0.3
    degree: int = 3

    @cached_property
    def modes(self) -> NDArray[np.float64]:
        """1 … K with K below a third of the points."""
        return np.arange(1.0, (self.points - 1) // 3 + 1)

    @cached_property
    def angles(self) -> NDArray[np.float64]:
        """Angles of the grid."""
        return TURN * np.arange(self.points) / self.points

    @property
    def length(self) -> float:
        """Length of an interval."""
        return self.depth / self.intervals

    @cached_property
    def start(self) -> NDArray[Any]:
        """Modes of (1 + 0.8 cos θ + 0.1 sin 2θ) / 2π."""
        spectrum = np.zeros(self.modes.size, complex)
        spectrum[:2] = 0.4, -0.05j
        return spectrum if self.transforms == "fft" else _real(spectrum)

    @cached_property
    def target(self) -> NDArray[np.float64]:
        """Two wells."""
        values = np.exp(2.0 * np.cos(2.0 * (self.angles - 0.7)))
        return np.asarray(values / (values.sum() * TURN / self.points))

    @cached_property
    def fields(self) -> NDArray[np.float64]:
        """1, cos θ, sin θ, …, (fields, points)."""
        waves = [wave(m * self.angles) for m in range(1, self.degree + 1) for wave in (np.cos, np.sin)]
        return np.stack([np.ones(self.points), *waves])

    @cached_property
    def kernel(self) -> NDArray[np.float64]:
        """I_m(β), what the kernel multiplies mode m by."""
        return np.asarray(special.iv(self.modes, self.beta))

    @cached_property
    def _columns(self) -> dict[str, NDArray[np.float64]]:
        """Matrices of the transforms of real parts and imaginary parts in turn."""
        waves = np.exp(1j * np.outer(self.angles, self.modes)) / np.pi

        def synthesis(multipliers: NDArray[Any]) -> NDArray[np.float64]:
            scaled = waves * multipliers
            return np.stack([scaled.real, -scaled.imag], axis=-1).reshape(self.points, -1)

        analysis = -1j * self.modes[:, None] * np.exp(-1j * np.outer(self.modes, self.angles))
        return {
            "density": synthesis(np.ones(self.modes.size)),
            "normaliser": TURN * synthesis(self.kernel),
            "velocity": TURN * synthesis(1j * self.modes * self.kernel / self.beta),
            "divergence": np.stack([analysis.real, analysis.imag], axis=1).reshape(-1, self.points)
            * (TURN / self.points),
        }

    def density(self, state: Any) -> Any:
        """ρ on the grid."""
        if self.transforms == "matrices":
            return self._columns["density"] @ state + 1.0 / TURN
        return self._values(1.0, state) / TURN

    def _values(self, constant: float, spectrum: Any) -> Any:
        whole = jnp.concatenate([jnp.full(1, constant, complex), spectrum])
        return jnp.fft.irfft(whole, n=self.points) * self.points

    def velocity(self, state: Any) -> Any:
        """V on the grid."""
        constant = float(special.iv(0, self.beta))
        if self.transforms == "matrices":
            field = self._columns["velocity"] @ state
            total = self._columns["normaliser"] @ state + constant if self.softmax else 1.0
        else:
            field = self._values(0.0, 1j * self.modes * self.kernel / self.beta * state)
            total = self._values(constant, self.kernel * state) if self.softmax else 1.0
        return field / total

    def rate(self, state: Any, drift: Any) -> Any:
        """−∂_θ(ρ(V + F))."""
        flux = self.density(state) * (self.velocity(state) + drift)
        if self.transforms == "matrices":
            return self._columns["divergence"] @ flux
        spectrum = jnp.fft.rfft(flux)[1 : self.modes.size + 1]
        return -1j * self.modes * spectrum * (TURN / self.points)

    @cached_property
    def weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the state, (6, modes), and N_1 … N_6, (6, 6, modes), weigh in every row of a step."""
        linear, step = -self.sigma * self.modes**2, self.length / self.steps
        shares = QUARTERS[: NEW_STATE + 1, None] / 4.0
        functions = _phi(shares * step * linear)
        keep, rates = functions[0], step * np.einsum("imn,nik->imk", SCHEME[: NEW_STATE + 1], functions[1:])
        if self.transforms == "matrices":
            return np.repeat(keep, 2, axis=-1), np.repeat(rates, 2, axis=-1)
        return keep, rates

    def step(self, state: Any, drift: Any) -> Any:
        """Take one step."""
        keep, weights = self.weights
        rates = [self.rate(state, drift)]
        for row in range(NEW_STATE + 1):
            moved = keep[row] * state
            for m, rate in enumerate(rates):
                if SCHEME[row, m].any():
                    moved = moved + weights[row, m] * rate
            if row < NEW_STATE:
                rates.append(self.rate(moved, drift))
        return moved

    def objective(self, memory: Memory) -> Callable[[Any], Any]:
        """J of parameters (intervals, fields)."""

        def advance(state: Any, drift: Any) -> tuple[Any, None]:
            return self.step(state, drift), None

        one = advance if memory == "tape" else jax.checkpoint(advance)

        def several(state: Any, drifts: Any) -> Any:
            return jax.lax.scan(one, state, drifts)

        def value(parameters: Any) -> Any:
            drifts = jnp.repeat(parameters @ self.fields, self.steps, axis=0)
            if memory == "two levels":
                drifts = drifts.reshape(_blocks(len(drifts)), -1, self.points)
                end, _ = jax.lax.scan(jax.checkpoint(several), self.start, drifts)
            else:
                end, _ = several(self.start, drifts)
            apart = self.density(end) - self.target
            loss = 0.5 * jnp.sum(apart**2) * TURN / self.points
            return loss + 0.5 * self.regularization * self.length * jnp.sum(parameters**2)

        return value


@dataclass(frozen=True)
class Program:
    """A compiled function of the parameters, the seconds that compiling took, and the bytes it works in."""

    run: Callable[[Any], Any]
    compilation: float
    bytes: int


def compiled(function: Callable[[Any], Any], parameters: NDArray[np.float64]) -> Program:
    """Trace and compile for arrays of this shape."""
    began = time.perf_counter()
    program = jax.jit(function).lower(parameters).compile()
    seconds = time.perf_counter() - began
    used = int(program.memory_analysis().temp_size_in_bytes)

    def run(values: Any) -> Any:
        return jax.block_until_ready(program(values))

    return Program(run, seconds, used)


def programs(circle: Circle, memory: Memory, parameters: NDArray[np.float64]) -> tuple[Program, Program]:
    """J, and J with its gradient."""
    value = circle.objective(memory)
    return compiled(value, parameters), compiled(jax.value_and_grad(value), parameters)


def _real(spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Real and imaginary parts in turn."""
    return np.stack([spectrum.real, spectrum.imag], axis=-1).ravel()


def _phi(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """e^z and φ_1 … φ_3, (4, ...): means over unit circles around real z."""
    around = values[..., None] + np.exp(1j * np.pi * (np.arange(CONTOUR) + 0.5) / CONTOUR)
    first = (np.exp(around) - 1.0) / around
    second = (first - 1.0) / around
    third = (second - 0.5) / around
    return np.concatenate([np.exp(values)[None], [one.mean(axis=-1).real for one in (first, second, third)]])


def _blocks(count: int) -> int:
    """Return the divisor of the count that is nearest to its root from below."""
    return max(divisor for divisor in range(1, int(count**0.5) + 1) if count % divisor == 0)
