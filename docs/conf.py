"""The documentation site: `pip install '.[docs]' && sphinx-build -W docs build/site`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl

import xpmlp

sys.path.insert(0, str(Path(__file__).parent / "extensions"))
from source_pages import link_to_object

if TYPE_CHECKING:
    from sphinx.application import Sphinx

mpl.use("agg")

project = "xpmlp"
author = "The xpmlp developers"
copyright = author  # noqa: A001 - Sphinx asks for this name
version = release = xpmlp.__version__

extensions = [
    "mathml",
    "myst_nb",
    "numpydoc",
    "source_pages",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.linkcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["extensions", "gallery", "examples/*.ipynb"]  # the last for downloading alone
linkcode_resolve = link_to_object

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4
myst_url_schemes = {"http": None, "https": None, "mailto": None, "source": None}
nb_execution_mode = "force"  # the notebooks are kept without outputs
nb_execution_raise_on_error = True
nb_execution_timeout = 300

templates_path = ["templates"]
autodoc_default_options = {"members": True, "inherited-members": True}
autodoc_typehints = "none"
default_role = "obj"
numpydoc_show_class_members = False  # autodoc shows them in full
numpydoc_validation_checks = {
    "all",
    "ES01",  # a summary may say it all
    "EX01",  # the guides and the gallery have examples of what has none of its own
    "GL01",  # summaries stand beside the quotes, as ruff's rules ask
    "GL08",  # as ruff's rules ask: what a name says need not be repeated
    "PR01",  # methods with a summary that names their arguments
    "RT01",  # as above
    "SA01",  # the pages of the reference stand by topic
    "YD01",
}
toc_object_entries_show_parents = "hide"

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": "/",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "xpmlp"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_sidebars = {"changelog": [], "index": [], "start": [], "source/**": []}
html_theme_options = {
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}


class _Pair(NamedTuple):
    entry: int


def _skip_members_of_others(_app: Sphinx, _kind: str, _name: str, member: Any, skip: bool, _options: object) -> bool:  # noqa: FBT001 - as Sphinx calls it
    """Leave out what a class has from another library, and the fields of tuples, which the docstring has."""
    member = getattr(member, "fget", None) or getattr(member, "__func__", None) or member
    home = getattr(member, "__objclass__", None) or inspect.unwrap(member)
    module = getattr(home, "__module__", None) or "xpmlp"
    of_a_class = "." in getattr(member, "__qualname__", ".")  # and no function that is the value of a field
    return skip or not module.startswith("xpmlp") or not of_a_class or isinstance(member, type(_Pair.entry))


def setup(app: Sphinx) -> None:
    """Connect what the reference leaves out."""
    app.connect("autodoc-skip-member", _skip_members_of_others)
