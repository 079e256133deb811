"""Methods under way: what is chosen comes back from its memory, and states from their content."""

import numpy as np
import pytest

from meanfield_pde import auxiliary, checkpoint, encodings, initial
from meanfield_pde.attention import Attention, Causal, Head
from meanfield_pde.initial import Initial, Tokens
from meanfield_pde.methods import choose
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.circle import Circle

SMOOTH = Initial(initial.fourier([(1, 0.4, 0.7), (2, 0.3, 2.0)]), turns=0.3)
TOKENS = Initial(initial.uniform, tokens=Tokens(np.array([[0.0, 1.0, 2.5]]), np.array([[1.0, 2.0, 3.0]])))


def problem_of(start, sigma, method="auto"):
    nu = auxiliary.uniform(3)
    code = encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    layer = Attention((Head.plain(3.0, 2, Causal()),), nu, code)
    depths = np.array([0.0, 1.0, 3.0])
    return Problem(Circle(48), layer, depths, start, sigma, accuracy=Accuracy(1e-6, 1e-8), method=method)


@pytest.mark.parametrize(
    ("start", "sigma", "method", "name"),
    [
        (SMOOTH, 0.1, "auto", "spectral"),
        (SMOOTH, 0.1, "finite-volume", "finite-volume"),
        (SMOOTH, 0.0, "finite-volume", "finite-volume"),
        (SMOOTH, 0.0, "auto", "characteristics"),
        (SMOOTH, 0.0, "spectral", "spectral"),
        (TOKENS, 0.0, "auto", "characteristics"),
    ],
)
def test_a_method_goes_on_from_its_memory_as_if_nothing_had_happened(start, sigma, method, name):
    """Bit by bit, through the bytes of a checkpoint, from the middle of the way to a saved depth."""
    problem = problem_of(start, sigma, method)
    choice = choose.begin(problem)
    assert choice.method.name == name
    assert choice.reason == "as asked" if method != "auto" else choice.reason.startswith(f"sigma = {sigma:g}")
    one = choice.method
    while one.advance(1.0, 3) == "paused" and sum(one.counts[:2]) < 30:
        pass
    content = checkpoint.unpack(checkpoint.pack({"memory": one.memory(), "state": one.state().content()}))
    other = choose.restored(problem, name, content["memory"])
    saved = choose.restored_state(problem, content["state"])
    # Paused elsewhere as well: the wall clock must not matter.
    for run, most in ((one, 10**6), (other, 5)):
        while run.advance(3.0, most) == "paused":
            pass
    assert (one.depth, one.step, one.size, one.counts) == (other.depth, other.step, other.size, other.counts)
    assert one.change() == other.change()
    now, then = one.state(), other.state()
    assert np.array_equal(now.joint(Circle(48)), then.joint(Circle(48)))
    assert now.diagnostics.keys() == then.diagnostics.keys()
    found, expected = ([*state.diagnostics.values()] for state in (now, then))
    assert np.array_equal(found, expected, equal_nan=True)
    assert saved.depth < now.depth
    assert saved.content().keys() == now.content().keys()
    assert one.facts() == other.facts()
    assert np.array_equal(saved.moments(), choose.restored_state(problem, saved.content()).moments())
