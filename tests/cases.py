"""Random problems on the circle, and the dense reference that they are held against."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import (
    Alibi,
    Attention,
    Causal,
    Head,
    NoBias,
    Prompt,
    Table,
    Window,
    Within,
    reference,
)
from meanfield_pde.spaces.circle import Circle

SEEDS = st.integers(0, 2**32 - 1)


def unit_vectors(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def random_coefficients(space, rows, rng, decay=0.6):
    """Coefficients of smooth densities that stay positive: Σ_m 2|c_m| < 1."""
    modes = np.repeat(np.arange(space.modes + 1), 2)
    coefficients = np.tile(space.uniform(), (rows, 1))
    size = 0.45 * np.exp(-decay * modes[2:])
    coefficients[:, 2:] += size * rng.uniform(-1.0, 1.0, (rows, modes.size - 2))
    return coefficients


@st.composite
def auxiliaries(draw, sizes=(1, 2, 5, 16, 33)):
    count = draw(st.sampled_from(sizes))
    kind = draw(st.sampled_from(["uniform", "legendre", "table"]))
    if kind == "uniform":
        return auxiliary.uniform(count)
    if kind == "legendre":
        return auxiliary.legendre(count)
    rng = np.random.default_rng(draw(SEEDS))
    weights = rng.uniform(0.1, 1.0, count)
    return auxiliary.Auxiliary(rng.permutation(rng.uniform(-1.0, 2.0, count)), weights / weights.sum())


@st.composite
def encodings_of(draw, nodes):
    kind = draw(st.sampled_from(["none", "ring", "line", "sinusoidal", "table", "rotary"]))
    amplitude = draw(st.sampled_from([0.2, 1.0, 2.0]))
    if kind == "none":
        return encodings.none()
    if kind == "ring":
        return encodings.additive(encodings.ring(nodes, amplitude, 2))
    if kind == "line":
        return encodings.additive(encodings.line(nodes, amplitude, 2))
    if kind == "sinusoidal":
        return encodings.additive(encodings.sinusoidal(nodes.size, amplitude, 2))
    if kind == "rotary":
        return encodings.rotary(nodes, draw(st.sampled_from([-3.0, 0.7, 20.0])))
    rng = np.random.default_rng(draw(SEEDS))
    return encodings.additive(0.7 * amplitude * rng.standard_normal((nodes.size, 2)))


@st.composite
def biases(draw, nodes):
    kind = draw(st.sampled_from(["none", "causal", "window", "alibi", "within", "table"]))
    if kind == "window":
        return Window(draw(st.sampled_from([0.0, 0.11, 0.4, 5.0])))
    if kind == "alibi":
        return Alibi(draw(st.sampled_from([0.0, 0.5, 8.0])))
    if kind == "table":
        rng = np.random.default_rng(draw(SEEDS))
        values = 3.0 * rng.standard_normal((nodes.size, nodes.size))
        hidden = rng.random(values.shape) < 0.3
        hidden[np.arange(nodes.size), rng.integers(nodes.size, size=nodes.size)] = False
        return Table(np.where(hidden, -np.inf, values), nodes)
    return {"none": NoBias(), "causal": Causal(), "within": Within()}[kind]


@st.composite
def matrices(draw):
    kind = draw(st.sampled_from(["identity", "identity", "rotation", "general", "singular"]))
    if kind == "identity":
        return np.eye(2)
    rng = np.random.default_rng(draw(SEEDS))
    if kind == "rotation":
        return 0.8 * Circle(8).rotations(rng.uniform(0.0, 6.0, 1))[0]
    if kind == "singular":
        return np.diag([1.0, 0.0])
    matrix = rng.standard_normal((2, 2))
    return 1.2 * matrix / np.linalg.norm(matrix, 2)  # the dense sums on the grid must resolve e^{β⟨Qu, Kw⟩}


@st.composite
def heads(draw, nodes, betas=(0.0, 0.5, 2.0, 8.0, 20.0)):
    return Head(
        draw(st.sampled_from(betas)),
        draw(matrices()),
        draw(matrices()),
        draw(matrices()),
        draw(biases(nodes)),
    )


@st.composite
def prompts(draw, nodes, encoding):
    kind = draw(st.sampled_from(["none", "none", "shared", "per node", "placed"]))
    if kind == "none":
        return None
    rng = np.random.default_rng(draw(SEEDS))
    fraction = draw(st.sampled_from([0.0, 0.3, 0.9]))
    if kind == "per node":
        return Prompt(unit_vectors(rng.uniform(0.0, 6.0, (nodes.size, 1))), np.ones(1), fraction)
    tokens = unit_vectors(rng.uniform(0.0, 6.0, (1, 2)))
    weights = np.array([0.2, 0.8])
    if kind == "shared":
        return Prompt(tokens, weights, fraction)
    rows = rng.integers(nodes.size, size=2)
    return Prompt(tokens, weights, fraction, nodes[rows], encoding.at(rows))


@st.composite
def attentions(draw, **options):
    nu = draw(auxiliaries(**({"sizes": options["sizes"]} if "sizes" in options else {})))
    encoding = draw(encodings_of(nu.nodes))
    betas = {"betas": options["betas"]} if "betas" in options else {}
    return Attention(
        heads=tuple(draw(st.lists(heads(nu.nodes, **betas), min_size=1, max_size=3))),
        auxiliary=nu,
        encoding=encoding,
        normalization=draw(st.sampled_from(["softmax", "none"])),
        values=draw(st.sampled_from(["encoded", "token"])),
        prompt=draw(prompts(nu.nodes, encoding)),
    )


def dense_solution(problem, space, modes=9, rtol=1e-12):
    """Fourier modes 0 … modes − 1 of every conditional at every depth: dense sums, explicit steps, no factoring.

    Written against the definition alone: density on the grid, FFT derivatives, DOP853.
    """
    count, points = problem.auxiliary.nodes.size, space.resolution
    wave = np.fft.fftfreq(points, 1.0 / points)
    drift = 0.0 if problem.drift is None else problem.drift(space)[:, 0]

    def rate(_, flat):
        density = flat.reshape(count, points)
        velocity = reference.velocity(space, problem.attention, density)[..., 0] + drift
        spectrum = -1j * wave * np.fft.fft(density * velocity) - problem.sigma * wave**2 * np.fft.fft(density)
        if points % 2 == 0:
            spectrum[:, points // 2] = 0.0
        return np.fft.ifft(spectrum).real.ravel()

    start = space.synthesise(problem.initial.coefficients(space, problem.auxiliary))
    span = (problem.depths[0], problem.depths[-1])
    run = solve_ivp(rate, span, start.ravel(), "DOP853", problem.depths, rtol=rtol, atol=1e-13)
    density = run.y.T.reshape(-1, count, points)
    return np.fft.fft(density)[..., :modes] * (2.0 * np.pi / points)


def modes_of(density, modes=9):
    """Fourier modes c_m = ∫e^{−imθ}ρ dθ of densities on an equispaced grid."""
    return np.fft.fft(density)[..., :modes] * (2.0 * np.pi / density.shape[-1])
