"""The reference, and the cheapest setting of a contender that reaches an error: hand tuning by a loop."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np

from benchmarks import scipy_script
from benchmarks.problems import Modes, Prepare, Problem, Run

REFERENCE_RTOL = 3e-14
REFERENCE_ERROR = 1e-12
REFERENCE_RESOLUTIONS = {"P1": (480, 400), "P2": (128, 96), "P3": (64, 48)}

# What both contenders may choose from.
RESOLUTIONS = {
    "P1": (64, 72, 80, 90, 100, 108, 120, 128, 144, 150, 160, 180, 192, 216, 240, 288, 324, 360, 400),
    "P2": (34, 36, 40, 42, 45, 48, 50, 54, 60, 64, 72, 80, 96),
    "P3": (18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 40, 45, 48, 54, 60, 64),
}
TOLERANCES = tuple(10.0**-k for k in range(1, 13))


@dataclass(frozen=True)
class Trial:
    """What one setting achieved: the largest error of the modes, and process CPU seconds of one warm run."""

    resolution: int
    rtol: float
    error: float
    seconds: float


@cache
def reference(problem: Problem) -> Modes:
    """Return the modes at the final depth, good to 1e-12: two resolutions and tolerances must agree to that.

    Raises
    ------
    RuntimeError
        When they do not agree.
    """
    fine, coarse = REFERENCE_RESOLUTIONS[problem.name]
    modes = scipy_script.prepare(problem, fine, REFERENCE_RTOL)()
    check = scipy_script.prepare(problem, coarse, 10 * REFERENCE_RTOL)()
    if not error(modes, check) <= REFERENCE_ERROR:
        raise RuntimeError(
            f"reference of {problem.name}: resolutions {fine} and {coarse} differ by {error(modes, check)}"
        )
    return modes


def error(modes: Modes, exact: Modes) -> float:
    """Largest deviation of a Fourier mode 0..8 of any conditional; infinite when the run failed."""
    deviation = float(np.max(np.abs(modes - exact)))
    return deviation if np.isfinite(deviation) else np.inf


def cpu_seconds(run: Callable[[], object], calls: int = 1) -> float:
    """Process CPU time of one call (all threads), as the mean of ``calls``."""
    start = time.process_time()
    for _ in range(calls):
        run()
    return (time.process_time() - start) / calls


def survey(prepare: Prepare, problem: Problem, repetitions: int = 3) -> list[Trial]:
    """Try every resolution with every tolerance, loosest tolerance first."""
    return [
        trial(prepare(problem, resolution, rtol), problem, resolution, rtol, repetitions)
        for resolution in RESOLUTIONS[problem.name]
        for rtol in TOLERANCES
    ]


def trial(run: Run, problem: Problem, resolution: int, rtol: float, repetitions: int) -> Trial:
    """Run a setting for its error, and again for its time."""
    with np.errstate(all="ignore"):  # a tolerance that is too loose may overflow: its error then says so
        achieved = error(run(), reference(problem))
        seconds = min(cpu_seconds(run) for _ in range(repetitions))
    return Trial(resolution, rtol, achieved, seconds)


def cheapest(trials: Iterable[Trial], target: float) -> Trial | None:
    """Return the cheapest trial within ``target``, or None.

    A tolerance counts when all tighter ones at the same resolution reach the target as well: a lucky error of
    a loose tolerance is not something that a user can know.
    """
    reached: list[Trial] = []
    for _, group in groupby(trials, key=lambda trial: trial.resolution):
        for trial in sorted(group, key=lambda trial: trial.rtol):
            if trial.error > target:
                break
            reached.append(trial)
    return min(reached, key=lambda trial: trial.seconds, default=None)
