"""Makes the tables of figures in Markdown pages from the results in `docs/benchmarks/*.json`.

python docs/tables.py            # rewrites what is stale
python docs/tables.py --check    # names what is stale, with exit code 1

A page has a table between `<!-- table: NAME -->` and `<!-- end of table -->`. `NAME.json` has

    columns   a list of {"key", "title"}; "digits" rounds numbers, "sign" shows +, "best" ("max" or
              "min") sets the best number in bold
    rows      a list of {key: number, text or null}; a value {"from": "FILE/ID/KEY"} is that of the
              row of FILE.json whose "id" is ID
    command   what makes the figures, a text or a list of texts; None where a column names it
    commit, machine, date    where and when it was run; left out where that is unknown
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = "docs/benchmarks"
KEYS = {"columns", "rows", "command", "commit", "machine", "date"}
COLUMN_KEYS = {"key", "title", "digits", "sign", "best"}
NAME = r"[a-z0-9_]+"
TABLE = re.compile(rf"(<!-- table: ({NAME}) -->\n).*?(<!-- end of table -->)", re.DOTALL)
PAGES = (
    "README.md",
    "docs/*.md",
    "docs/[!_o]*/*.md",
    "finetune/**/*.md",
    "prompts/*.md",
    "handseg/assets/*/*.md",
)


class Results:
    """The results in a folder, read when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, dict[str, Any]] = {}

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name not in self._read:
            path = self._folder / f"{name}.json"
            try:
                # As Decimal a number keeps the digits that it was written with.
                content = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
                _check(content)
            except (OSError, ValueError) as error:
                raise ValueError(f"{path}: {error}") from error
            self._read[name] = content
        return self._read[name]

    def value(self, cell: Any) -> Any:
        """What a cell holds, itself or by reference."""
        if not isinstance(cell, dict):
            return cell
        try:
            name, row_id, key = cell["from"].split("/")
        except (KeyError, ValueError):
            raise ValueError(f'a reference is {{"from": "FILE/ID/KEY"}}, got {cell}') from None
        for row in self[name]["rows"]:
            if row.get("id") == row_id and key in row:
                return self.value(row[key])
        raise ValueError(f"{cell['from']}: {name}.json has no row {row_id!r} with {key!r}")

    def table(self, name: str) -> str:
        """The table of one file as Markdown, and below it what made it."""
        content = self[name]
        lines = [[column["title"], "---"] for column in content["columns"]]
        for cells, column in zip(lines, content["columns"], strict=True):
            values = [self.value(row.get(column["key"])) for row in content["rows"]]
            cells += _texts(values, column)
        rows = "\n".join(f"| {' | '.join(row)} |" for row in zip(*lines, strict=True))
        return "\n".join(["", rows, "", *_source(content)])


def _check(content: Any) -> None:
    if not isinstance(content, dict) or not {"columns", "rows"} <= set(content) <= KEYS:
        got = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"expected columns, rows and none but {sorted(KEYS)}, got {got}")
    known = {"id"}
    for column in content["columns"]:
        if not {"key", "title"} <= set(column) <= COLUMN_KEYS:
            raise ValueError(f"a column has none but {sorted(COLUMN_KEYS)}, got {sorted(column)}")
        known.add(column["key"])
    for row in content["rows"]:
        if set(row) - known:
            raise ValueError(f"a row has values of no column: {sorted(set(row) - known)}")


def _texts(values: list[Any], column: dict[str, Any]) -> list[str]:
    """A column's cells, of which the best number is set in bold."""
    numbers = [value for value in values if isinstance(value, int | Decimal)]
    best = {"max": max, "min": min, None: None}[column.get("best")]
    winner = best(numbers) if best and numbers else None
    cells = []
    for value in values:
        if isinstance(value, int | Decimal):
            digits = f".{column['digits']}f" if "digits" in column else ""
            text = format(value, f"{'+' if column.get('sign') else ''},{digits}")
            cells.append(f"**{text}**" if value == winner else text)
        else:
            cells.append(value or "")
    return cells


def _source(content: dict[str, Any]) -> list[str]:
    commands = content.get("command") or []
    parts = [f"`{one}`" for one in ([commands] if isinstance(commands, str) else commands)]
    parts += [content[key] for key in ("machine", "date") if content.get(key)]
    parts += [f"commit {content['commit']}"] if content.get("commit") else []
    return [", ".join(parts) + ".", "", ""] if parts else [""]


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Rewrite or check all pages below `root`; the exit code."""
    parser = argparse.ArgumentParser(description="Make the tables of figures in Markdown pages.")
    parser.add_argument("--check", action="store_true", help="only name the pages that are stale")
    check = parser.parse_args(arguments).check
    results, stale = Results(root / RESULTS), False
    for page in sorted({path for pattern in PAGES for path in root.glob(pattern)}):
        text = page.read_text(encoding="utf-8")
        try:
            new = TABLE.sub(lambda found: found[1] + results.table(found[2]) + found[3], text)
        except ValueError as error:
            print(f"{page.relative_to(root)}: {error}", file=sys.stderr)
            return 1
        if new != text:
            stale = True
            print(f"{page.relative_to(root)}: {'stale' if check else 'rewritten'}")
            if not check:
                page.write_text(new, encoding="utf-8")
    return int(check and stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
