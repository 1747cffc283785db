"""Groups of photos that a split must keep together, such as those of a person or a burst."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from handseg.runtime.files import write_text_atomic

GROUPS_FILE = "groups.csv"


def grouping(
    groups: str | Path | None = None, group_pattern: str | None = None
) -> Callable[[str], str]:
    """Make a function that looks up a photo's group; by default each photo is its own group.

    Args:
        groups: CSV file with the columns `id` and `group`.
        group_pattern: regular expression with one capture group, searched for in the id:
            `(id\\d+)` finds `id07` in `val_5_P_hgr1_id07_2`.

    Returns:
        A function from id to group that raises ValueError for an id without a group.

    Raises:
        ValueError: if both are given, or one is not as described.
    """
    if groups is not None and group_pattern is not None:
        raise ValueError("groups and group_pattern exclude each other, got both")
    if groups is not None:
        return _by_file(Path(groups))
    if group_pattern is not None:
        return _by_pattern(group_pattern)
    return str


def read_splits(path: Path) -> dict[str, str]:
    """Read the optional column `split` of a CSV file, by id; rows without a value are left out.

    Raises:
        ValueError: if the file cannot be read.
    """
    rows = _rows(path)
    return {row["id"]: row["split"] for row in rows if row.get("split")}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"id", "group"} <= set(reader.fieldnames or ()):
                raise ValueError(
                    f"{path} must have the columns id and group, got {reader.fieldnames}"
                )
            return [_stripped(row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"groups: cannot read {path}: {error}") from error


def _stripped(row: dict[str, str]) -> dict[str, str]:
    """Return `row` without spaces around the group and the split, which would make others."""
    return {**row, **{name: row[name].strip() for name in ("group", "split") if row.get(name)}}


def _by_file(path: Path) -> Callable[[str], str]:
    table: dict[str, str] = {}
    for row in _rows(path):
        name, group = row["id"], row["group"]
        if table.setdefault(name, group) != group:
            raise ValueError(f"{path} has two groups for {name!r}: {table[name]!r} and {group!r}")

    def group_of(name: str) -> str:
        if not table.get(name):
            raise ValueError(f"{path} has no group for {name!r}")
        return table[name]

    return group_of


def _by_pattern(pattern: str) -> Callable[[str], str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"group_pattern {pattern!r} is no regular expression: {error}") from error
    if compiled.groups != 1:
        raise ValueError(
            f"group_pattern {pattern!r} must have one group in brackets, got {compiled.groups}"
        )

    def group_of(name: str) -> str:
        match = compiled.search(name)
        if match is None or match[1] is None:
            raise ValueError(f"group_pattern {pattern!r} does not match {name!r}")
        return match[1]

    return group_of


def write_groups(
    groups: Mapping[str, str], path: Path, splits: Mapping[str, str] | None = None
) -> None:
    """Write a file for `grouping` and `read_splits`.

    Args:
        groups: maps ids to groups.
        path: of the file.
        splits: maps some ids to their part of the official split.
    """
    columns = ("id", "group", "split") if splits else ("id", "group")
    with write_text_atomic(path) as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for name, group in groups.items():
            writer.writerow((name, group, splits.get(name, "")) if splits else (name, group))
