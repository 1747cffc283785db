"""Run configurations: dataclasses that are read from YAML and refuse keys they do not know."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from handseg.runtime.files import write_atomic

T = TypeVar("T")


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build the dataclass `cls` from nested mappings; `where` names their source in errors.

    What a nested mapping leaves out is as in the field's default.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} must be a mapping, got {values!r:.80}")
    hints = get_type_hints(cls)
    known = {item.name for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := {str(name) for name in values} - known:
        raise ValueError(
            f"{where}: unknown keys {', '.join(sorted(unknown))}; known are "
            f"{', '.join(sorted(known))}"
        )
    defaults = {
        item.name: dataclasses.asdict(item.default_factory())
        for item in dataclasses.fields(cls)  # type: ignore[arg-type]
        if dataclasses.is_dataclass(hints[item.name])
        and item.default_factory is not dataclasses.MISSING
    }
    arguments = {
        name: _convert(
            hints[name],
            {**defaults[name], **value}
            if name in defaults and isinstance(value, Mapping)
            else value,
            f"{where}: {name}",
        )
        for name, value in values.items()
    }
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value`, as YAML gives it, as the type `hint`; ValueError if it is none."""
    if isinstance(hint, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        (hint,) = (one for one in typing.get_args(hint) if one is not type(None))
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_mapping(hint, value, where)  # type: ignore[arg-type]
    kind: Any = typing.get_origin(hint) or hint
    if kind is float and isinstance(value, int | str) and not isinstance(value, bool):
        # YAML takes 1e-3 for a string.
        try:
            return float(value)
        except ValueError:
            pass
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if kind is Any or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
        return value
    name = {int: "a whole number", float: "a number", bool: "true or false", str: "text",
            dict: "a mapping", list: "a list", tuple: "a list"}.get(kind, str(kind))  # fmt: skip
    raise ValueError(f"{where} must be {name}, got {value!r:.80}")


def assign(values: Mapping[str, Any], assignments: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings with `assignments` made, in which a dotted key names a nested one."""
    result = _plain(values)
    for key, value in assignments.items():
        *path, last = key.split(".")
        place = result
        for name in path:
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        place[last] = value
    return result


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """What "key=value" says, the value being YAML. Raises ValueError for text of another form."""
    assignments = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise ValueError(f"expected key=value, such as lora.rank=16, got {text!r}")
        try:
            assignments[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"the value of {text!r} is not YAML: {error}") from error
    return assignments


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises ValueError for a missing file, broken YAML or something else than a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no configuration at {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be a mapping, got {values!r:.80}")
    return values


def load_yaml(cls: type[T], path: str | Path) -> T:
    """Read `cls` from a YAML file.

    Raises ValueError for a missing file, broken YAML, unknown keys or bad values.
    """
    return from_mapping(cls, read_yaml(path), str(path))


def save_yaml(config: Any, path: str | Path) -> None:
    """Write a dataclass as YAML that `load_yaml` reads back to an equal one."""
    with write_atomic(path) as temporary:
        temporary.write_text(yaml.safe_dump(to_mapping(config), sort_keys=False), encoding="utf-8")


def to_mapping(config: Any) -> dict[str, Any]:
    """A dataclass as nested mappings of plain values, fit for YAML and JSON."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
