"""Measurements of meanfield-pde beside what one would otherwise run: ``python -m benchmarks peers``."""
