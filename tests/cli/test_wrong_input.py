"""Whatever is wrong with the input: exit status 2, one line that says where and what, nothing written."""

import os
import subprocess
import sys

import numpy as np
import pytest

VALID = """
title = "A valid configuration"
[token]
resolution = 32
[auxiliary]
kind = "uniform"
nodes = 4
[encoding]
kind = "additive"
shape = "ring"
amplitude = 0.5
[attention]
beta = 4.0
[time]
final = 1.0
save = 3
"""

MINIMAL = "[attention]\nbeta = 1.0\n[time]\nfinal = 1.0\n"

# What is appended to the minimal configuration, and what the message must say: place, what is allowed, value.
APPENDED = {
    "unknown table": ("[atention]\nbeta = 1.0", ["atention", 'did you mean "attention"']),
    "unknown table, nothing near": ("[zzz]\na = 1", ["zzz", "unknown", "known:", "attention"]),
    "unknown key": ("[solver]\nrtoll = 1e-6", ["[solver] rtoll", 'did you mean "rtol"']),
    "key of another table": ("[noise]\nbeta = 1.0", ["[noise] beta", "belongs in [attention]"]),
    "unknown key of a component": (
        '[initial]\nkind = "mixture"\ncomponents = [{ centre = 1.0, concentration = 2.0 }]',
        ["[initial] components[0].centre", 'did you mean "center"'],
    ),
    "table given as a number": ("noise = 1", ["noise", "must be a table", "got 1"]),
    "title is a number": ("title = 3", ["title", "must be a text", "got 3"]),
    "title with control characters": ('title = "a\\u0000b"', ["title", "control characters"]),
    "space that nobody knows": ('[token]\nspace = "disk"', ["[token] space", '"circle"', 'got "disk"']),
    "dimension of a circle": ("[token]\ndimension = 5", ["[token] dimension", "has no effect", "circle"]),
    "dimension of a torus": (
        '[token]\nspace = "torus"\ndimension = 3',
        ["[token] dimension", "1 or 2", "got 3"],
    ),
    "dimension of a point": (
        '[token]\nspace = "zonal"\ndimension = 1',
        ["[token] dimension", ">= 2", "got 1"],
    ),
    "densities beyond the sphere": ('[token]\nspace = "sphere"\ndimension = 8', ["[initial] kind", "points"]),
    "rotary on a zonal sphere": (
        '[token]\nspace = "zonal"\n[encoding]\nkind = "rotary"\nfrequency = 1.0',
        ["[encoding] kind", "axis", '"rotary"'],
    ),
    "ring on a zonal sphere": (
        '[token]\nspace = "zonal"\n[encoding]\nkind = "additive"\nshape = "ring"',
        ["[encoding] shape", "axis", '"ring"'],
    ),
    "frequencies of other planes": (
        '[token]\nspace = "torus"\n[encoding]\nkind = "rotary"\nfrequency = [1.0, 2.0, 3.0]',
        ["[encoding] frequency", "2", "[1.0, 2.0, 3.0]"],
    ),
    "centre that is no unit vector": (
        '[token]\nspace = "sphere"\n[initial]\nkind = "vonmises"\nconcentration = 1\ncenter = [1.0, 1.0, 0]',
        ["[initial] center", "length 1", "[1.0, 1.0, 0.0]"],
    ),
    "centre with too few components": (
        '[token]\nspace = "sphere"\n[initial]\nkind = "vonmises"\nconcentration = 1.0\ncenter = [1.0, 0.0]',
        ["[initial] center", "3 components", "[1.0, 0.0]"],
    ),
    "prompt angles on a sphere": (
        '[token]\nspace = "sphere"\n[prompt]\nangles = [0.0]\nfraction = 0.1',
        ["[prompt] angles", "points", "[0.0]"],
    ),
    "finite volumes on a sphere": (
        '[token]\nspace = "sphere"\n[solver]\nmethod = "finite-volume"',
        ["[solver] method", "line", '"finite-volume"'],
    ),
    "resolution too small": ("[token]\nresolution = 2", ["[token] resolution", ">= 8", "got 2"]),
    "resolution not an integer": (
        "[token]\nresolution = 64.0",
        ["[token] resolution", "an integer", "got 64.0"],
    ),
    "resolution a truth value": ("[token]\nresolution = true", ["[token] resolution", "got true"]),
    "resolution beyond all bounds": (
        "[token]\nresolution = 10000000000",
        ["[token] resolution", "got 10000000000"],
    ),
    "nodes missing": ('[auxiliary]\nkind = "uniform"', ["[auxiliary] nodes", "required", "uniform"]),
    "nodes zero": ('[auxiliary]\nkind = "uniform"\nnodes = 0', ["[auxiliary] nodes", ">= 1", "got 0"]),
    "nodes without effect": ("[auxiliary]\nnodes = 5", ["[auxiliary] nodes", "no effect", "got 5"]),
    "auxiliary kind": ('[auxiliary]\nkind = "gauss"', ["[auxiliary] kind", "legendre", 'got "gauss"']),
    "auxiliary file without effect": (
        '[auxiliary]\nkind = "uniform"\nnodes = 2\nfile = "x.h5"',
        ["[auxiliary] file", "no effect", '"x.h5"'],
    ),
    "auxiliary table without file": ('[auxiliary]\nkind = "table"', ["[auxiliary] file", "required"]),
    "too many nodes": (
        '[auxiliary]\nkind = "uniform"\nnodes = 1000000000',
        ["[auxiliary] nodes", "GiB", "available", "lower auxiliary.nodes"],
    ),
    "too many states": ("[time.x]", ["[time] x", "unknown key"]),
    "encoding kind": ('[encoding]\nkind = "rope"', ["[encoding] kind", "rotary", 'got "rope"']),
    "encoding shape": (
        '[encoding]\nkind = "additive"\nshape = "spiral"',
        ["[encoding] shape", "sinusoidal", 'got "spiral"'],
    ),
    "encoding without kind": (
        "[encoding]\namplitude = 0.5",
        ["[encoding] amplitude", "no effect", "got 0.5"],
    ),
    "rotary without frequency": (
        '[encoding]\nkind = "rotary"',
        ["[encoding] frequency", "required", "rotary"],
    ),
    "rotary with amplitude": (
        '[encoding]\nkind = "rotary"\nfrequency = 1.0\namplitude = 2.0',
        ["[encoding] amplitude", "no effect", "rotary", "got 2.0"],
    ),
    "additive with frequency": (
        '[encoding]\nkind = "additive"\nfrequency = 2.0',
        ["[encoding] frequency", "no effect", "additive"],
    ),
    "components without a table": (
        '[encoding]\nkind = "additive"\ncomponents = [0, 1]',
        ["[encoding] components", "no effect", "ring"],
    ),
    "components repeated": (
        '[encoding]\nkind = "additive"\nshape = "table"\nfile = "x.h5"\ncomponents = [1, 1]',
        ["[encoding] components", "different", "[1, 1]"],
    ),
    "corruption negative": (
        '[encoding]\nkind = "additive"\ncorruption = -0.1',
        ["[encoding] corruption", ">= 0", "got -0.1"],
    ),
    "seed negative": ('[encoding]\nkind = "additive"\nseed = -1', ["[encoding] seed", ">= 0", "got -1"]),
    "amplitude infinite": (
        '[encoding]\nkind = "additive"\namplitude = inf',
        ["[encoding] amplitude", "finite", "inf"],
    ),
    "encoding file missing": (
        '[encoding]\nkind = "additive"\nshape = "table"\nfile = "nowhere.h5"\ndataset = "p"',
        ["[encoding] file", "no such file", '"nowhere.h5"'],
    ),
    "shipped file misspelt": (
        '[encoding]\nkind = "additive"\nshape = "table"\nfile = "minilm-l6-v2-position.h5"',
        ["[encoding] file", 'did you mean the shipped file "minilm-l6-v2-positions.h5"'],
    ),
    "file name empty": (
        '[encoding]\nkind = "additive"\nshape = "table"\nfile = ""',
        ["[encoding] file", "non-empty", 'got ""'],
    ),
    "prompt without fraction": ("[prompt]\nangles = [0.0]", ["[prompt] fraction", "required"]),
    "prompt without angles": ("[prompt]\nfraction = 0.2", ["[prompt] angles", "required"]),
    "prompt without an angle": (
        "[prompt]\nangles = []\nfraction = 0.2",
        ["[prompt] angles", "at least one", "got []"],
    ),
    "prompt fraction one": (
        "[prompt]\nangles = [0.0]\nfraction = 1.0",
        ["[prompt] fraction", "< 1", "got 1.0"],
    ),
    "prompt weights of another number": (
        "[prompt]\nangles = [0.0, 1.0]\nweights = [1.0]\nfraction = 0.1",
        ["[prompt] weights", "one entry per angle", "[1.0]"],
    ),
    "prompt weight zero": (
        "[prompt]\nangles = [0.0]\nweights = [0.0]\nfraction = 0.1",
        ["[prompt] weights[0]", "> 0", "got 0.0"],
    ),
    "prompt both shared and per node": (
        '[prompt]\nangles = [0.0]\nper_node = "x.h5"\nfraction = 0.1',
        ["[prompt] angles", "per_node"],
    ),
    "prompt points on a circle": (
        "[prompt]\npoints = [[1.0, 0.0]]\nfraction = 0.1",
        ["[prompt] points", "angles", "[[1.0, 0.0]]"],
    ),
    "drift of a perceptron with a degree": (
        '[drift]\nfeatures = "perceptron"\ndegree = 1\nparameters = [1.0, 1.0, 1.0]',
        ["[drift] degree", "no effect", '"perceptron"'],
    ),
    "drift of a perceptron with too few parameters": (
        '[drift]\nfeatures = "perceptron"\nwidth = 3\nparameters = [1.0, 1.0, 1.0]',
        ["[drift] parameters", "= 6 entries", "2 times 3"],
    ),
    "drift with too few parameters": (
        "[drift]\ndegree = 2\nparameters = [1.0, 1.0]",
        ["[drift] parameters", "= 5 entries", "[1.0, 1.0]"],
    ),
    "drift over depth": (
        "[drift]\ndegree = 0\nparameters = [[1.0], [2.0]]",
        ["[drift] parameters", "not available yet", "[[1.0], [2.0]]"],
    ),
    "noise negative": ("[noise]\nsigma = -0.1", ["[noise] sigma", ">= 0", "got -0.1"]),
    "noise not a number": ("[noise]\nsigma = nan", ["[noise] sigma", "finite", "got nan"]),
    "noise a text": ('[noise]\nsigma = "much"', ["[noise] sigma", "number", 'got "much"']),
    "noise a truth value": ("[noise]\nsigma = true", ["[noise] sigma", "number", "got true"]),
    "noise a date": ("[noise]\nsigma = 1979-05-27", ["[noise] sigma", "number", "1979-05-27"]),
    "fourier without modes": ('[initial]\nkind = "fourier"', ["[initial] modes", "required", "fourier"]),
    "fourier negative": (
        '[initial]\nkind = "fourier"\nmodes = [[1, 1.5, 0.0]]',
        ["[initial] modes", "nowhere negative", "-0.5"],
    ),
    "fourier mode zero": (
        '[initial]\nkind = "fourier"\nmodes = [[0, 0.1, 0.0]]',
        ["[initial] modes[0]", "m >= 1", "[0, 0.1, 0.0]"],
    ),
    "fourier mode incomplete": (
        '[initial]\nkind = "fourier"\nmodes = [[1, 0.1]]',
        ["[initial] modes[0]", "row [m, a, phi]", "[1, 0.1]"],
    ),
    "fourier mode beyond the grid": (
        '[initial]\nkind = "fourier"\nmodes = [[5000, 0.1, 0.0]]',
        ["[initial] modes", "max_resolution", "5000"],
    ),
    "vonmises without concentration": (
        '[initial]\nkind = "vonmises"',
        ["[initial] concentration", "required"],
    ),
    "vonmises with modes": (
        '[initial]\nkind = "vonmises"\nconcentration = 1.0\nmodes = [[1, 0.1, 0.0]]',
        ["[initial] modes", "no effect", "vonmises"],
    ),
    "mixture of nothing": (
        '[initial]\nkind = "mixture"\ncomponents = []',
        ["[initial] components", "at least one"],
    ),
    "mixture weight negative": (
        '[initial]\nkind = "mixture"\ncomponents = [{ concentration = 1.0, weight = -1.0 }]',
        ["[initial] components[0].weight", "> 0", "got -1.0"],
    ),
    "initial kind": ('[initial]\nkind = "gaussian"', ["[initial] kind", "vonmises", '"gaussian"']),
    "perturbation negative": (
        "[initial]\nperturbation = -1e-3",
        ["[initial] perturbation", ">= 0", "-0.001"],
    ),
    "method unknown": (
        '[solver]\nmethod = "finite-volumes"',
        ["[solver] method", '"characteristics"', '"finite-volumes"'],
    ),
    "tolerance zero": ("[solver]\nrtol = 0", ["[solver] rtol", ">= 1e-14", "got 0"]),
    "tolerance negative": ("[solver]\natol = -1e-9", ["[solver] atol", ">= 1e-14", "got -1e-09"]),
    "finest grid below the first": (
        "[solver]\nmax_resolution = 64",
        ["[solver] max_resolution", "token.resolution = 128", "got 64"],
    ),
    "output density": ('[output]\ndensity = "some"', ["[output] density", '"last"', 'got "some"']),
    "training for nothing": ("[noise]\nsigma = 1\n[training]\ndegree = 3", ["[training]", "loss", "missing"]),
    "training without noise": (
        '[training]\ndegree = 3\n[training.loss]\nkind = "linear"\nmodes = [[1, 1.0, 0.0]]',
        ["[noise] sigma", "> 0", "training"],
    ),
    "training without a degree": (
        '[noise]\nsigma = 1\n[training]\nloss = { kind = "linear", modes = [[1, 1.0, 0.0]] }',
        ["[training] degree", "required", "harmonics"],
    ),
    "training towards nothing": (
        '[noise]\nsigma = 1\n[training]\ndegree = 3\nloss = { kind = "kl" }',
        ["[training] loss.target", "required"],
    ),
    "training towards no density": (
        (
            "[noise]\nsigma = 1\n[training]\ndegree = 3\n"
            '[training.loss]\ntarget = { kind = "vonmises", concentration = -1 }'
        ),
        ["concentration", ">= 0"],
    ),
    "design of nothing": ("[design]\nx = 1", ["[design]", "x", "unknown key"]),
    "syntax": ("[noise\nsigma = 1", ["not valid TOML", "line"]),
    "key twice": ("[noise]\nsigma = 1\nsigma = 2", ["not valid TOML", "line"]),
    "integer of too many digits": (f"[noise]\nsigma = {'9' * 5000}", ["not valid TOML", "digits"]),
    "integer beyond floats": (f"[noise]\nsigma = {'9' * 400}", ["[noise] sigma", "finite"]),
    "values nested too deeply": (f"x = {'[' * 100000}", ["nested too deeply"]),
}

