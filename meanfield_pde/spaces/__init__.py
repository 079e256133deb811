"""Token spaces: nodes, weights, transforms, Laplacian eigenvalues, gradient and divergence."""

from meanfield_pde.spaces.base import Atoms, Space

__all__ = ["Atoms", "Space"]
