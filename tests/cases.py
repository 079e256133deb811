"""Random problems on the circle, and the dense reference that they are held against."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from meanfield_pde import auxiliary, encodings, initial
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
from meanfield_pde.drift import harmonics
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle

SEEDS = st.integers(0, 2**32 - 1)


def unit_vectors(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def random_coefficients(space, rows, rng, decay=0.6):
    """Coefficients of smooth densities that stay positive: Σ_m 2|c_m| < 1."""
    modes = np.repeat(np.arange(space.modes + 1), 2)
    coefficients = np.tile(space.uniform(), (rows, 1))
    size = 0.25 * np.exp(-decay * modes[2:])
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


@st.composite
def problems(draw, sigmas=(0.02, 0.1, 1.0), sizes=(1, 2, 3, 5)):
    """Everything together, for a depth in which densities change much but stay smooth."""
    attention = draw(attentions(sizes=sizes, betas=(0.0, 0.5, 2.0, 3.0)))
    drift = draw(st.sampled_from([None, None, (0.4,), (0.1, -0.3, 0.2, 0.25, -0.15)]))
    space = Circle(draw(st.sampled_from([32, 45, 64])))
    turns = draw(st.sampled_from([0.0, 0.0, 1.0, -0.37]))
    profile = draw(
        st.sampled_from(
            [
                initial.uniform,
                initial.fourier([(1, 0.4, 0.7), (2, 0.3, 2.0), (3, -0.2, 0.0)]),
                initial.vonmises(unit_vectors(np.array(2.0)), 3.0),
            ]
        )
    )
    # From exactly uniform data the instability would amplify nothing but rounding errors.
    perturbation = 0.5 if profile is initial.uniform else draw(st.sampled_from([0.0, 0.5]))
    start = initial.Initial(profile, turns, perturbation, draw(st.integers(0, 99)), 3)
    known = Problem(
        space,
        attention,
        np.array([0.0, 1.0]),
        start,
        draw(st.sampled_from(sigmas)),
        None if drift is None else harmonics(drift),
        method="spectral",
    )
    return replace(known, depths=np.array([0.0, 0.4, 1.0]) * short_depth(known))


def short_depth(problem, longest=1.0, squeeze=0.6, strongest=2.0):
    """Depth in which the initial velocity squeezes no stretch of tokens by more than e^squeeze.

    Nor would the velocity of one narrow cluster by e^strongest: what is nearly uniform stays so long enough.
    """
    space, order = Circle(192), np.arange(97)

    def steepest(density):
        velocity = reference.velocity(space, problem.attention, density)[..., 0]
        return np.abs(np.fft.irfft(1j * order * np.fft.rfft(velocity), 192)).max()

    density = space.synthesise(problem.initial.coefficients(space, problem.auxiliary))
    cluster = np.exp(20.0 * (np.cos(space.angles) - 1.0))
    cluster = np.tile(cluster / (cluster @ space.weights), (len(density), 1))
    return float(
        min(
            longest,
            squeeze / max(steepest(density), 1e-6),
            strongest / max(steepest(cluster), 1e-6),
        )
    )


class DenseVelocity:
    """The attention field by the definition, as matrices over all pairs (they do not depend on the density).

    Written anew from section 2 of MODEL.md, apart from ``attention/reference.py``; for all nodes or some.
    """

    def __init__(self, points, attention, rows=None):
        theta = 2.0 * np.pi * np.arange(points) / points
        nodes, code = attention.auxiliary.nodes, attention.encoding
        rows = np.arange(nodes.size) if rows is None else rows
        tokens, tangent = unit_vectors(theta), np.stack([-np.sin(theta), np.cos(theta)], axis=-1)
        keys = encode(tokens[None], code, np.arange(nodes.size)).reshape(-1, 2)
        bare = np.tile(tokens, (nodes.size, 1))
        mass = np.repeat(attention.auxiliary.weights, points) * 2.0 * np.pi / points
        queries = encode(tokens[None], code, rows)
        self.attention, self.shape = attention, (rows.size, points)
        self.heads = []
        for head in attention.heads:
            bias = np.repeat(head.bias.log_weights(nodes[rows], nodes), points, axis=1)
            parts = [(keys[None], bare[None], attention.density_share * mass, bias)]
            if attention.prompt is not None:
                parts.append(prompt_rows(attention, head, rows))
            tables = [self._tables(head, (queries, tangent), rows, part) for part in parts]
            offset = np.max([score.max(axis=-1) for score, _, _ in tables], axis=0)[..., None]
            weighted = [(np.exp(score - offset) * share, along) for score, along, share in tables]
            own, fixed = weighted[0], weighted[1:]
            self.heads.append(
                (
                    np.exp(offset).reshape(-1),
                    own[0].reshape(rows.size * points, -1),
                    (own[0] * own[1]).reshape(rows.size * points, -1),
                    sum((weight.sum(axis=-1).ravel() for weight, _ in fixed), 0.0),
                    sum(((weight * along).sum(axis=-1).ravel() for weight, along in fixed), 0.0),
                )
            )

    def _tables(self, head, query, rows, part):
        """Scores and the component of V v along the tangent, (rows, points, keys), and the share of m."""
        keys, bare, share, bias = part
        queries, tangent = query
        keys = np.broadcast_to(keys, (rows.size, *keys.shape[1:]))
        score = head.beta * np.einsum("zid,zkd->zik", queries @ head.query.T, keys @ head.key.T)
        value = np.broadcast_to(bare, keys.shape)
        if self.attention.values == "encoded":
            angles = self.attention.encoding.angles
            value = keys if angles is None else turned(keys, -angles[rows][:, None])
        along = np.einsum("id,zkd->zik", tangent, value @ head.value.T)
        return score + bias[:, None, :], along, share

    def __call__(self, density):
        """V for densities (aux, points) of all nodes, (rows, points)."""
        total, flat = np.zeros(self.shape[0] * self.shape[1]), density.ravel()
        for scale, kernel, field, prompted, prompted_field in self.heads:
            vector = field @ flat + prompted_field
            softmax = self.attention.normalization == "softmax"
            total += vector / (kernel @ flat + prompted) if softmax else vector * scale
        return total.reshape(self.shape)


def turned(vectors, angles):
    """Vectors (..., 2) turned by angles (...)."""
    cosine, sine = np.cos(angles), np.sin(angles)
    x, y = vectors[..., 0], vectors[..., 1]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def encode(tokens, code, rows):
    """E_z(x), (rows, tokens, 2), for tokens (1 or rows, tokens, 2)."""
    moved = np.broadcast_to(tokens, (rows.size, *tokens.shape[1:]))
    if code.angles is not None:
        moved = turned(moved, code.angles[rows][:, None])
    return moved if code.shifts is None else moved + code.shifts[rows][:, None]


def prompt_rows(attention, head, rows):
    """Keys, bare tokens, shares and biases of the prompt, for some query nodes."""
    prompt = attention.prompt
    tokens = prompt.points if prompt.points.shape[0] == 1 else prompt.points[rows]
    keys, bias = tokens, np.zeros((rows.size, prompt.weights.size))
    if prompt.positions is not None:
        keys = encode(tokens[0][:, None], prompt.encoding, np.arange(prompt.weights.size))[:, 0][None]
        bias = head.bias.log_weights(attention.auxiliary.nodes[rows], prompt.positions)
    return keys, tokens, prompt.fraction * prompt.weights, bias


def dense_solution(problem, points, modes=9, rtol=1e-12):
    """Fourier modes 0 … modes − 1 of every conditional at every depth: dense sums, explicit steps.

    Written against the definition alone: density on the grid, FFT derivatives, DOP853. Returns the modes
    (times, aux, modes) and the largest of the highest modes: what the grid does not resolve.
    """
    space = Circle(points)
    velocity_of = DenseVelocity(points, problem.attention)
    count, wave = problem.auxiliary.nodes.size, np.arange(points // 2 + 1)
    drift = 0.0 if problem.drift is None else problem.drift(space)[:, 0]
    keep = wave < points / 2

    def rate(_, flat):
        density = flat.reshape(count, points)
        flux = np.fft.rfft(density * (velocity_of(density) + drift))
        spectrum = (-1j * wave * flux - problem.sigma * wave**2 * np.fft.rfft(density)) * keep
        return np.fft.irfft(spectrum, points).ravel()

    wide = space.resized(3 * points)  # keeps all modes that the grid can hold
    start = space.synthesise(problem.initial.coefficients(wide, problem.auxiliary)[:, : 2 * (points // 2)])
    span = (problem.depths[0], problem.depths[-1])
    run = solve_ivp(rate, span, start.ravel(), "DOP853", problem.depths, rtol=rtol, atol=1e-13)
    spectrum = modes_of(run.y.T.reshape(-1, count, points), points // 2 + 1)
    return spectrum[..., :modes], np.abs(spectrum[..., -6:]).max()


def modes_of(density, modes=9):
    """Fourier modes c_m = ∫e^{−imθ}ρ dθ of densities on an equispaced grid."""
    return np.fft.fft(density)[..., :modes] * (2.0 * np.pi / density.shape[-1])
