"""The shipped escape: attention clusters tokens first, the trained drift takes them away at the end."""

import numpy as np
import pytest

import meanfield_pde as mf


def test_escape_on_the_circle():
    """Fifty intervals, not 200; a prototype with other steps: R = 0.845 and 0.07, F = −1.343 and −1.11."""
    trained = mf.train(mf.load("escape-circle", {"training.intervals": 50, "training.tolerance": 1e-3}))
    energy, order, depth = trained.free_energy, trained.order_parameter, trained.time
    lowest = int(energy.argmin())
    assert trained.attributes["converged"]
    assert trained.loss[-1] == pytest.approx(0.03885, abs=5e-5)
    assert order[0] == pytest.approx(0.4, abs=1e-12)
    assert order.max() == pytest.approx(0.85, abs=6e-3)
    assert order[-1] == pytest.approx(0.067, abs=2e-3)
    # The free energy falls through more than half of the depth, and rises from there on.
    assert depth[lowest] > 0.5 * depth[-1]
    assert (np.diff(energy[: lowest + 1]) < 0.0).all()
    assert (np.diff(energy[lowest:]) > 0.0).all()
    assert energy[lowest] == pytest.approx(-1.3435, abs=5e-4)
    assert energy[-1] == pytest.approx(-1.113, abs=2e-3)
    # As the report has it: arrival at the plateau, and escape from it.
    assert 5.0 < trained.attributes["arrival"] < 6.0
    assert 8.5 < trained.attributes["escape"] < 9.2
    # Without training the tokens stay where attention takes them.
    assert trained.untrained_order_parameter[-1] == pytest.approx(
        trained.untrained_order_parameter.max(), abs=1e-3
    )
    assert trained.untrained_order_parameter[-1] > 0.85
