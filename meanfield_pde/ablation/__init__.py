"""What removing or corrupting positional encodings does to tokens, in the equation and in a trained model."""
