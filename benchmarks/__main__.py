"""``python -m benchmarks NAME``: run the benchmark ``benchmarks/NAME.py``."""

import importlib
import os
import sys

COMMANDS = (
    "adjoint",
    "convergence",
    "escape",
    "integrators",
    "methods",
    "notebook",
    "particles",
    "peers",
    "positions",
    "ring",
    "scaling",
    "surfaces",
    "tokens",
    "transforms",
    "verify",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python -m benchmarks {{{','.join(COMMANDS)}}} [options]")
    name = sys.argv[1]
    # The thread pools read these when numpy and numba are first imported, so before the benchmark is.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    importlib.import_module(f"benchmarks.{name}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
