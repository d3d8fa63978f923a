"""Runs the notebooks of the documentation cell by cell, in one namespace and without Jupyter.

``python -m tests.docs.notebook`` runs them all and stores what they print and draw.
"""

import ast
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))


def read(path: Path) -> dict[str, Any]:
    """Return a notebook as nbformat 4 has it."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4, path
    return notebook


def run_cell(source: str, place: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell; return what Jupyter would show: what it prints, and the value of its last line.

    A value that draws itself as PNG is shown so, any other by its ``repr``.
    """
    tree = ast.parse(source, place)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, place, "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), place, "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        draw = getattr(value, "_repr_png_", None)
        if draw is None:
            data = {"text/plain": repr(value).splitlines(keepends=True)}
        else:
            data = {"image/png": base64.b64encode(draw()).decode(), "text/plain": ["a picture"]}
        outputs.append({"data": data, "metadata": {}, "output_type": "execute_result"})
    return outputs


def run(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a notebook from top to bottom.

    Returns:
        The notebook with what its cells gave as their outputs, and the names that they set.
    """
    notebook, names, count = read(path), {"__name__": "notebook"}, 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        count += 1
        outputs = run_cell("".join(cell["source"]), f"{path.name}[{count}]", names)
        for output in outputs:
            if output["output_type"] == "execute_result":
                output["execution_count"] = count
        cell["outputs"], cell["execution_count"] = outputs, count
    return notebook, names


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    for path in NOTEBOOKS:
        notebook, _ = run(path)
        text = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
