"""Shows notebooks as pages: `NAME.ipynb` becomes `NAME_notebook.md` and its pictures files.

The outputs are those that the notebook holds. Jupyter is not needed, and no page loads a script of
another server.
"""

import base64
import json
from pathlib import PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SUFFIX = "_notebook"
PICTURE = "image/png"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the page and the pictures of each notebook to the files of the site."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            page, pictures = page_of(file.content_string, PurePosixPath(file.src_uri))
            for name, content in {**pictures, **page}.items():
                files.append(File.generated(config, name, content=content))
    return files


def page_of(text: str, path: PurePosixPath) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return the page of a notebook and its pictures, by their paths below docs."""
    name, parts, pictures = f"{path.stem}{SUFFIX}", [], {}
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            picture = output.get("data", {}).get(PICTURE)
            if picture is None:
                parts.append(f"```text\n{shown(output)}\n```")
                continue
            file = f"{name}_{len(pictures) + 1}.png"
            pictures[str(path.with_name(file))] = base64.b64decode(picture)
            parts.append(f"![What the cell above draws]({file})")
    parts.append(f"[Download the notebook]({path.name})")
    return {str(path.with_name(f"{name}.md")): "\n\n".join(parts) + "\n"}, pictures


def shown(output: dict[str, Any]) -> str:
    """Return what a cell printed, or its value."""
    return "".join(output.get("text") or output["data"]["text/plain"]).rstrip("\n")
