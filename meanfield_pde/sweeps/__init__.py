"""Sweeps: limits, solves or trainings at many points of the configuration, in parallel on Dask."""
