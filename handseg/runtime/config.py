"""Settings: pydantic dataclasses that are read from YAML and reject unknown keys.

Make a settings class with `pydantic.dataclasses.dataclass(frozen=True, config=STRICT)`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from handseg.runtime.files import write_atomic

T = TypeVar("T")

STRICT = ConfigDict(extra="forbid", strict=True)
"""Values of other types are not converted to numbers, and unknown keys are errors."""
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dataclass_type": "a mapping",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of few digits",
    "int_type": "a whole number",
    "is_instance_of": "a list",  # Raised for `Sequence`.
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "list_type": "a list",
    "literal_error": "one of {expected}",
    "missing": "given",
    "multiple_of": "a multiple of {multiple_of:g}",
    "sequence_str": "a list",
    "string_type": "text",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
}
"""Expected values by pydantic's error type."""


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, like YAML 1.2 but unlike PyYAML."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build the settings `cls` from nested mappings, as YAML gives them.

    Raises:
        ValueError: if keys are unknown or missing, or values are invalid: one line that begins with
            `where`, the source of the values.
    """
    try:
        return TypeAdapter(cls).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise ValueError(f"{where}{_describe(cls, error)}") from error


def _describe(cls: Any, error: ValidationError) -> str:
    """Describe the first error with its key; for an unknown key, list all unknown ones."""
    errors = error.errors()
    first = errors[0]
    kind, path, context = first["type"], first["loc"], first.get("ctx", {})
    if kind == "unexpected_keyword_argument":
        path = path[:-1]
        unknown = [str(one["loc"][-1]) for one in errors if one["type"] == kind]
        known = sorted(item.name for item in dataclasses.fields(_class_at(cls, path)))
        text = f": unknown keys {', '.join(unknown)}; known are {', '.join(known)}"
        if near := difflib.get_close_matches(unknown[0], known, 1):
            text += f"; did you mean {near[0]}?"
    elif kind == "value_error":
        text = f": {context['error']}"
    else:
        text = f" {expectation(first)}"
    return (f": {'.'.join(map(str, path))}" if path else "") + text


def expectation(error: Mapping[str, Any]) -> str:
    """Expected and actual value of one of pydantic's errors."""
    kind, context = error["type"], error.get("ctx", {})
    known_values = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
    expected = _EXPECTED.get(kind, kind.replace("_", " "))
    text = f"must be {expected.format(**context | {'expected': known_values})}"
    return text if kind == "missing" else f"{text}, got {error['input']!r:.80}"


def _class_at(cls: Any, path: Iterable[int | str]) -> Any:
    """The settings class of the nested mapping at `path`."""
    for name in path:
        hint = typing.get_type_hints(cls)[str(name)]
        cls = next(one for one in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(one))
    return cls


def assign(values: Mapping[str, Any], assignments: Mapping[str, Any]) -> dict[str, Any]:
    """Apply `assignments` to a copy of nested mappings; a dotted key names a nested one."""
    result = dict(values)
    for key, value in assignments.items():
        first, dot, rest = key.partition(".")
        inner = result.get(first)
        result[first] = (
            assign(inner if isinstance(inner, dict) else {}, {rest: value}) if dot else value
        )
    return result


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Parse texts "key=value", with YAML as value. Raise ValueError for any other form."""
    assignments = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise ValueError(f"expected key=value, such as lora.rank=16, got {text!r}")
        try:
            assignments[key.strip()] = yaml.load(value, _Loader)
        except yaml.YAMLError as error:
            raise ValueError(f"the value of {text!r} is not YAML: {error}") from error
    return assignments


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read the mapping in a YAML file.

    Raises:
        ValueError: if the file is missing or cannot be read, or its content is not YAML or not a
            mapping.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError(f"no configuration at {path}")
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be a mapping, got {values!r:.80}")
    return values


def load_yaml(cls: type[T], path: str | Path) -> T:
    """Read `cls` from a YAML file.

    Raises:
        ValueError: if the file is missing or not YAML, or has unknown keys or invalid values.
    """
    return from_mapping(cls, read_yaml(path), str(path))


def save_yaml(config: Any, path: str | Path) -> None:
    """Write settings as YAML, from which `load_yaml` restores them."""
    with write_atomic(path) as temporary:
        temporary.write_text(yaml.safe_dump(to_mapping(config), sort_keys=False), encoding="utf-8")


def to_mapping(config: Any) -> dict[str, Any]:
    """Convert settings to nested mappings of plain values, for YAML and JSON."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")
