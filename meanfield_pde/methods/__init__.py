"""Discretisations of the equation: spectral, finite volumes, characteristics; each can be resumed."""

from meanfield_pde.methods.base import Method, State

__all__ = ["Method", "State"]
