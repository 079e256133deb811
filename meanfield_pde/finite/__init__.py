"""Finitely many tokens in the place of densities: drawn at random, moved with noise or without."""