# What replaces the whole minimal configuration.
REPLACED = {
    "nothing": ("", ["attention", "required", "1 more problem"]),
    "no beta": ("[attention]\n[time]\nfinal = 1.0", ["[attention] beta", "required"]),
    "no final": ("[attention]\nbeta = 1.0\n[time]", ["[time] final", "required"]),
    "no time": ("[attention]\nbeta = 1.0", ["time", "required"]),
    "misspelt required key": (
        "[attention]\nbetta = 1.0\n[time]\nfinal = 1.0",
        ["[attention] betta", '"beta"'],
    ),
    "stop is no number": (f"{MINIMAL}stop = 1e-3", ["[time] stop", '"steady"', "got 0.001"]),
    "tolerance without effect": (f"{MINIMAL}tolerance = 1e-3", ["[time] tolerance", 'stop = "final"']),
    "final zero": (MINIMAL.replace("final = 1.0", "final = 0"), ["[time] final", "> 0", "got 0"]),
    "one state": (f"{MINIMAL}save = 1", ["[time] save", ">= 2", "got 1"]),
    "states a fraction": (f"{MINIMAL}save = 2.5", ["[time] save", "integer", "got 2.5"]),
    "depths do not increase": (f"{MINIMAL}save = [0.0, 0.7, 0.3, 1.0]", ["[time] save", "increase", "0.7"]),
    "depths do not start at zero": (f"{MINIMAL}save = [0.5, 1.0]", ["[time] save", "from 0", "[0.5, 1.0]"]),
    "depths do not end at final": (f"{MINIMAL}save = [0, 2]", ["[time] save", "final = 1", "[0.0, 2.0]"]),
    "depths of texts": (f'{MINIMAL}save = ["a", "b"]', ["[time] save", "list of depths", '["a", "b"]']),
    "states that fill the memory": (f"{MINIMAL}save = 100000000000", ["[time] save", "GiB", "lower"]),
    "beta negative": (
        "[attention]\nbeta = -1.0\n[time]\nfinal = 1.0",
        ["[attention] beta", ">= 0", "got -1.0"],
    ),
    "beta beyond every grid": (
        "[attention]\nbeta = 1e7\n[time]\nfinal = 1.0",
        ["[attention] beta", "max_resolution", "got 1e+07"],
    ),
    "beta beyond all bounds": (
        "[attention]\nbeta = 1e300\n[time]\nfinal = 1.0",
        ["[attention] beta", "at most 1e+09", "got 1e+300"],
    ),
    "normalization": (
        '[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nnormalization = "sum"',
        ["[attention] normalization", '"softmax" | "none"', 'got "sum"'],
    ),
    "values": (
        '[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nvalues = "x"',
        ["[attention] values", 'got "x"'],
    ),
    "bias": (
        '[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nbias = "rope"',
        ["[attention] bias", 'got "rope"'],
    ),
    "window without width": (
        '[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nbias = "window"',
        ["[attention] width", "required", "window"],
    ),
    "width without window": (
        "[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nwidth = 0.1",
        ["[attention] width", "no effect", "got 0.1"],
    ),
    "slope negative": (
        '[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nbias = "alibi"\nslope = -2.0',
        ["[attention] slope", ">= 0", "got -2.0"],
    ),
    "bias table without file": (
        '[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nbias = "table"',
        ["[attention] file", "required"],
    ),
    "matrix of another size": (
        "[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nquery = [[1.0]]",
        ["[attention] query", "2 x 2", "[[1.0]]"],
    ),
    "matrix that is ragged": (
        "[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nvalue = [[1.0, 0.0], [1.0]]",
        ["[attention] value", "2 x 2", "[1.0]]"],
    ),
    "matrix of texts": (
        '[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nkey = [["a", 0.0], [0.0, 1.0]]',
        ["[attention] key[0][0]", "finite number", 'got "a"'],
    ),
    "head with an unknown key": (
        "[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\n[[attention.heads]]\nbetta = 2.0",
        ["[attention] heads[0].betta", 'did you mean "beta"'],
    ),
    "head without beta": (
        "[time]\nfinal = 1.0\n[[attention.heads]]\nbeta = 2.0\n[[attention.heads]]\n",
        ["[attention] heads[1].beta", "required"],
    ),
    "head with a foreign parameter": (
        (
            "[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\n"
            '[[attention.heads]]\nbias = "alibi"\nslope = 1.0\nwidth = 2.0'
        ),
        ["[attention] heads[0].width", "no effect", "alibi", "got 2.0"],
    ),
    "heads that are no list": (
        "[time]\nfinal = 1.0\n[attention]\nbeta = 1.0\nheads = 3",
        ["[attention] heads", "list of tables", "got 3"],
    ),
}


