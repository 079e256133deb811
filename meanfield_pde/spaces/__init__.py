"""Token spaces: nodes, weights, transforms, Laplacian eigenvalues, gradient and divergence."""

from meanfield_pde.spaces.base import Space

__all__ = ["Space"]
