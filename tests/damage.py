"""What may happen to the file of a solution: edits of its structure, and contents that contradict themselves.

Each comes with a word that the message about it must say. A file that is sealed again after an edit has the
right checksum, so that only what it holds can give it away.
"""

from dataclasses import replace

import h5py
import numpy as np

from meanfield_pde import integrity
from meanfield_pde.records import SOLUTION, Record, Variable, read

__all__ = ["CONTENTS", "EDITS", "at", "edit", "has", "last", "rewrite", "silent", "without"]


def edit(path, change, *, sealed):
    """Change the open file by ``change``; sealed again it has the checksum of what it holds now."""
    with h5py.File(path, "r+") as file:
        change(file)
    if sealed:
        integrity.seal(path)


def rewrite(path, change):
    """Save the record that ``change`` makes of the one in the file, as a caller of the package could."""
    change(read(path)).save(path, overwrite=True)


def put(name, data):
    def change(file):
        del file[name]
        file[name] = data
        file[name].attrs.update({"long_name": name, "units": "1"})

    return change


def drop(name):
    return lambda file: file.__delitem__(name)


def mark(key, value, name="/"):
    return lambda file: file[name].attrs.__setitem__(key, value)


def unmark(key, name="/"):
    return lambda file: file[name].attrs.__delitem__(key)


def detach(file):
    file["density"].dims[0].detach_scale(file["time"])


def swap_scale(file):
    file["marginal"].dims[0].detach_scale(file["time"])
    file["marginal"].dims[0].attach_scale(file["aux"])


def claim_a_size(file):
    file.create_dataset("x", (2**50,), "f8", chunks=(8,))[0] = 1


#: Edits of the structure: what h5py can do to an open file.
EDITS = {
    "no dataset": (drop("density"), "density"),
    "no coordinate": (drop("time"), "damaged"),
    "renamed": (lambda file: file.move("marginal", "margin"), "marginal"),
    "renamed scale": (lambda file: file.move("token", "theta"), "token"),
    "another shape": (put("marginal", np.zeros((4, 16))), "scale"),
    "another size": (put("aux_weight", np.zeros(99)), "scale"),
    "no scales": (put("density", np.zeros((3, 4, 16))), "scale"),
    "a scale missing": (detach, "scale"),
    "a scale of another size": (swap_scale, "scale"),
    "a text": (put("order_parameter", "hello"), "order_parameter"),
    "complex numbers": (put("order_parameter", np.zeros(3, complex)), "order_parameter"),
    "a table": (put("order_parameter", np.zeros(3, [("a", "f8")])), "order_parameter"),
    "nothing in it": (put("order_parameter", h5py.Empty("f8")), "order_parameter"),
    "nan": (lambda file: file["density"].__setitem__((0, 0, 0), np.nan), "density"),
    "infinity": (lambda file: file["density"].__setitem__((-1, 0, 0), np.inf), "density"),
    "nan in the grid": (lambda file: file["token"].__setitem__(0, np.nan), "token"),
    "time backwards": (lambda file: file["time"].__setitem__(0, 99.0), "time"),
    "a group instead": (lambda file: (drop("density")(file), file.create_group("density")), "density"),
    "a loop": (lambda file: file.__setitem__("loop", file["/"]), "nested"),
    "a link": (lambda file: file.__setitem__("x", h5py.SoftLink("/nowhere")), "link"),
    "a file elsewhere": (lambda file: file.__setitem__("x", h5py.ExternalLink("b.h5", "/x")), "link"),
    "a type": (lambda file: file.__setitem__("x", np.dtype("f8")), "neither"),
    "never written": (lambda file: file.create_dataset("x", (10**6,), "f8"), "never written"),
    "larger than any computer": (claim_a_size, "GiB"),
    "another program": (unmark("meanfield_pde_version"), "meanfield_pde_version"),
    "no units": (unmark("units", "token"), "units"),
    "no long name": (unmark("long_name", "density"), "long_name"),
    "units are a number": (mark("units", 3.0, "token"), "units"),
    "an array as attribute": (mark("x", np.zeros(3)), "attribute"),
    "a number instead of a text": (mark("title", 3.0), "title"),
    "a text instead of a number": (mark("period", "2π"), "period"),
    "a strange name": (lambda file: file.__setitem__("a b", 1.0), "a b"),
}


def has(**arrays):
    """Contents with other numbers: an array, or what makes one of the old."""

    def change(record):
        values = {name: f(record[name]) if callable(f) else f for name, f in arrays.items()}
        variables = {name: replace(record.variables[name], values=v) for name, v in values.items()}
        return replace(record, variables={**record.variables, **variables})

    return change


