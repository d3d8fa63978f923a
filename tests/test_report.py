"""The report of finished runs: the verb, its files and pictures."""

import csv
import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from safetensors.torch import load_file

from lightning_hash.__main__ import main
from lightning_hash.functional import precision_at_n_curve, precision_recall_curve
from lightning_hash.reports.plots import numbered_plots
from lightning_hash.results.rows import write_results
from lightning_hash.results.runs import find_runs, latest_version
from tests.reports.rows import row, run

pytestmark = pytest.mark.slow

SMALL = ["--data.n_train=60", "--data.n_query=20", "--data.n_database=150"]
QUIET = ["--trainer.enable_progress_bar=false", "--model.kernels=float32"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two victims with HAG at two thresholds, and DHTA."""
    root = tmp_path_factory.mktemp("report")
    runs = ["--runs", str(root / "runs")]
    for bits in (8, 16):
        fit = ["fit", "--trainer.max_epochs=2", f"--model.bits={bits}", f"--name=v{bits}"]
        folders = [*runs, "--checkpoints", str(root / "ck"), "--trainer.logger=false"]
        assert main([*fit, *SMALL, *folders]) == 0
    for name, bits, preset, options in (
        ("hag8", 8, "hag", []),
        ("hag16", 16, "hag", []),
        ("t0", 16, "hag", ["--model.objective.init_args.threshold=0"]),
        ("dhta", 16, "dhta", []),
    ):
        attack = ["attack", f"--config=configs/attack/{preset}.yaml", f"--name={name}", *options]
        attack += [f"--model.victim={root}/ck/v{bits}/best.ckpt", "--trainer.max_epochs=4"]
        attack += ["--model.n_queries=6", "--model.evaluate_at=[0, 2]"]
        assert main([*attack, *SMALL, *QUIET, *runs]) == 0
    assert main(["report", str(root / "runs"), "--output", str(root / "out")]) == 0
    return root


def test_files(world, capsys):
    out = world / "out"
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {
        "index.html", "rows.csv", "tables/hag_table1-sample-photos-convnet.md",
        "tables/hag_table1-sample-photos-convnet.tex",
        "tables/dhta_table1-sample-photos-convnet.csv",
        "tables/overview-sample-photos-convnet-16-bits.md",
    } <= names  # fmt: skip
    for figure in ("hag_fig2", "hag_fig3", "hag_fig4", "hag_fig6", "hag_fig7", "dhta_fig3"):
        assert f"figures/{figure}.png" in names
        assert (out / "figures" / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 7  # DHTA's two curves
    assert page.count("data:image/webp;base64,") == 6  # three strips each
    assert "http" not in page
    rows = list(csv.DictReader((out / "rows.csv").open()))
    results = [json.loads(path.read_text()) for path in world.rglob("results.json")]
    assert len(rows) == sum(map(len, results))
    assert main(["report", str(world / "runs" / "attack" / "dhta")]) == 0
    printed = capsys.readouterr().out
    assert "clean query" in printed
    assert (world / "runs" / "attack" / "dhta" / "report" / "index.html").is_file()


def test_table_and_rows_agree(world):
    (run,) = find_runs([world / "runs" / "attack" / "hag8"])
    (found,) = [
        r for r in run.rows
        if (r.name, r.metric, r.iteration, r.quantized) == ("hag", "map", 4, False)
    ]  # fmt: skip
    table = (world / "out" / "tables" / "hag_table1-sample-photos-convnet.md").read_text()
    (line,) = [line for line in table.splitlines() if line.startswith("| 4 |")]
    assert found.se > 0
    assert line.split("|")[2].strip() == f"{found.value:.4f}({round(found.se * 1e4)})"


def test_curves_are_those_of_the_codes(world):
    folder = latest_version(world / "runs" / "attack" / "dhta")
    content = json.loads((folder / "curves.json").read_text())
    assert [victim["bits"] for victim in content["protocol"]["victims"]] == [16]
    assert [(c["query"], c["label"]) for c in content["curves"]] == [
        ("clean", "own"), ("clean", "target"), ("adversarial", "own"), ("adversarial", "target"),
    ]  # fmt: skip
    codes = load_file(folder / "codes.safetensors")
    assert torch.equal(codes["clean_codes"] > 0, codes["clean_logits"] >= 0)
    database, labels = _database(world)
    curve = content["curves"][3]
    assert curve["n"] == [1, 2, 5, 10, 20, 50, 100]  # 150 items
    wanted = precision_at_n_curve(
        codes["codes"].float(), database, codes["target_labels"], labels, curve["n"]
    )
    assert curve["precision_at_n"] == pytest.approx(wanted.tolist())
    precision, recall = precision_recall_curve(
        codes["codes"].float(), database, codes["target_labels"], labels
    )
    assert len(curve["recall"]) == 17
    assert curve["recall"] == pytest.approx(recall.tolist())
    assert [value is None for value in curve["precision"]] == precision.isnan().tolist()


def _database(world):
    from lightning_hash.data import SamplePhotos
    from lightning_hash.functional import sign_code
    from lightning_hash.victims.victim import load_victim

    data = SamplePhotos(n_train=60, n_query=20, n_database=150)
    data.setup("predict")
    items = [data.database_set[i] for i in range(len(data.database_set))]
    images, labels = (torch.stack([item[k] for item in items]) for k in (0, 1))
    with torch.no_grad():
        return sign_code(load_victim(str(world / "ck/v16/best.ckpt")).network(images)), labels


def test_plots_draw_the_numbers(world):
    runs = find_runs([world / "runs"])
    plots = {plot.name: plot for plot in numbered_plots(runs)}
    lines = {line.get_label(): line for line in plots["hag_fig6"].figure.axes[0].lines}
    assert set(lines) == {"t = 0", "t = 0.5"}
    assert lines["t = 0"].get_xdata().tolist() == [0, 2, 4]
    assert lines["t = 0"].get_ydata()[0] == 0
    path = "attack.objective.threshold"
    rows = [r for run in runs for r in run.rows if r.get(path) == 0 and r.iteration == 4]
    (last,) = [r.value for r in rows if r.metric == "hamming_to_clean" and not r.quantized]
    assert lines["t = 0"].get_ydata()[2] == pytest.approx(last)
    labels = [line.get_label() for line in plots["hag_fig3"].figure.axes[0].lines]
    assert labels == ["8 bits", "16 bits", "8 bits*", "16 bits*"]
    shown = [line.get_label() for line in plots["dhta_fig3"].figure.axes[0].lines]
    assert shown == ["Original", "DHTA"]
    assert "16 bits" in plots["hag_fig2"].title
    picture = imread(world / "out" / "figures" / "hag_fig7.png")
    assert np.std(picture) > 0.05


def test_the_newest_version_that_has_ended_counts(tmp_path):
    for version, value in ((2, 0.3), (10, 0.2)):
        folder = tmp_path / "hag" / f"version_{version}"
        folder.mkdir(parents=True)
        write_results(folder / "results.json", run("hag", value))
    killed = tmp_path / "hag" / "version_11"
    killed.mkdir()
    write_results(killed / "results.json", [row(iteration=50)])
    (found,) = find_runs([tmp_path, tmp_path / "hag"])
    assert found.folder.name == "version_10"
    assert latest_version(tmp_path / "hag").name == "version_11"


def test_wrong_roots(tmp_path, capsys):
    assert main(["report", str(tmp_path / "absent")]) == 1
    assert "is no folder; give a run folder" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 1
    assert "holds no results.json" in capsys.readouterr().err
    write_results(tmp_path / "results.json", run("hag", 0.2))
    (tmp_path / "curves.json").write_text("{")
    assert main(["report", str(tmp_path)]) == 0
    assert f"left out: {tmp_path}/curves.json: curves.json is no JSON" in capsys.readouterr().err
