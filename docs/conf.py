"""How Sphinx builds these pages: `python -m sphinx -W -b html docs build/docs`.

Sphinx, since the API pages come from the docstrings as they are; MyST, since the pages are Markdown
that GitHub shows as well; Furo, a plain theme that works on phones, in light and in dark.
"""

import fastkq

project = "fastkq"
author = "The fastkq authors"
copyright = "2026, The fastkq authors"  # noqa: A001 - Sphinx reads this name
version = release = fastkq.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["build"]
html_theme = "furo"
html_title = "fastkq"
html_static_path: list[str] = []
myst_heading_anchors = 3
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"  # the docstrings say more
autodoc_member_order = "bysource"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
# Files beside the documents, and example addresses.
suppress_warnings = ["myst.xref_missing", "ref.python"]
