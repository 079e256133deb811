"""The command design: an encoding, prompts or positions whose limit is a given law."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meanfield_pde.cli.computing import Outcome, carry_out
from meanfield_pde.errors import InputError
from meanfield_pde.files import check_target, replacing

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.report import Report
    from meanfield_pde.designs.result import Design
    from meanfield_pde.problem import Problem

__all__ = ["Designing", "design_rows", "run"]

DESIGNS = {
    "additive": "additive encoding of fixed length",
    "prompt": "one prompt token at each z",
    "rotary": "positions z of a rotary encoding",
}
STARTS = {"initial": "from the initial law", "near": "from near the map", "none": "there was none"}


def run(job: Job, toml: Path | None, report: Report) -> None:
    """Design, save and print; write the configuration besides. The errors are those of `carry_out`."""
    carry_out(job, Designing(job, _checked(toml, job)), report)


def _checked(toml: Path | None, job: Job) -> Path | None:
    """Refuse a file that exists, or has no folder, before anything is computed."""
    if toml is None:
        return None
    target = check_target(toml, overwrite=job.overwrite)
    if target == Path(job.output).resolve():
        raise InputError(f"--toml: must be another file than OUT.h5, got {toml}")
    if Path(job.config).exists() and target == Path(job.config).resolve():
        raise InputError(f"--toml: is an input of the computation; give it another name, got {toml}")
    return toml


@dataclass(frozen=True)
class Designing:
    """What the command computes, and the configuration that it writes besides."""

    job: Job
    toml: Path | None = None

    @property
    def quantity(self) -> str:
        """Quantity whose value the progress shows."""
        return "at"

    @property
    def inputs(self) -> list[Path]:
        """Nothing but the configuration."""
        return []

    def compute(
        self, problem: Problem, threads: int | None, progress: Callable[[str, float], None]
    ) -> Outcome[Design]:
        """Design, and test."""
        from meanfield_pde import api

        try:
            return Outcome(api.design(problem, threads=threads, progress=progress))
        except api.DesignError as error:
            return Outcome(error.design, str(error))

    def tell(self, result: Design, report: Report, title: str) -> None:
        """Print the closing table, and the TOML that uses the design; write it where that was asked for."""
        report.results(result.summary(), design_rows(result), title=title)
        file = self.job.output
        report.say(f"\nTo use it:\n\n{result.toml(file.name, whole=False)}".rstrip())
        if self.toml is not None:
            beside = file.resolve()
            name = beside.name if self.toml.resolve().parent == beside.parent else str(beside)
            with replacing(self.toml, overwrite=self.job.overwrite) as temporary:
                temporary.write_text(result.toml(name), encoding="utf-8")
            report.say(f"\nwritten as a whole to {self.toml}")


def design_rows(design: Design) -> dict[str, Any]:
    """Rows of the closing table; what is not known is left out."""
    values = design.summary()
    rows = {
        "designed": DESIGNS[values["design"]],
        "nodes": values["nodes"],
        "target reached": values["reached"],
        "reason": values["reason"],
        "amplitude |p|": values["amplitude"],
        "least stable amplitude": _least(values),
        "prompt fraction ω": values["fraction"],
        "frequency ω": values["frequency"],
        "W₂ to the target's atoms": values["w2"],
        "W₁ to the target's atoms": values["w1"],
        "W₂ to the target itself": values["w2_continuous"],
        "of which by its atoms": values["quantization"],
        "residual": values["residual"],
        "Newton steps": values["newton_steps"] or ("none: exact" if values["stable"] else None),
        "stable": values["stable"],
        "leading growth rate": values["leading"],
        "initial law turned by": values["turned"] or None,
        "reached up to a rotation by": values["rotation"] or None,
        "forward run": _run(values),
        "W₂ of its end to the atoms": values["verified_w2"],
        "W₂ from the initial law": _elsewhere(values),
        "seconds": values["seconds"],
    }
    return {name: value for name, value in rows.items() if value is not None and value == value}  # noqa: PLR0124 (NaN)


def _least(values: dict[str, Any]) -> str | None:
    if values["least_reason"] is None:
        return None
    known = values["least_amplitude"]
    return values["least_reason"] if known is None else f"{known:.8g}, {values['least_reason']}"


def _run(values: dict[str, Any]) -> str:
    start = STARTS[values["verified_from"]]
    if values["verified_depth"] is None:
        return start
    early = ", stopped early" if values["verified_status"] == "stopped" else ""
    return f"{start}, to depth {values['verified_depth']:.4g}{early}"


def _elsewhere(values: dict[str, Any]) -> str | None:
    """Say where the flow goes from the initial law, when the run that counts began near the map."""
    far = values["verified_w2_initial"]
    return f"{far:.4g}: it goes elsewhere" if values["verified_from"] == "near" and far is not None else None
