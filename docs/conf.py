"""Settings of the documentation, which `sphinx-build docs docs/_build/html` builds offline."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from handseg import __version__

project = "handseg"
author = "The handseg authors"
project_copyright = "2026, the handseg authors"
version = release = __version__

extensions = ["myst_nb", "outside_pages", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_ext"]
nitpicky = False

html_theme = "furo"
html_title = "handseg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False

myst_enable_extensions = ["tasklist"]
myst_heading_anchors = 3
nb_execution_mode = "off"

# A name in single backticks is a link where it is documented here, and code elsewhere.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
