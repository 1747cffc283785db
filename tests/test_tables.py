"""`docs/tables.py` makes tables of results, and reports stale ones."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = "# Title\n\n<!-- table: speed -->\n<!-- end of table -->\n\nText.\n"
COLUMNS = [{"key": "system", "title": "system"}, {"key": "iou", "title": "IoU", "digits": 2}]

main: Callable[..., int] = runpy.run_path(str(ROOT / "docs" / "tables.py"))["main"]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A page without its table of `speed.json`."""
    (tmp_path / "docs" / "benchmarks").mkdir(parents=True)
    (tmp_path / "README.md").write_text(PAGE)
    return tmp_path


def write(docs: Path, name: str = "speed", **content: Any) -> None:
    content.setdefault("columns", COLUMNS)
    content.setdefault("rows", [{"id": "ours", "system": "ours", "iou": 0.95449}])
    (docs / "docs" / "benchmarks" / f"{name}.json").write_text(json.dumps(content))


def table(docs: Path) -> list[str]:
    """Return the lines of the table after it was made."""
    assert main([], docs) == 0
    lines = (docs / "README.md").read_text().splitlines()
    assert lines[0] == "# Title"
    assert lines[-1] == "Text."
    return [line for line in lines[4:-3] if line]


class TestTable:
    def test_holds_values_and_what_made_them(self, docs: Path) -> None:
        write(docs, command="run it", machine="a laptop", date="2026-11-28", commit="abc1234")
        assert table(docs) == [
            "| system | IoU |",
            "| --- | --- |",
            "| ours | 0.95 |",
            "`run it`, a laptop, 2026-11-28, commit abc1234.",
        ]

    def test_without_provenance_says_nothing_of_it(self, docs: Path) -> None:
        write(docs)
        assert table(docs)[-1] == "| ours | 0.95 |"

    @pytest.mark.parametrize(
        ("column", "values", "cells"),
        [
            ({"digits": 1, "best": "min"}, [2.04, 1.96], ["2.0", "**2.0**"]),
            ({"best": "max"}, [1, None, 2345], ["1", "", "**2,345**"]),
            ({"sign": True, "digits": 1}, [1.5, -1.5], ["+1.5", "-1.5"]),
            ({}, [0.5, "2 %"], ["0.5", "2 %"]),
        ],
    )
    def test_formats(self, docs: Path, column: Any, values: Any, cells: list[str]) -> None:
        rows = [{"value": value} for value in values]
        write(docs, columns=[{"key": "value", "title": "value", **column}], rows=rows)
        assert table(docs)[2:] == [f"| {cell} |" for cell in cells]

    def test_keeps_the_digits_of_a_number(self, docs: Path) -> None:
        write(docs, columns=[{"key": "iou", "title": "IoU"}], rows=[{"iou": 0}])
        path = docs / "docs/benchmarks/speed.json"
        path.write_text(path.read_text().replace(": 0}", ": 0.950}"))
        assert table(docs)[-1] == "| 0.950 |"

    def test_takes_values_of_other_files(self, docs: Path) -> None:
        write(docs, "accuracy")
        write(docs, rows=[{"system": "both", "iou": {"from": "accuracy/ours/iou"}}])
        assert table(docs)[-1] == "| both | 0.95 |"


class TestCheck:
    def test_fails_where_a_table_is_stale(
        self, docs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(docs)
        assert main(["--check"], docs) == 1
        assert capsys.readouterr().out == "README.md: stale\n"
        assert (docs / "README.md").read_text() == PAGE

    def test_passes_where_all_are_made(self, docs: Path) -> None:
        write(docs)
        assert main([], docs) == 0
        assert main(["--check"], docs) == 0

    def test_fails_once_a_result_changes(self, docs: Path) -> None:
        write(docs)
        assert main([], docs) == 0
        write(docs, rows=[{"system": "ours", "iou": 0.7}])
        assert main(["--check"], docs) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"machines": "?"}, "'machines'"),
        ({"rows": [{"iuo": 1}]}, "values of no column: ['iuo']"),
        ({"columns": [{"key": "iou"}]}, "got ['key']"),
        ({"rows": [{"iou": {"from": "speed/theirs/iou"}}]}, "no row 'theirs' with 'iou'"),
        ({"rows": [{"iou": {"of": "speed"}}]}, "a reference is"),
    ],
)
def test_wrong_results_are_named(
    docs: Path, capsys: pytest.CaptureFixture[str], content: Any, message: str
) -> None:
    write(docs, **content)
    assert main([], docs) == 1
    assert message in capsys.readouterr().err
    assert (docs / "README.md").read_text() == PAGE


def test_missing_results_are_named(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], docs) == 1
    assert "speed.json" in capsys.readouterr().err


def test_tables_of_the_repository_are_made_from_its_results() -> None:
    assert main(["--check"], ROOT) == 0
