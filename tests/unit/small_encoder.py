"""A small encoder with random weights, in the files of a trained one."""

import json

import numpy as np

__all__ = [
    "EPSILON",
    "HEADS",
    "INNER",
    "LAYERS",
    "LONGEST",
    "SIZE",
    "WORDS",
    "encoder",
    "random_weights",
    "write",
]

SIZE, HEADS, INNER, WORDS, LONGEST, LAYERS = 12, 3, 20, 60, 40, 2
EPSILON = 1e-12


def random_weights():
    """Random weights by their names in a file, so large that nothing is nearly linear."""
    rng = np.random.default_rng(3)
    d, arrays = SIZE, {}

    def put(name, *shape, scale=0.6, shift=0.0):
        arrays[name] = shift + scale * rng.standard_normal(shape)

    put("embeddings.word_embeddings.weight", WORDS, d)
    put("embeddings.position_embeddings.weight", LONGEST, d)
    put("embeddings.token_type_embeddings.weight", 2, d)
    norms = ["embeddings.LayerNorm"]
    for number in range(LAYERS):
        at = f"encoder.layer.{number}"
        dense = {f"attention.self.{part}": (d, d) for part in ("query", "key", "value")}
        dense |= {
            "attention.output.dense": (d, d),
            "intermediate.dense": (INNER, d),
            "output.dense": (d, INNER),
        }
        for name, (rows, columns) in dense.items():
            put(f"{at}.{name}.weight", rows, columns)
            put(f"{at}.{name}.bias", rows, scale=0.2)
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    for name in norms:
        put(f"{name}.weight", d, scale=0.2, shift=1.0)
        put(f"{name}.bias", d, scale=0.2)
    return arrays


def write(path, weights, **changes):
    """Write weights, settings and a vocabulary."""
    from safetensors.numpy import save_file

    settings = {"num_attention_heads": HEADS, "layer_norm_eps": EPSILON, "num_hidden_layers": LAYERS}
    (path / "config.json").write_text(json.dumps(settings | {"hidden_act": "gelu"} | changes))
    save_file(weights, path / "model.safetensors")
    words = [f"w{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in range(WORDS - 4)]
    (path / "vocab.txt").write_text("\n".join([f"[{k}]" for k in range(4)] + words) + "\n")


def encoder(path):
    """Make the folder of the encoder."""
    path.mkdir()
    write(path, random_weights())
    return path
