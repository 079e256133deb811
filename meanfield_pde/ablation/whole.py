"""The whole ablation: the mean-field equation, and a trained model where one is installed, in one file."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from meanfield_pde.ablation.model import HOW, PACKAGE
from meanfield_pde.ablation.result import MARKED, MEAN_FIELD, TRAINED, Ablation
from meanfield_pde.ablation.study import Options, Request, study
from meanfield_pde.errors import InputError
from meanfield_pde.files import check_target, remove_leftovers
from meanfield_pde.sweeps.dask_cluster import Farm

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.ablation.trained import TrainedOptions
    from meanfield_pde.records import Record

__all__ = ["LEFT_OUT", "ablate", "has_model"]

#: What the trained model and its reader are imported as.
NEEDED = (PACKAGE, "safetensors", "tokenizers")
#: What is told where they are not.
LEFT_OUT = f"the trained model is left out: {HOW}"
#: Shares of the time that the mean-field equation, the model, and the model between marks take.
SHARES = (0.55, 0.35, 0.1)


def has_model() -> bool:
    """Whether a trained model is installed, with all that reads it."""
    return all(find_spec(name) is not None for name in NEEDED)


def ablate(  # noqa: PLR0913 (one parameter a flag of the command)
    output: str | Path,
    *,
    seeds: int = 4,
    quick: bool = False,
    trained: bool | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Callable[[str, float], None] = lambda *_: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Ablation:
    """Study what removed or corrupted positional encodings do to tokens and attention.

    The calling script needs ``if __name__ == "__main__":``, as with all processes that Python starts anew.

    Parameters
    ----------
    output
        The file to write. Until it is whole, what is finished is kept beside it, for ``resume``.
    seeds
        Of every run.
    quick
        A few small runs, to see what comes out.
    trained
        Whether the layers of a trained model are studied too; by default where it is installed.
    workers, scheduler
        Processes here, by default one a core, or the address of a scheduler of dask.distributed. The trained
        model is run here.
    progress
        Called with what is being done, and the share that is done.
    interrupted
        Asked now and then; when true the study ends.

    Raises
    ------
    InputError
        The file may not be written, what is there is of another study, or the model is not installed.
    ComputationError
        What was found could not be written, or the scheduler was lost.
    KeyboardInterrupt
        When ``interrupted`` says so.
    """
    options, farm = Options(seeds, quick), Farm(workers, 1, scheduler)
    request = Request(Path(output), farm, resume, overwrite, progress, interrupted)
    if trained and not has_model():
        raise InputError(f"--trained: no model is installed: {HOW}")
    remove_leftovers(check_target(output, overwrite=overwrite or resume).parent)
    wanted = has_model() if trained is None else trained
    parts = _parts(request, options) if wanted else {}
    if not resume:
        for name in parts:
            _beside(request.output, name).unlink(missing_ok=True)
    share = SHARES[0] if wanted else 1.0
    first = replace(request, progress=lambda words, done: progress(words, done * share))
    record = study(options, first)
    for number, (name, part) in enumerate(parts.items(), 1):
        if name not in record.groups:
            record = _with(record, name, part, request, number)
    return Ablation(record)


def _parts(request: Request, options: Options) -> dict[str, TrainedOptions]:
    """Studies of the trained model by their groups, each with a file for what it has measured."""
    from meanfield_pde.ablation.trained import TrainedOptions
    from meanfield_pde.ablation.walks import VARIANTS

    whole = TrainedOptions(threads=request.farm.workers)
    if options.quick:
        whole = replace(whole, sequences=2, length=20, passes=2, texts=False, components=2, starts=0)
    few = tuple(one for one in VARIANTS if one.title in {"present", "removed", "added at every pass"})
    marked = replace(whole, marks=True, texts=False, starts=0, variants=few)
    return {
        name: replace(part, file=_beside(request.output, name))
        for name, part in {TRAINED: whole, MARKED: marked}.items()
    }


def _beside(output: Path, name: str) -> Path:
    target = output.resolve()
    return target.with_name(f"{target.name}.{name}")


def _with(record: Record, name: str, part: TrainedOptions, request: Request, number: int) -> Record:
    """Make a study of the trained model, and return the record with it, which is written."""
    from meanfield_pde.ablation.trained import trained_study

    def tell(words: str, done: float) -> None:
        request.progress(f"trained model: {words}", sum(SHARES[:number]) + done * SHARES[number])
        if request.interrupted():
            raise KeyboardInterrupt

    found = trained_study(part, tell)
    limits = dict(zip([MEAN_FIELD], found.groups.values(), strict=False))
    seconds = float(record.attributes["seconds"]) + float(found.attributes["seconds"])
    whole = replace(
        record,
        attributes={**record.attributes, "seconds": seconds},
        groups={**record.groups, name: replace(found, groups={}), **limits},
    )
    whole.save(request.output, overwrite=True)
    _beside(request.output, name).unlink(missing_ok=True)
    return whole
