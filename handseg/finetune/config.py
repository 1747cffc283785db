"""Run configurations: dataclasses that are read from YAML and refuse keys they do not know."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

T = TypeVar("T")


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build the dataclass `cls` from nested mappings; `where` names their source in errors."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} must be a mapping, got {values!r:.80}")
    hints = get_type_hints(cls)
    known = {item.name for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := set(values) - known:
        raise ValueError(
            f"{where}: unknown keys {', '.join(sorted(unknown))}; known are "
            f"{', '.join(sorted(known))}"
        )
    arguments = {
        name: from_mapping(hints[name], value, f"{where}: {name}")
        if dataclasses.is_dataclass(hints[name])
        else value
        for name, value in values.items()
    }
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def load_yaml(cls: type[T], path: str | Path, overrides: Mapping[str, Any] | None = None) -> T:
    """Read `cls` from a YAML file; `overrides` replace top-level keys.

    Raises ValueError for a missing file, broken YAML, unknown keys or bad values.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no configuration at {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    return from_mapping(cls, {**(values or {}), **(overrides or {})}, str(path))


def save_yaml(config: Any, path: str | Path) -> None:
    """Write a dataclass as YAML that `load_yaml` reads back to an equal one."""
    Path(path).write_text(yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
