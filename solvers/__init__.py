"""Generic numerics: arrays, operators and callbacks; nothing of tokens or attention."""
