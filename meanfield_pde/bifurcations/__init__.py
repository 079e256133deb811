"""Stationary states as a parameter varies: branches, folds, branch points, transitions."""
