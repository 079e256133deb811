"""What the layers converge to: limit maps, stationary densities, stability, comparisons."""
