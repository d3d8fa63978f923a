"""Whatever stands in the mappings of a row, the report can be laid out."""

import dataclasses
from pathlib import Path

import pytest

from lightning_hash.reports.numbered import numbered_grids
from lightning_hash.reports.overview import overview_grids
from lightning_hash.reports.papers import TABLES
from lightning_hash.reports.plots import numbered_plots
from lightning_hash.reports.readme import results_table
from lightning_hash.reports.transfers import transfer_grids
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.runs import RunFiles
from tests.reports.rows import row, run

TRANSFER = {"sources": "convnet-16", "combination": "single", "restarts": None}
PATHS = (
    "attack.seed", "attack.targets", "attack.targets.n_t", "attack.objective.threshold",
    "attack.step", "attack.step.class", "attack.budget", "attack.budget.space", "attack.start_seed",
    "attack.perturbation", "attack.perturbation.count", "attack.later.field", "victim.backbone",
    "victim.sha256", "victim.name", "victim.selected_on", "data.dataset", "data.input_shape",
    "data.n_query", "data.sha256", "data.interpolation", "ranking.ties", "run.kernels", "run.draw",
    "run.devices", "transfer.sha256", "transfer.parts",
)  # fmt: skip
VALUES = ("a|b", -1.5, True, None, [], [1, "a"], {}, {"class": 3}, {"class": "a.B", "lr": None})


def changed(rows, path, shift):
    """Return the rows with another odd value at the path of every second one."""
    *keys, last = path.split(".")
    for number, each in enumerate(rows):
        given = dataclasses.asdict(each)
        place = given
        for key in keys:
            place = place.setdefault(key, {}) if isinstance(place, dict) else None
        if number % 2 and isinstance(place, dict):
            place[last] = VALUES[(number // 2 + shift) % len(VALUES)]
        try:
            yield ResultRow(**given)
        except ValueError:  # such a row is never written
            yield each


@pytest.mark.parametrize("shift", [0, 4])
@pytest.mark.parametrize("path", PATHS)
def test_odd_values_do_not_block_a_report(path, shift):
    rows = [*run("hag", 0.2, dataset="coco"), *run("dhta", 0.3, epsilon=0.032), *run("noise", 0.9)]
    made = list(changed([*rows, row(value=0.1, transfer=TRANSFER)], path, shift))
    grids = [*overview_grids(made), *transfer_grids(made)]
    grids += [grid for table in TABLES for grid in numbered_grids(table, made)]
    for grid in grids:
        assert len({len(line) for line in grid.table()}) == 1
        assert all((grid.csv(), grid.latex(), grid.markdown()))
    headings = [grid.heading for grid in grids]
    assert len(set(headings)) == len(headings) > 20
    assert results_table(made)
    runs = [RunFiles(Path("a"), tuple(made[:14])), RunFiles(Path("b"), tuple(made[14:]))]
    assert all(plot.figure for plot in numbered_plots(runs))
