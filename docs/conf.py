"""The documentation site: `python -m sphinx -W --keep-going docs build/docs`, with the extra `docs` installed."""

import os
import warnings

import cvxrelu
import latex2mathml.converter
from docutils import nodes

project = "cvxrelu"
author = "the cvxrelu developers"
copyright = "the cvxrelu developers"
release = version = cvxrelu.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["*_table.md", "**sg_execution_times.rst"]  # included in pages; the times of the gallery
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say it in words
numpydoc_show_class_members = False

html_math_renderer = "mathml"  # which browsers draw themselves, without a script from elsewhere
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_title = "cvxrelu"
html_theme_options = {"navigation_with_keys": False, "show_toc_level": 2, "header_links_before_dropdown": 7}
html_sidebars = {"installation": [], "quickstart": []}

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


def inline_mathml(translator, node):
    """Write a formula within a line."""
    translator.body.append(latex2mathml.converter.convert(node.astext()))
    raise nodes.SkipNode


def displayed_mathml(translator, node):
    """Write a formula in lines of its own."""
    formula = latex2mathml.converter.convert(node.astext(), display="block")
    translator.body.append(f'<div class="formula">{formula}</div>')
    raise nodes.SkipNode


def setup(app):
    """Register the writers of formulas with Sphinx."""
    app.add_html_math_renderer("mathml", (inline_mathml, None), (displayed_mathml, None))
