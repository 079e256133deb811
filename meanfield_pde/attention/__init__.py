"""Attention: score, bias, heads, prompt, and the operators that evaluate the attention field."""

from meanfield_pde.attention.bias import Alibi, Bias, Causal, NoBias, Table, Window, Within
from meanfield_pde.attention.layer import Attention, Head, Prompt

__all__ = ["Alibi", "Attention", "Bias", "Causal", "Head", "NoBias", "Prompt", "Table", "Window", "Within"]
