"""The documentation site: `python -m sphinx -W --keep-going docs build/docs`, with the extra `docs` installed."""

import os
import warnings

import cvxrelu

project = "cvxrelu"
author = "the cvxrelu developers"
copyright = "the cvxrelu developers"
release = version = cvxrelu.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["*_table.md"]  # tables that commands write and pages include
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say it in words
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "cvxrelu"
html_theme_options = {"navigation_with_keys": False, "show_toc_level": 2, "header_links_before_dropdown": 7}
html_sidebars = {"installation": [], "quickstart": [], "api": []}

os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive")
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "show_memory": False,
    "remove_config_comments": True,
    "plot_gallery": "True",
}
