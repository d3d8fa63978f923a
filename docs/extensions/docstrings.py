"""Shows the Sphinx roles and the examples of docstrings as code: the site is Markdown."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`(~)?([^`]*)`")
EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)


def plain(text: str) -> str:
    """Put names for roles, and the heading that griffe knows as that of doctests."""
    text = ROLE.sub(lambda m: f"`{m[2].rpartition('.')[2] if m[1] else m[2]}`", text)
    return EXAMPLE.sub(r"\1Examples:", text)


class Docstrings(griffe.Extension):
    """Rewrites each docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of one module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)
