"""Floating-point errors are errors in every test; interrupts reach what tests start."""

import signal

import numpy as np
import pytest

# A shell that starts the tests in the background has interrupts ignored, and programs hand that on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _floating_point_errors_raise():
    with np.errstate(all="raise", under="ignore"):
        yield
