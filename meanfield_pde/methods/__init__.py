"""Discretisations of the equation: spectral, finite volumes, characteristics; each under way, each resumable."""

from meanfield_pde.methods.base import Method, State

__all__ = ["Method", "State"]