def refused(outcome, folder, before, words):
    """One line on standard error that says all words; the folder is as it was."""
    assert outcome.status == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("meanfield-pde: ")
    for word in words:
        assert word in outcome.err
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(("text", "words"), APPENDED.values(), ids=APPENDED)
def test_wrong_part_of_a_configuration(run, folder, text, words):
    root, _, tables = text.partition("[") if not text.startswith("x =") else (text, "", "")
    (folder / "case.toml").write_text(f"{root}\n{MINIMAL}\n{'[' if tables else ''}{tables}")
    before = sorted(folder.iterdir())
    refused(run("solve", "case.toml", "-o", "out.h5"), folder, before, ["case.toml", *words])


@pytest.mark.parametrize(("text", "words"), REPLACED.values(), ids=REPLACED)
def test_wrong_configuration(run, folder, text, words):
    (folder / "case.toml").write_text(text)
    before = sorted(folder.iterdir())
    refused(run("solve", "case.toml", "-o", "out.h5"), folder, before, ["case.toml", *words])


SETTINGS = {
    "no equals sign": ("solver.rtol", ["--set", "table.key=value", '"solver.rtol"']),
    "no value": ("solver.rtol=", ["--set", "table.key=value"]),
    "no name": ("=3", ["--set", "table.key=value"]),
    "empty part": ("solver..rtol=3", ["--set", "table.key=value"]),
    "unknown key": ("solver.rtoll=1e-6", ["[solver] rtoll (overridden)", 'did you mean "rtol"']),
    "unknown table": ("solve.rtol=1e-6", ["solve (overridden)", 'did you mean "solver"']),
    "wrong value": ("attention.beta=-1", ["[attention] beta (overridden)", ">= 0", "got -1"]),
    "bare word for a number": ("attention.beta=high", ["[attention] beta (overridden)", 'got "high"']),
    "broken list": ("prompt.angles=[1,", ["[prompt] angles (overridden)", 'got "[1,"']),
    "number that is not finite": ("noise.sigma=nan", ["[noise] sigma (overridden)", "got nan"]),
    "below a value": ("title.x=1", ["title.x", "title is not a table"]),
    "table replaced": ("noise=0.1", ["noise (overridden)", "must be a table", "got 0.1"]),
    "no such head": ("attention.heads.3.beta=1", ["[attention] heads (overridden)", "list of tables"]),
    "value with another line": ("noise.sigma=1\nx=2", ["[noise] sigma (overridden)"]),
    "key of the new kind missing": ("encoding.kind=rotary", ["[encoding] frequency", "required"]),
    "key of the old kind": ("encoding.frequency=3", ["[encoding] frequency (overridden)", "no effect"]),
}


