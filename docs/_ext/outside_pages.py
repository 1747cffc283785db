"""Shows pages of the repository outside `docs/`, and makes links to them work.

Links in the repository are relative paths, which a git host follows. The site has only what lies
in `docs/`. So pages from elsewhere are copied to `docs/outside/`, and links to them are turned to
the copies. A link to another kind of file becomes a download; one to a folder, or to a page that
the site does not have, becomes plain text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
COPIES = "outside"
PAGES = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "finetune/README.md",
    "finetune/baselines/README.md",
    "handseg/assets/handseg-lite/README.md",
    "handseg/assets/handseg-lite-object/README.md",
    "notebooks/01_segment.ipynb",
    "notebooks/02_prompts.ipynb",
    "notebooks/03_finetune.ipynb",
    "notebooks/04_evaluate.ipynb",
    "notebooks/05_measure.ipynb",
    "prompts/README.md",
)
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\((?!https?:|mailto:|#)([^()\s#]+)(#[^()\s]*)?\)")


def copy_pages(app: Sphinx) -> None:
    """Copy `PAGES` into the site's sources, where they differ: a rebuild reads what changed."""
    for page in PAGES:
        copy = DOCS / COPIES / page
        content = (ROOT / page).read_bytes()
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)


def turn_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn the links of a page that is read."""
    here = (DOCS / docname).parent
    is_copy = here.is_relative_to(DOCS / COPIES)
    folder = ROOT / here.relative_to(DOCS / COPIES) if is_copy else here

    def turned(link: re.Match[str]) -> str:
        image, text, path, anchor = link.groups()
        target = (folder / path).resolve()
        if not target.is_relative_to(ROOT) or not target.exists():
            return link[0]  # Sphinx complains about it.
        place = target.relative_to(ROOT)
        if place.as_posix() in PAGES:
            target = DOCS / COPIES / place
        elif target.is_dir() or (target.suffix == ".md" and not target.is_relative_to(DOCS)):
            return text
        return f"{image}[{text}]({Path(os.path.relpath(target, here)).as_posix()}{anchor or ''})"

    source[0] = LINK.sub(turned, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Have Sphinx call the functions above."""
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", turn_links)
    return {"parallel_read_safe": True}
