"""Configurations: what TOML files may say, checked once; one clear message for what is wrong."""

from meanfield_pde.config.attention import Attention, Head
from meanfield_pde.config.configuration import Configuration
from meanfield_pde.config.design import Design, Target
from meanfield_pde.config.files import find_file, read_table
from meanfield_pde.config.initial import Initial, MixtureComponent
from meanfield_pde.config.loading import load, loads
from meanfield_pde.config.memory import available_memory, check_memory, estimate_memory
from meanfield_pde.config.overrides import parse_assignments
from meanfield_pde.config.schema import Auxiliary, Drift, Encoding, Noise, Output, Prompt, Solver, Time, Token
from meanfield_pde.config.strength import check_scores
from meanfield_pde.config.tables import (
    AuxiliaryTable,
    auxiliary_table,
    bias_table,
    data_files,
    encoding_table,
    grid_table,
    initial_points,
    initial_table,
    prompt_angles,
    prompt_vectors,
)
from meanfield_pde.config.training import Training, TrainingLoss, TrainingTarget

__all__ = [
    "Attention",
    "Auxiliary",
    "AuxiliaryTable",
    "Configuration",
    "Design",
    "Drift",
    "Encoding",
    "Head",
    "Initial",
    "MixtureComponent",
    "Noise",
    "Output",
    "Prompt",
    "Solver",
    "Target",
    "Time",
    "Token",
    "Training",
    "TrainingLoss",
    "TrainingTarget",
    "auxiliary_table",
    "available_memory",
    "bias_table",
    "check_memory",
    "check_scores",
    "data_files",
    "encoding_table",
    "estimate_memory",
    "find_file",
    "grid_table",
    "initial_points",
    "initial_table",
    "load",
    "loads",
    "parse_assignments",
    "prompt_angles",
    "prompt_vectors",
    "read_table",
]
