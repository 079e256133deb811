"""What all tables of a configuration have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator

from meanfield_pde.config.values import RuleError

__all__ = ["Options", "Table"]

#: Switch key -> its value -> the keys that have an effect for that value only.
Options = Mapping[str, Mapping[str, tuple[str, ...]]]


class Table(BaseModel):
    """One table of the configuration: frozen, unknown keys are errors, keys without effect are errors.

    Notes
    -----
    ``options`` declares which keys depend on a switch such as ``kind``: a key that some value of a switch
    lists has an effect only while the switch has a value that lists it. ``tolerated`` holds the cases
    (switch, value) in which keys without effect may stay, provided that the switch itself is written.
    ``required`` names the keys that must be given wherever they have an effect. ``later`` holds the keys that
    are announced and not available yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    options: ClassVar[Options] = {}
    required: ClassVar[tuple[str, ...]] = ()
    tolerated: ClassVar[frozenset[tuple[str, str]]] = frozenset()
    later: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Keys that have no effect beside ``values``, each with the switch and the value responsible."""
        found: dict[str, tuple[str, str]] = {}
        for switch, cases in cls.options.items():
            state = values.get(switch, cls.model_fields[switch].default)
            if not isinstance(state, str) or state not in cases:
                continue  # the switch itself is wrong: its own error is the one to report
            dependent = {key for keys in cases.values() for key in keys} - set(cases[state])
            found = dict.fromkeys(dependent, (switch, state)) | found
        return found

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Self:
        idle = self.idle(dict(self))
        for key in sorted(self.model_fields_set & idle.keys()):
            switch, state = idle[key]
            stays = (switch, state) in self.tolerated and switch in self.model_fields_set
            if not stays and getattr(self, key) is not None:
                raise RuleError(
                    key,
                    f'has no effect with {switch} = "{state}": remove it, or change {switch}',
                    value=getattr(self, key),
                )
        for key in self.required:
            if key not in idle and getattr(self, key) is None:
                raise RuleError(key, f"is required{self._where_required(key)} and is missing")
        return self

    def _where_required(self, key: str) -> str:
        switches = [
            switch for switch, cases in self.options.items() if any(key in keys for keys in cases.values())
        ]
        return "".join(f' with {switch} = "{getattr(self, switch)}"' for switch in switches[-1:])

    def content(self) -> dict[str, Any]:
        """All keys that have an effect, defaults included; optional keys that are unset are left out."""
        idle = self.idle(dict(self))
        return {
            key: _plain(value) for key, value in self if key not in idle and value is not None and value != ()
        }


def _plain(value: Any) -> Any:
    """Turn tables and tuples into what TOML knows."""
    if isinstance(value, Table):
        return value.content()
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value