def at(index, value):
    """Change one number of an array."""

    def change(values):
        changed = values.copy()
        changed.reshape(-1)[index] = value
        return changed

    return change


def without(name):
    return lambda record: replace(record, variables={k: v for k, v in record.variables.items() if k != name})


def says(**attributes):
    return lambda record: replace(record, attributes={**record.attributes, **attributes})


def silent(name):
    return lambda record: replace(
        record, attributes={k: v for k, v in record.attributes.items() if k != name}
    )


def renamed(old, new):
    """Another name for a dimension and its coordinate."""

    def change(record):
        return replace(
            record,
            variables={
                new if name == old else name: replace(v, dims=[new if d == old else d for d in v.dims])
                for name, v in record.variables.items()
            },
        )

    return change


def turned(name):
    """Swap the first and last axis of a variable."""

    def change(record):
        v = record.variables[name]
        other = Variable(v.dims[::-1], v.values.T, v.long_name, v.units)
        return replace(record, variables={**record.variables, name: other})

    return change


def cut(dimension, size):
    """Keep the first numbers along a dimension."""

    def change(record):
        def piece(v):
            where = tuple(slice(size if d == dimension else None) for d in v.dims)
            return replace(v, values=v.values[where])

        return replace(record, variables={name: piece(v) for name, v in record.variables.items()})

    return change


def last(size, depth=None):
    """Keep the density of so many states under their own dimension."""

    def change(record):
        kept = Variable(("state", "aux", "token"), record["density"][-size:], "density", "1/rad")
        states = Variable(("state",), record["time"][-size:] if depth is None else [depth], "depth")
        return Record({**record.variables, "density": kept, "state": states}, record.attributes)

    return change


_FINITE = ("time", "aux", "token", "aux_weight", "token_weight", "density", "marginal", "mass_error")
_FINITE += ("minimum", "order_parameter", "conditional_concentration", "conditional_length", "encoding")

#: Contents that no solution has.
CONTENTS = {
    **{f"no {name}": (without(name), name) for name in SOLUTION},
    **{f"no {name}": (silent(name), name) for name in ("title", "configuration", "created", "command")},
    **{f"nan in {name}": (has(**{name: at(-1, np.nan)}), name) for name in _FINITE},
    **{f"no {name} at all": (cut(name, 0), "empty") for name in ("time", "aux", "token")},
    "infinite energy": (has(free_energy=at(0, -np.inf)), "free_energy"),
    "infinite mean": (has(conditional_mean=at(0, np.inf)), "conditional_mean"),
    "energy beyond all axes": (has(interaction_energy=at(0, 1e308)), "interaction_energy"),
    "density of integers": (has(density=lambda values: values.astype(np.int64)), "floating"),
    "truth instead of order": (has(order_parameter=lambda values: values > 0), "floating"),
    "bytes": (has(marginal=lambda values: values.astype(np.uint8)), "floating"),
    "renamed aux": (renamed("aux", "node"), "aux"),
    "renamed token": (renamed("token", "theta"), "token"),
    "density turned": (turned("density"), "density"),
    "marginal turned": (turned("marginal"), "marginal"),
    "means turned": (turned("conditional_mean"), "conditional_mean"),
    "fewer nodes": (cut("aux", 1), "aux_weight"),
    "fewer tokens": (cut("token", 7), "density"),
    "time stands still": (has(time=lambda values: 0 * values), "time"),
    "tokens backwards": (has(token=lambda values: values[::-1]), "token"),
    "short period": (says(period=1.0), "period"),
    "endless period": (says(period=np.inf), "period"),
    "distance in words": (says(w2="far"), "w2"),
    "steps in words": (says(steps="many"), "steps"),
    "resolution not whole": (says(resolution=32.5), "resolution"),
    "version is a number": (says(meanfield_pde_version=3), "meanfield_pde_version"),
    "negative weight": (has(aux_weight=at(0, -0.1)), "aux_weight"),
    "weights doubled": (has(aux_weight=lambda values: 2 * values), "aux_weight"),
    "no quadrature": (has(token_weight=lambda values: 0 * values), "token_weight"),
    "density doubled": (has(density=lambda values: 2 * values), "density"),
    "a wrong density": (has(density=at(5, 3.0)), "density"),
    "a huge density": (has(density=at(5, 1e99)), "density"),
    "a wrong marginal": (has(marginal=at(-1, 0.7)), "marginal"),
    "marginal of another depth": (has(marginal=lambda values: values[::-1]), "marginal"),
    "order above one": (has(order_parameter=at(0, 1.5)), "order_parameter"),
    "order below zero": (has(order_parameter=at(0, -0.5)), "order_parameter"),
    "two last states": (last(2), "one state"),
    "last state of another depth": (last(1, depth=0.125), "state"),
}
