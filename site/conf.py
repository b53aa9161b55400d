"""How Sphinx makes the site. Its sources are laid out by `tools/site_pages.py`; `make site` does both.

What notebooks collapse ("More on …") is folded here, and the library's names are linked, in prose and code.
"""

import ast
import html
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

project = "quantnotes"
author = "the quantnotes authors"
copyright = "the quantnotes authors, BSD-3-Clause"
root_doc = "index"
language = "en"
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
]
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"numpy\..*")]

nb_execution_mode = "off"  # outputs as committed
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

default_role = "literal"
autodoc_typehints = "none"  # the docstrings have the types, with shapes
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "quantnotes"
html_static_path = ["static", "_build/static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sourcelink = False
html_domain_indices = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 1,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "back_to_top_button": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_context = {"default_mode": "auto"}
html_favicon = "static/icon.svg"
html_sidebars = {
    "**": ["sidebar-nav-bs"],
    "index": [],
    "run": [],
    "glossary": [],
    "references": [],
    "samples": [],
}
mathjax_path = "mathjax/es5/tex-chtml.js"  # our own copy: nothing on a page comes from elsewhere
mathjax3_config = {"options": {"enableMenu": False}}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_selector = (
    "div.cell_input pre, div.highlight-default pre, div.highlight-python pre, div.highlight-console pre"
)


def fold_sections(app, doctree):
    """Fold what follows a heading "More on …"; the heading stays, so that contents and links find it."""
    for section in doctree.findall(nodes.section):
        title = section.next_node(nodes.title)
        if title is not None and title.astext().startswith("More on "):
            opening = '<details class="more"><summary>Show</summary>'
            section.insert(section.index(title) + 1, nodes.raw("", opening, format="html"))
            section.append(nodes.raw("", "</details>", format="html"))


def names_of(env):
    """Return where each public name is documented, by every form in which it is written."""
    found = {}
    for full, entry in env.domains["py"].objects.items():
        place = (entry.docname, entry.node_id)
        short = full.removeprefix("quantnotes.")
        for form in (full, short, short.removeprefix("course.")):
            found.setdefault(form, place)
    return found


class LinkNames(SphinxPostTransform):
    """Make a link of a literal that is a public name of the library."""

    default_priority = 200

    def run(self, **kwargs):
        here, names = self.env.docname, names_of(self.env)
        for literal in list(self.document.findall(nodes.literal)):
            docname, anchor = names.get(literal.astext().removesuffix("()"), (None, None))
            if not docname or isinstance(literal.parent, (nodes.reference, nodes.title)):
                continue
            address = f"#{anchor}"
            if docname != here:
                address = self.app.builder.get_relative_uri(here, docname) + address
            link = nodes.reference("", "", internal=True, refuri=address)
            literal.replace_self(link)
            link += literal


def find_name(app, env, node, inside):
    """Resolve a reference by the name under which users import what it names."""
    found = names_of(env).get(node.get("reftarget", ""))
    if not found or node.get("refdomain") != "py":
        return None
    address = app.builder.get_relative_uri(node["refdoc"], found[0])
    return nodes.reference("", "", inside, internal=True, refuri=f"{address}#{found[1]}")


def imported(path):
    """Return what a notebook imports from the library: the name in the notebook, and the library's."""
    found = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        try:
            tree = ast.parse("".join(cell["source"]))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("quantnotes"):
                home = node.module.removeprefix("quantnotes").removeprefix(".")
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{home}.{alias.name}".removeprefix(".")
    return found


def link_code(app, pagename, templatename, context, doctree):
    """Make links of the library's names in a notebook's code."""
    path = Path(app.srcdir) / f"{pagename}.ipynb"
    if not path.exists() or "body" not in context:
        return
    names, known = names_of(app.env), imported(path)

    def linked(match):
        name, attribute = html.unescape(match[1]), match[2]
        full = known.get(name)
        if full is None:
            return match[0]
        docname, anchor = names.get(f"{full}.{attribute}" if attribute else full, (None, None))
        if docname is None:
            docname, anchor = (
                names.get(full.rpartition(".")[2], (None, None)) if not attribute else (None, None)
            )
        if docname is None:
            return match[0]
        address = f"{app.builder.get_relative_uri(pagename, docname)}#{anchor}"
        return f'<a class="name" href="{address}">{match[0]}</a>'

    span, end = r'<span class="n">(\w+)</span>', r'(?!<span class="o">=</span>)'
    dotted = rf'{span}(?:<span class="o">\.</span>{span})?{end}'

    def block(match):
        return re.sub(dotted, linked, match[0])

    context["body"] = re.sub(r'(?s)<div class="highlight">.*?</pre>', block, context["body"])


def skip(app, what, name, value, skipped, options):
    """Leave out the fields of named tuples, which say nothing but their number."""
    return True if (getattr(value, "__doc__", None) or "").startswith("Alias for field number") else skipped


def setup(app):
    app.connect("doctree-read", fold_sections)
    app.connect("missing-reference", find_name)
    app.connect("html-page-context", link_code)
    app.connect("autodoc-skip-member", skip)
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True}
