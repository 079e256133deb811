"""The ablation in a trained model: its layers again and again, with, without and with corrupted positions.

One sequence is one unit of work: all variants of its positions, measured after every layer. Sequences of
random words are samples, of which means with confidence intervals are told; texts are cases, one by one.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde import shipped
from meanfield_pde.ablation.measures import COLLAPSED, MEASURES, depth_of_collapse, interval
from meanfield_pde.ablation.model import load_model, tokenise
from meanfield_pde.ablation.prediction import predicted
from meanfield_pde.ablation.walks import VARIANTS, Gauge, Variant, walk
from meanfield_pde.errors import InputError
from meanfield_pde.evolution import available_cores, limited
from meanfield_pde.records import Record, Variable, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meanfield_pde.ablation.model import TrainedModel
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.records import Attribute

__all__ = ["DEPTHS", "KIND", "TEXTS", "TrainedOptions", "Words", "chosen", "trained_study"]

#: The attribute ``kind`` of the record.
KIND = "trained-ablation"
#: The attribute ``status`` of a whole record.
FINISHED = "finished"
#: What BERT puts before and after a text.
MARKS = ("[CLS]", "[SEP]")
#: The shipped file of texts.
TEXTS = "texts.toml"
#: Layers by which collapse is told: the depths of both kinds of collapse, and the measures that say it.
DEPTHS = {"collapse_depth": "order_parameter", "uniform_depth": "attention_entropy"}
_DEPTH_NAMES = {
    "collapse_depth": f"first layer from which on R >= {COLLAPSED:g}",
    "uniform_depth": f"first layer from which on entropy of attention over log n >= {COLLAPSED:g}",
}


@dataclass(frozen=True)
class TrainedOptions:
    """What is studied.

    Parameters
    ----------
    sequences, length
        Number of sequences of random words, and words in each.
    marks
        Whether they stand between the marks of beginning and end, as texts do.
    passes
        How often the layers are applied.
    seed
        Of words, orders of positions, and the gauge of the information.
    texts
        Whether the shipped texts are studied too, with marks of beginning and end.
    components
        Principal components by which the information of token and position is measured.
    starts
        Random starts from which limits of the reduced mean-field equation are looked for; 0 for none.
    variants
        What becomes of the positions.
    file
        Where the record is kept after every sequence; if it is there, the study goes on from it.
    folder
        The model, by default that of the installed package.
    threads
        By default all cores. They do not change the result.

    Raises
    ------
    InputError
        When a number is out of range.
    """

    sequences: int = 24
    length: int = 128
    marks: bool = False
    passes: int = 20
    seed: int = 0
    texts: bool = True
    components: int = 8
    starts: int = 6
    variants: tuple[Variant, ...] = VARIANTS
    file: Path | None = None
    folder: Path | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, least in {
            "sequences": 2,
            "length": 3,
            "passes": 1,
            "seed": 0,
            "components": 1,
            "starts": 0,
        }.items():
            if getattr(self, name) < least:
                raise InputError(f"trained study: {name} must be at least {least}, got {getattr(self, name)}")
        if not self.variants:
            raise InputError("trained study: there must be at least one variant of the positions")

    def settings(self) -> str:
        """Return what bears on the numbers, as JSON."""
        content = asdict(self)
        for name in ("file", "folder", "threads"):
            del content[name]
        return json.dumps(content, sort_keys=True)


@dataclass(frozen=True)
class Words:
    """One sequence: tokens (n,), and its title if it is a text."""

    tokens: IntArray
    title: str = ""


def trained_study(
    options: TrainedOptions, progress: Callable[[str, float], None] = lambda *_: None
) -> Record:
    """Return every measure of every sequence, variant and layer, and means with 95 % confidence intervals.

    Parameters
    ----------
    progress
        Called with what is being done, and the share that is done; it may raise to interrupt.

    Raises
    ------
    InputError
        When the model is not installed, or the file is of another study.
    """
    began = time.perf_counter()
    model = load_model(options.folder)
    sequences = chosen(model, options)
    kept = _resumed(options, model)
    if kept is not None and kept.attributes["status"] == FINISHED:
        return kept
    measured = [] if kept is None else _measured(kept)
    began -= 0.0 if kept is None else float(kept.attributes["seconds"])
    work = np.cumsum([0, *(_work(model, sequence) for sequence in sequences)])
    with limited(options.threads or available_cores()):
        for number in range(len(measured), len(sequences)):
            progress(f"sequence {number + 1} of {len(sequences)}", float(work[number] / work[-1]))
            tokens = sequences[number].tokens
            gauge = Gauge.of(model.positions[: len(tokens)], options.components, [options.seed, number])
            measured.append(walk(model, tokens, options.variants, options.passes, gauge))
            if options.file is not None:
                seconds = time.perf_counter() - began
                _record(options, model, sequences, measured, seconds).save(options.file, overwrite=True)
        limits = {}
        if options.starts:
            limits["mean_field"] = predicted(
                model, options.length, options.starts, options.seed, progress=progress
            )
    progress("done", 1.0)
    record = _record(options, model, sequences, measured, time.perf_counter() - began)
    whole = replace(record, attributes={**record.attributes, "status": FINISHED}, groups=limits)
    if options.file is not None:
        whole.save(options.file, overwrite=True)
    return whole


def chosen(model: TrainedModel, options: TrainedOptions) -> list[Words]:
    """Return the sequences of random words, then the texts.

    Raises
    ------
    InputError
        When one does not fit the model.
    """
    words = model.whole_words()
    if not words.size:
        raise InputError(f"{model.folder}: has no vocabulary from which words could be drawn")
    drawn = []
    for number in range(options.sequences):
        tokens = np.random.default_rng([options.seed, number]).choice(words, options.length)
        drawn.append(Words(_marked(model, tokens) if options.marks else tokens))
    sequences = [*drawn, *(_texts(model) if options.texts else [])]
    longest = max(len(sequence.tokens) for sequence in sequences)
    if longest > len(model.positions):
        raise InputError(
            f"trained study: a sequence has {longest} tokens, the model {len(model.positions)} positions"
        )
    return sequences


def _marked(model: TrainedModel, words: IntArray) -> IntArray:
    """Put the marks of beginning and end around words."""
    if not set(MARKS) <= set(model.vocabulary):
        raise InputError(f"{model.folder}: has no marks {' and '.join(MARKS)} in its vocabulary")
    begin, end = (model.vocabulary.index(mark) for mark in MARKS)
    return np.array([begin, *words, end], dtype=np.intp)


def _texts(model: TrainedModel) -> list[Words]:
    path = shipped.data_file(TEXTS)
    if path is None:
        raise InputError(f"trained study: the data file {TEXTS} is missing from the installation")
    texts = tomllib.loads(path.read_text(encoding="utf-8"))["text"]
    return [Words(tokenise(model, text["text"]), text["title"]) for text in texts]


def _work(model: TrainedModel, sequence: Words) -> float:
    """Cost of a sequence up to a factor: matrices, and pairs of tokens."""
    count = len(sequence.tokens)
    return float(count * (6 * model.dimension + count))


def _resumed(options: TrainedOptions, model: TrainedModel) -> Record | None:
    """Return what the file holds, which must be of this study; None where there is no file."""
    if options.file is None or not options.file.exists():
        return None
    record = read(options.file, dict.fromkeys(MEASURES, ("sequence", "variant", "layer")))
    for name, ours in _identity(options, model).items():
        if record.attributes.get(name) != ours:
            raise InputError(
                f"{options.file}: holds another study: {name} was {record.attributes.get(name)!r}, now it is "
                f"{ours!r}; give another file"
            )
    return record


def _measured(record: Record) -> list[dict[str, FloatArray]]:
    """Return the measures of every sequence."""
    return [{name: record[name][row] for name in MEASURES} for row in range(record.sizes["sequence"])]


def _identity(options: TrainedOptions, model: TrainedModel) -> dict[str, str]:
    """Return what must agree for a study to be continued."""
    texts = shipped.data_file(TEXTS)
    return {
        "kind": KIND,
        "meanfield_pde_version": shipped.version(),
        "settings": options.settings(),
        "model_sha256": hashlib.sha256((model.folder / "model.safetensors").read_bytes()).hexdigest(),
        "texts_sha256": hashlib.sha256(texts.read_bytes()).hexdigest() if texts else "",
    }


def _record(
    options: TrainedOptions,
    model: TrainedModel,
    sequences: Sequence[Words],
    measured: Sequence[Mapping[str, FloatArray]],
    seconds: float,
) -> Record:
    """Return the record of what is measured so far; intervals once all random sequences are."""
    done = sequences[: len(measured)]
    arrays = {name: np.stack([one[name] for one in measured]) for name in MEASURES}
    depths = {name: depth_of_collapse(arrays[measure]) for name, measure in DEPTHS.items()}
    attributes: dict[str, Attribute] = {
        "title": "Positions in a trained model",
        **_identity(options, model),
        "status": "unfinished",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seconds": seconds,
        "random_sequences": options.sequences,
        "layers_per_pass": len(model.blocks),
        **{f"variant_{number}": variant.title for number, variant in enumerate(options.variants)},
        **{f"text_{number}": one.title for number, one in enumerate(s for s in sequences if s.title)},
    }
    whole = ("sequence", "variant", "layer")
    variables = {
        "layer": Variable(("layer",), np.arange(arrays["information"].shape[-1]), "layer"),
        "length": Variable(("sequence",), np.array([len(one.tokens) for one in done]), "number of tokens"),
        **{name: Variable(whole, values, MEASURES[name]) for name, values in arrays.items()},
        **{name: Variable(whole[:2], values, _DEPTH_NAMES[name]) for name, values in depths.items()},
        **_intervals(arrays, options.sequences),
    }
    return Record(variables, attributes)


def _intervals(arrays: Mapping[str, FloatArray], count: int) -> dict[str, Variable]:
    """Means over the random sequences, and half widths of their 95 % confidence intervals."""
    variables: dict[str, Variable] = {}
    if len(next(iter(arrays.values()))) < count:
        return variables
    for name, values in arrays.items():
        told = interval(values[:count])
        for key, numbers, what in (
            ("mean", told.mean, "mean of random sequences"),
            ("half", told.half, "half width of the 95 % interval of the mean"),
            ("count", told.count, "random sequences that have it"),
        ):
            variables[f"{name}_{key}"] = Variable(("variant", "layer"), numbers, f"{what}: {MEASURES[name]}")
    return variables
