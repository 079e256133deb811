"""How the site is built: sphinx-build -W --keep-going -b html docs OUT. Nothing is downloaded."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from meanfield_pde.shipped import version as installed_version  # noqa: E402

project = "meanfield-pde"
author = "The meanfield-pde developers"
project_copyright = author
version = release = installed_version()

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "generated.api",
    "generated.benchmarks",
    "generated.commands",
    "generated.configuration",
    "generated.contents",
    "generated.docstrings",
    "generated.gallery",
]
exclude_patterns = ["_build", "generated"]
source_suffix = {".md": "markdown"}
default_role = "code"
smartquotes = False  # of --resume they make a dash

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_default_options = {"show-inheritance": False}
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"meanfield-pde {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
