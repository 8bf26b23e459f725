"""Sphinx configuration. The build downloads nothing: no inventories, fonts or scripts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import bridge  # noqa: E402  # needs the path above

project = "bridge"
author = "The bridge authors"
copyright = "The bridge authors. MIT licence"
version = release = bridge.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "command_help",
    "migrate_rules",
    "module_list",
    "type_names",
    "versions",
]
exclude_patterns = ["_build"]
root_doc = "index"

# -- Markdown --------------------------------------------------------------------------------------

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 3

# -- Python ----------------------------------------------------------------------------------------

add_module_names = False
default_role = "code"  # for `name` in docstrings
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    name: name
    for name in (
        *("AsgiApp", "WsgiApp", "Environ", "Scope", "StartResponse"),
        *("ToAsgiKeywords", "ToWsgiKeywords", "LoopFactory", "LifespanMode"),
    )
}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_maximum_signature_line_length = 72
python_use_unqualified_type_names = True

# -- HTML ------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"bridge {release}"
html_static_path = ["_static"]
html_css_files = ["bridge.css"]
html_search_scorer = str(HERE / "_ext" / "search_scorer.js")
html_favicon = "_static/bridge.svg"
html_show_sphinx = False
html_copy_source = True
html_show_sourcelink = True  # the eye above a page
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
viewcode_line_numbers = True
# A block of commands is copied without the prompts and what the commands print.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
# Such as https://github.com/OWNER/NAME. Without it, pages have no link to where they are edited.
repository = os.environ.get("BRIDGE_REPOSITORY", "")
html_theme_options = {
    "source_repository": repository,
    "source_branch": "main",
    "source_directory": "docs/",
    "light_logo": "bridge.svg",
    "dark_logo": "bridge.svg",
    "sidebar_hide_name": False,
    "footer_icons": [],
    "light_css_variables": {
        "color-brand-primary": "#0a5a78",
        "color-brand-content": "#0a5a78",
        "color-brand-visited": "#0a5a78",
        "color-bridge-signal": "#b8321f",
        "color-code-background": "#f3f6f7",
    },
    "dark_css_variables": {
        "color-brand-primary": "#78c6e2",
        "color-brand-content": "#78c6e2",
        "color-brand-visited": "#78c6e2",
        "color-bridge-signal": "#ff8a73",
        "color-code-background": "#10181d",
    },
}
