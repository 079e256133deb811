"""The inverse problem: encodings, prompts and positions whose limit is a given law of the tokens."""
