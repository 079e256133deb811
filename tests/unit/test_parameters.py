"""Problems as functions of one of their numbers: those that a configuration with this value gives."""

from dataclasses import replace

import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Alibi, Attention, Head, Prompt
from meanfield_pde.bifurcations.parameters import PARAMETERS, varied
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle
from tests.cases import random_coefficients, unit_vectors

#: Roundings of shifts and velocities of size one.
ROUNDING = 1e-13

SMALL = {"token.resolution": 32}
CASES = [
    ("mode-collapse", {}, "noise.sigma", 0.3),
    ("mode-collapse", {}, "attention.beta", 3.5),
    ("additive-ring", {"auxiliary.nodes": 6}, "attention.beta", 0.0),
    ("additive-ring", {"auxiliary.nodes": 6}, "encoding.amplitude", 0.37),
    ("additive-ring", {"auxiliary.nodes": 6, "encoding.corruption": 0.3}, "encoding.amplitude", 0.0),
    ("additive-ring", {"auxiliary.nodes": 6}, "encoding.corruption", 0.8),
    ("minilm-natural", {}, "encoding.amplitude", 2.5),
    ("minilm-natural", {}, "encoding.corruption", 0.05),
    ("rotary-encoded", {"auxiliary.nodes": 6}, "encoding.frequency", -2.0),
    ("prompt-steering", {}, "prompt.fraction", 0.45),
    ("prompt-steering", {}, "prompt.fraction", 0.0),
]


def velocity(problem):
    """Of some densities."""
    space = problem.space
    density = random_coefficients(space, problem.auxiliary.nodes.size, np.random.default_rng(3))
    return problem.equation(space).velocity(density)


def assert_same(found, expected):
    assert found.sigma == expected.sigma
    assert [head.beta for head in found.attention.heads] == [head.beta for head in expected.attention.heads]
    for name in ("shifts", "angles"):
        own, other = getattr(found.attention.encoding, name), getattr(expected.attention.encoding, name)
        assert (own is None) == (other is None)
        if own is not None:
            assert np.abs(own - other).max() < ROUNDING
    assert np.array_equal(found.auxiliary.nodes, expected.auxiliary.nodes)
    first, second = velocity(found), velocity(expected)
    assert np.abs(first - second).max() < ROUNDING * max(1.0, np.abs(second).max())


def test_all_parameters_are_tried():
    assert {parameter for *_, parameter, _ in CASES} == set(PARAMETERS)


@pytest.mark.parametrize(("name", "settings", "parameter", "value"), CASES)
def test_problems_are_those_of_configurations(name, settings, parameter, value):
    """The configuration with this value, read anew, has the same encoding and velocities."""
    at = varied(mf.load(name, {**SMALL, **settings}), parameter)
    expected = mf.load(name, {**SMALL, **settings, parameter: value})
    assert_same(at(value), expected)
    other = at(value + 0.1)
    assert other.sigma != expected.sigma or np.abs(velocity(other) - velocity(expected)).max() > 1e-6


def test_any_number_of_a_configuration_may_vary():
    """Of a problem made of a table of heads, say, or of its initial law: built anew."""
    settings = {**SMALL, "auxiliary.nodes": 5}
    at = varied(
        mf.load("additive-ring", {**settings, "attention.bias": "alibi", "attention.slope": 1.0}),
        "attention.slope",
    )
    expected = mf.load("additive-ring", {**settings, "attention.bias": "alibi", "attention.slope": 2.5})
    assert_same(at(2.5), expected)


def made(code=None, prompt=None):
    """Two heads, made in Python."""
    nu = auxiliary.legendre(4)
    heads = (Head.plain(1.0, 2), Head.plain(3.0, 2, Alibi(0.5)))
    layer = Attention(heads, nu, code or encodings.none(), "softmax", prompt=prompt)
    return Problem(Circle(32), layer, np.array([0.0, 1.0]), sigma=0.1)


def test_problems_made_in_python_vary():
    """β of all heads; shifts times the amplitude; angles of the frequency; noise and prompt."""
    nu = auxiliary.legendre(4)
    shifts = encodings.ring(nu.nodes, 1.0, 2)
    added, turned = made(encodings.additive(shifts)), made(encodings.rotary(nu.nodes, 2.0))
    assert varied(made(), "noise.sigma")(0.7).sigma == 0.7
    heads = varied(made(), "attention.beta")(2.0).attention.heads
    assert [head.beta for head in heads] == [2.0, 2.0]
    assert isinstance(heads[1].bias, Alibi)
    assert_same(varied(added, "encoding.amplitude")(0.4), made(encodings.additive(0.4 * shifts)))
    assert_same(varied(turned, "encoding.frequency")(5.0), made(encodings.rotary(nu.nodes, 5.0)))
    prompt = Prompt(unit_vectors(np.array([[1.0]])), np.ones(1), 0.2)
    found = varied(made(prompt=prompt), "prompt.fraction")(0.6)
    assert_same(found, made(prompt=replace(prompt, fraction=0.6)))


@pytest.mark.parametrize(
    ("problem", "parameter", "message"),
    [
        (made(), "prompt.fraction", r"there is no \[prompt\]"),
        (made(), "encoding.amplitude", "has no effect"),
        (made(), "encoding.frequency", "has no effect"),
        (made(), "encoding.corruption", "has no effect"),
        (made(), "noise.sigmas", 'did you mean "noise.sigma"'),
        (made(), "weather", "there are noise.sigma, attention.beta"),
    ],
)
def test_what_has_no_effect_is_refused(problem, parameter, message):
    with pytest.raises(mf.InputError, match=message):
        varied(problem, parameter)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("noise.sigma", -0.1), ("attention.beta", -1.0), ("prompt.fraction", 1.0), ("attention.beta", np.inf)],
)
def test_values_that_are_not_allowed_are_refused(parameter, value):
    at = varied(mf.load("prompt-steering", SMALL), parameter)
    with pytest.raises(mf.InputError):
        at(value)


def test_additive_parameters_need_additive_encodings():
    problem = mf.load("rotary-encoded", {**SMALL, "auxiliary.nodes": 6})
    with pytest.raises(mf.InputError, match=r"encoding|amplitude"):
        varied(problem, "encoding.amplitude")(0.5)