@pytest.mark.parametrize(("setting", "words"), SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("command", [["validate"], ["solve", "-o", "out.h5"]], ids=["validate", "solve"])
def test_wrong_setting(run, folder, command, setting, words):
    (folder / "case.toml").write_text(VALID)
    before = sorted(folder.iterdir())
    refused(run(*command, "case.toml", "--set", setting), folder, before, words)


FLAGS = {
    "no configuration": (["solve", "-o", "out.h5"], ["CONFIG"]),
    "no output": (["solve", "case.toml"], ["-o"]),
    "unknown flag": (["solve", "case.toml", "-o", "out.h5", "--fast"], ["--fast"]),
    "threads zero": (["solve", "case.toml", "-o", "out.h5", "--threads", "0"], ["--threads", "got 0"]),
    "threads a word": (["solve", "case.toml", "-o", "out.h5", "--threads", "all"], ["--threads"]),
    "too many threads": (
        ["solve", "case.toml", "-o", "out.h5", "--threads", "99999"],
        ["--threads", "got 99999"],
    ),
    "unknown command": (["slove", "case.toml"], ["slove", "did you mean solve"]),
    "unknown command, nothing near": (["xyz"], ["xyz", "validate"]),
    "configuration not there": (["solve", "cas.toml", "-o", "out.h5"], ["cas.toml", "no such file"]),
    "configuration shipped": (["solve", "starter.toml", "-o", "out.h5"], ["starter.toml", "init starter"]),
    "configuration shipped, misspelt": (["solve", "startr", "-o", "out.h5"], ["startr", '"starter"']),
    "configuration is a folder": (["validate", "."], [".", "is a folder"]),
    "configuration is binary": (["validate", "binary.toml"], ["binary.toml", "UTF-8"]),
    "output exists": (["solve", "case.toml", "-o", "exists.h5"], ["exists.h5", "--overwrite"]),
    "output is a folder": (["solve", "case.toml", "-o", ".", "--overwrite"], [".", "folder"]),
    "folder of the output missing": (
        ["solve", "case.toml", "-o", "no/out.h5"],
        ["no/out.h5", "does not exist"],
    ),
    "output is the configuration": (
        ["solve", "case.toml", "-o", "case.toml", "--overwrite"],
        ["case.toml", "is an input"],
    ),
    "output is a data file": (
        ["solve", "table.toml", "-o", "table.csv", "--overwrite"],
        ["table.csv", "is an input"],
    ),
    "info of nothing": (["info", "out.h5"], ["out.h5"]),
    "info of a text": (["info", "case.toml"], ["case.toml"]),
    "plot of nothing": (["plot", "out.h5"], ["out.h5"]),
    "plot without a file": (["plot"], ["OUT.h5"]),
    "plot into another format": (["plot", "exists.h5", "-o", "x.gif"], ["x.gif", ".png"]),
    "plot over a figure": (["plot", "exists.h5", "-o", "figure.png"], ["figure.png", "--overwrite"]),
    "compare nothing": (["compare", "out.h5"], ["out.h5"]),
    "compare a damaged file": (["compare", "exists.h5", "limit.h5"], ["exists.h5", "HDF5"]),
    "init unknown": (["init", "startr"], ["startr", 'did you mean "starter"']),
    "init into another folder": (["init", "../starter"], ["../starter", "starter"]),
    "train nothing": (["train", "case.toml", "-o", "out.h5"], ["[training]", "required", "missing"]),
    "sweep over nothing": (["sweep", "case.toml", "-o", "out.h5"], ["--over"]),
}


@pytest.fixture
def workshop(folder):
    """Files of every sort."""
    (folder / "case.toml").write_text(VALID)
    (folder / "table.toml").write_text(
        MINIMAL + '[auxiliary]\nkind = "table"\nfile = "table.csv"\n'
        '[encoding]\nkind = "additive"\nshape = "table"\nfile = "table.csv"\n'
    )
    np.savetxt(folder / "table.csv", np.eye(2), delimiter=",")
    (folder / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (folder / "exists.h5").write_bytes(b"precious")
    (folder / "figure.png").write_bytes(b"precious")
    return folder


@pytest.mark.parametrize(("arguments", "words"), FLAGS.values(), ids=FLAGS)
def test_wrong_flag_or_file(run, workshop, arguments, words):
    before = sorted(workshop.iterdir())
    contents = [path.read_bytes() for path in before]
    refused(run(*arguments), workshop, before, words)
    assert [path.read_bytes() for path in before] == contents


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_folder_without_permission(run, workshop):
    closed = workshop / "closed"
    closed.mkdir(mode=0o500)
    before = sorted(workshop.iterdir())
    refused(
        run("solve", "case.toml", "-o", "closed/out.h5"), workshop, before, ["closed/out.h5", "permission"]
    )


def test_init_does_not_overwrite(run, folder):
    (folder / "starter.toml").write_text("mine")
    refused(run("init"), folder, [folder / "starter.toml"], ["starter.toml", "--overwrite"])
    assert (folder / "starter.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["solve", "case.toml", "-o", "out.h5", "--set", "attention.beta=-1"], "[attention] beta"),
        (["solve", "nowhere.toml", "-o", "out.h5"], "nowhere.toml"),
        (["solve", "case.toml", "-o", "out.h5", "--nonsense"], "--nonsense"),
        (["solve", "case.toml", "-o", "out.h5", "--set", b"title=\xff"], "title"),
    ],
)
def test_program_as_users_start_it(workshop, arguments, word):
    program = [sys.executable, "-c", "import sys; from meanfield_pde.cli import main; sys.exit(main())"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [*program, *arguments], capture_output=True, check=False, cwd=workshop, env=environment
    )
    assert done.returncode == 2
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert word in lines[0]
