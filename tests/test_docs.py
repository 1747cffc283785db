"""README and guides: their Python runs, their commands exist, their links work."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import handseg
from handseg.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [
    path
    for pattern in ("*.md", "docs/*.md", "docs/[!_o]*/*.md", "[bfnp]*/**/*.md")
    for path in sorted(ROOT.glob(pattern))
]
FENCE = re.compile(r"(<!-- not run -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\[\]]*\]\((?!https?:)([^()\s#]*)(#[^()\s]*)?\)")
COMMAND = re.compile(r"`((?:handseg|python|accelerate launch|torchrun) [^`]+)`")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[tuple[bool, str]]:
    """Return whether each block runs, and its text."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [(not skipped, text) for skipped, kind, text in found if kind == language]


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of examples: photos, and the folders named as in a clone."""
    for photo in ("photo.jpg", "a.jpg", "b.jpg"):
        shutil.copy(ROOT / "tests/data/photos/images/2_pic00174.jpg", tmp_path / photo)
    for folder in ("tests/data/photos", "prompts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pages_are_found() -> None:
    assert {"README.md", "docs/guides/python.md", "finetune/README.md"} <= set(map(name, PAGES))
    assert {"README.md", "docs/guides/python.md", "prompts/README.md"} <= set(
        map(name, WITH_PYTHON)
    )


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name)
def test_python_runs(page: Path, desk: Path) -> None:
    names: dict[str, Any] = {}
    for runs, text in blocks(page, "python"):
        code = compile(text, name(page), "exec")
        if runs:
            exec(code, names)


def test_first_commands_of_the_readme_run(desk: Path) -> None:
    (_, text), *_ = blocks(ROOT / "README.md", "")
    (command,) = [line for line in text.splitlines() if line.startswith("handseg ")]
    assert CliRunner().invoke(app, shlex.split(command)[1:]).exit_code == 0
    assert len(list((desk / "hands").glob("*_overlay.jpg"))) == 4


def commands(page: Path) -> list[str]:
    """Return the shell commands of a page, or of a file with results."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".json":
        told = json.loads(text).get("command", [])
        return [told] if isinstance(told, str) else told
    lines = [
        line
        for _, block in blocks(page, "")
        for line in block.replace("\\\n", " ").splitlines()
        if "handseg" in line or "benchmarks/" in line
    ]
    prose = FENCE.sub("", text)
    return lines + [found.replace("\n", " ") for found in COMMAND.findall(prose)]


@pytest.mark.parametrize(
    "page",
    # The changelog also names things that no longer exist.
    [page for page in PAGES if page.name != "CHANGELOG.md"]
    + sorted(ROOT.glob("docs/benchmarks/*.json")),
    ids=name,
)
def test_commands_exist(page: Path) -> None:
    for command in commands(page):
        words = shlex.split(command, comments=True)
        for is_operator, part in groupby(words, key=lambda word: word in ("&&", "|", ">", "<")):
            if not is_operator:
                check(list(part))


def check(words: list[str]) -> None:
    """Check that a handseg command has these options, or that another's module or file exists."""
    program = next((word for word in words if word.startswith(("handseg", "benchmarks/"))), None)
    if program is None or words[0] == "pip":
        return
    rest = words[words.index(program) + 1 :]
    if program.endswith(".py"):
        assert (ROOT / program).is_file()
    elif program == "handseg":
        if rest and not rest[0].isupper() and not rest[0].startswith("-"):
            parse(rest[0], rest[1:])
    elif program in ("handseg.annotate", "handseg.finetune"):
        parse(program.removeprefix("handseg."), rest)
    elif "-m" in words:
        assert find_spec(program)


def parse(command: str, words: list[str]) -> None:
    known = COMMANDS[command]
    parser = known.make_parser(known.context_class(known))
    parser.parse_args(words)


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target = (page.parent / path) if path else page
        assert target.exists(), path
        assert not anchor or anchor in slugs(target), path + anchor


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_citation_has_the_version() -> None:
    assert f"\nversion: {handseg.__version__}\n" in (ROOT / "CITATION.cff").read_text()
