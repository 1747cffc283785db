"""Settings: pydantic dataclasses that are read from YAML and refuse keys they do not know.

A class of settings is made by `pydantic.dataclasses.dataclass(frozen=True, config=STRICT)`.
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
"""What is no number is not made one, and a key that no field has is an error."""
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
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "list_type": "a list",
    "literal_error": "one of {expected}",
    "missing": "given",
    "multiple_of": "a multiple of {multiple_of:g}",
    "string_type": "text",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
}
"""By pydantic's type of an error: how a value must be."""


class _Loader(yaml.SafeLoader):
    """Takes 1e-3 for a number, as YAML 1.2 does and PyYAML does not."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build the settings `cls` from nested mappings, as YAML gives them.

    Raises:
        ValueError: if keys are unknown or missing, or values do not fit: one line that begins with
            `where`, the source of the values.
    """
    try:
        return TypeAdapter(cls).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise ValueError(f"{where}{_describe(cls, error)}") from error


def _describe(cls: Any, error: ValidationError) -> str:
    """The first thing that is wrong, by its key; all unknown keys of one mapping are told."""
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
    """What a value must be and what came, of one of the errors that pydantic lists."""
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
    """Nested mappings with `assignments` made, in which a dotted key names a nested one."""
    result = dict(values)
    for key, value in assignments.items():
        first, dot, rest = key.partition(".")
        inner = result.get(first)
        result[first] = (
            assign(inner if isinstance(inner, dict) else {}, {rest: value}) if dot else value
        )
    return result


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """What "key=value" says, the value being YAML. Raises ValueError for text of another form."""
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
    """The mapping in a YAML file.

    Raises ValueError for a missing file, broken YAML or something else than a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no configuration at {path}")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
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
    """Write settings as YAML that `load_yaml` reads back to equal ones."""
    with write_atomic(path) as temporary:
        temporary.write_text(yaml.safe_dump(to_mapping(config), sort_keys=False), encoding="utf-8")


def to_mapping(config: Any) -> dict[str, Any]:
    """Settings as nested mappings of plain values, fit for YAML and JSON."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")
