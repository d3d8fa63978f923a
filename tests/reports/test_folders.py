"""The whole report of run folders made by hand: pictures, files, and nothing heavy imported."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imsave
from safetensors.numpy import save_file

from lightning_hash.reports.plots import numbered_plots
from lightning_hash.reports.queries import perturbed_clips, perturbed_images
from lightning_hash.results.rows import write_results
from lightning_hash.results.runs import find_runs
from tests.reports.rows import row, run

CLIPS = {"dataset": "clips", "input_shape": [6, 3, 8, 8]}


def curve(query, label):
    numbers = {"n": [1, 2], "precision_at_n": [1.0, 0.5]}
    return {
        "query": query, "label": label, **numbers, "precision": [None, 0.5], "recall": [0.0, 1.0],
    }  # fmt: skip


def write(folder, rows, shape=(3, 8, 8)):
    """Write what an attack leaves behind."""
    write_results(folder / "results.json", rows)
    labels = [("clean", "own"), ("adversarial", "own"), ("adversarial", "target")]
    content = {"curves": [curve(query, label) for query, label in labels]}
    (folder / "curves.json").write_text(json.dumps(content))
    logits = np.linspace(-2, 2, 64, dtype=np.float32).reshape(4, 16)
    save_file({"clean_logits": logits}, folder / "codes.safetensors")
    changes = np.full((2, *shape), 0.1, dtype=np.float32)
    index = np.array([3, 7])
    save_file(
        {"index": index, "perturbation": changes}, folder / "perturbations.safetensors",
    )  # fmt: skip
    for number in index:
        pictures = np.full((*shape[:-3], 8, 8, 3), 0.5).reshape(-1, 8, 8, 3)
        for frame, picture in enumerate(pictures):
            name = f"{number:06d}/{frame:03d}.png" if len(shape) == 4 else f"{number:06d}.png"
            (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            imsave(folder / "images" / name, picture)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """HAG on victims of known and unknown length at two thresholds, DHTA on images and clips."""
    root = tmp_path_factory.mktemp("folders")
    for bits, sha in ((16, "a"), (None, "b")):
        victim = {"bits": bits, "victim_sha256": sha, "loss": bits and "PairwiseLoss"}
        milestone = row(metric="hamming_to_clean", value=3.0, iteration=50, **victim)
        end = row(metric="hamming_to_clean", value=4.0, **victim)
        write(root / f"hag{bits}", [*run("hag", 0.25, **victim), milestone, end])
    end = row(metric="hamming_to_clean", value=5.0, bits=16, threshold=0.0)
    write(root / "t0", [*run("hag", 0.3, bits=16, threshold=0.0), end])
    for n_t in (3, 5, 9):
        write(root / f"dhta{n_t}", run("dhta", n_t / 20, n_t=n_t, epsilon=0.032))
    for frames in (1, 2, 4, None):
        rows = run("dhta", (frames or 6) / 10, frames=frames, epsilon=0.032, **CLIPS)
        write(root / f"clips{frames}", rows, (6, 3, 8, 8))
    return root


@pytest.fixture(scope="module")
def plots(world):
    runs = find_runs([world])
    drawn = [*numbered_plots(runs), *perturbed_images(runs), *perturbed_clips(runs)]
    return {(plot.name, plot.caption.split()[0]): plot for plot in drawn}


def lines(plot):
    return {line.get_label(): line for line in plot.figure.axes[0].lines}


def test_figures_draw_the_numbers(plots):
    thresholds = lines(plots["hag_fig6", "photos"])
    assert thresholds["t = 0.5"].get_ydata().tolist() == [3, 4]
    assert thresholds["t = 0"].get_ydata().tolist() == [5]
    assert "hag: 100 iterations, LInf (ε 10/255), HAG, " in plots["hag_fig6", "photos"].caption
    sizes = lines(plots["dhta_fig7", "photos"])
    assert sizes["32 bits"].get_xdata().tolist() == [3, 5, 9]
    assert sizes["32 bits"].get_ydata() == pytest.approx([35, 45, 65])
    assert sizes["32 bits, Original (MAP)"].get_ydata()[0] == 90
    frames = lines(plots["frames", "clips"])
    assert frames["DHTA, 32 bits"].get_xdata().tolist() == [1, 2, 4, 6]
    assert frames["DHTA, 32 bits"].get_ydata() == pytest.approx([30, 40, 60, 80])
    assert list(lines(plots["dhta_fig3", "photos"])) == ["Original", "DHTA"]


def test_a_victim_of_unknown_length_is_drawn(plots):
    runs = {name for name, _ in plots}
    assert {"hag_fig2", "hag_fig3", "hag_fig4", "hag_fig7", "dhta_fig9"} <= runs
    assert plots["hag_fig2", "photos"].title.endswith("for clean queries, unknown bits")
    titles = [axes.get_title() for axes in plots["hag_fig7", "photos"].figure.axes[:3]]
    assert titles == ["clean", "convnet-16", "convnet-None"]


def test_lengths_are_drawn_in_order(tmp_path):
    for bits in (None, 128, 16):
        write(tmp_path / str(bits), run("hag", 0.2, bits=bits, victim_sha256=str(bits)))
    plots = {plot.name: plot for plot in numbered_plots(find_runs([tmp_path]))}
    assert list(lines(plots["hag_fig3"])) == [
        "16 bits", "128 bits", "unknown bits", "16 bits*", "128 bits*", "unknown bits*",
    ]  # fmt: skip


def test_repetitions_are_bands_and_said_to_be(tmp_path):
    for seed, more in ((0, 0.0), (1, 0.2)):
        for n_t in (3, 5, 9):
            rows = run("dhta", n_t / 100 + more, n_t=n_t, epsilon=0.032, seed=seed)
            write_results(tmp_path / f"{seed}{n_t}" / "results.json", rows)
    plots = {plot.name: plot for plot in numbered_plots(find_runs([tmp_path]))}
    assert lines(plots["dhta_fig7"])["32 bits"].get_ydata() == pytest.approx([33, 35, 39])
    assert plots["dhta_fig7"].caption.endswith("Bands: one standard deviation over seeds.")


def test_seeds_and_victims_are_lines_of_their_own(tmp_path):
    for sha, seed in (("a", 0), ("a", 1), ("b", 0)):
        for attack in ("hag", "dhta"):
            rows = run(attack, 0.2, victim_sha256=sha, seed=seed, epsilon=0.032)
            write(tmp_path / f"{attack}{sha}{seed}", rows)
    plots = {}
    for plot in numbered_plots(find_runs([tmp_path])):
        plots.setdefault(plot.title, plot)
    figure = plots["HAG Fig. 3, precision at N"]
    names = ["32 bits, best.ckpt a, seed 0", "32 bits, best.ckpt a, seed 1", "32 bits, best.ckpt b"]
    assert list(lines(figure)) == [*names, *(f"{name}*" for name in names)]
    assert len({line.get_color() for line in lines(figure).values()}) == 3
    assert "A star, and dashes, are the attacked queries" in figure.caption
    title = "DHTA Figs. 3 and 5, precision at N, 32 bits, best.ckpt {}"
    assert [*lines(plots[title.format("a")])] == [
        "Original, seed 0", "DHTA, seed 0", "Original, seed 1", "DHTA, seed 1",
    ]  # fmt: skip
    assert [*lines(plots[title.format("b")])] == ["Original", "DHTA"]


def test_sizes_of_anchor_sets_are_lines_of_their_own(tmp_path):
    for n_t, more in ((5, 0.0), (9, 0.1)):
        for frames in (1, 2, 4):
            rows = run("dhta", frames / 10 + more, frames=frames, n_t=n_t, **CLIPS)
            write_results(tmp_path / f"{n_t}{frames}" / "results.json", rows)
    plots = {plot.name: plot for plot in numbered_plots(find_runs([tmp_path]))}
    found = {name: line.get_ydata() for name, line in lines(plots["frames"]).items()}
    assert found["DHTA, 32 bits; n_t=5"] == pytest.approx([30, 40, 60])
    assert found["DHTA, 32 bits; n_t=9"] == pytest.approx([40, 50, 70])


def test_the_clean_line_is_of_the_same_protocol(tmp_path):
    for n_t in (3, 5, 9):
        write_results(tmp_path / f"d{n_t}" / "results.json", run("dhta", 0.3, n_t=n_t))
    other = [row(attack="none", iteration=0, value=0.1, top_k=5), *run("hag", 0.2, top_k=5)[3:]]
    write_results(tmp_path / "other" / "results.json", other)
    plots = {plot.name: plot for plot in numbered_plots(find_runs([tmp_path]))}
    assert lines(plots["dhta_fig7"])["32 bits, Original (MAP)"].get_ydata()[0] == pytest.approx(90)


def test_what_is_not_at_its_end_is_not_drawn(tmp_path):
    for threshold in (0.0, 0.5):
        rows = [row(metric="hamming_to_clean", threshold=threshold, iteration=50)]
        write_results(tmp_path / str(threshold) / "results.json", rows)
    assert not list(numbered_plots(find_runs([tmp_path])))


@pytest.fixture(scope="module")
def out(world, tmp_path_factory):
    """The report, written by a process that must not have imported anything heavy."""
    folder = tmp_path_factory.mktemp("out")
    code = (
        "import sys; from lightning_hash.commands.report import main\n"
        f"assert main([{str(world)!r}, '--output', {str(folder)!r}]) == 0\n"
        "heavy = {'torch', 'pytorch_lightning', 'torchmetrics', 'jsonargparse', 'torchvision'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return folder


def test_files(out):
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {
        "index.html", "rows.csv", "figures/hag_fig6.pdf", "figures/dhta_fig9.png",
        "tables/hag_table1-photos-convnet.md", "tables/overview-photos-convnet-unknown-bits.tex",
        "tables/dhta_table1-photos-convnet.csv",
    } <= names  # fmt: skip


def test_every_number_is_in_rows_csv_with_its_whole_protocol(world, out):
    rows = list(csv.DictReader((out / "rows.csv").open()))
    assert len(rows) == sum(len(found.rows) for found in find_runs([world]))
    (last,) = [
        r for r in rows
        if (r["attack.name"], r["attack.perturbation.count"], r["metric"]) == ("dhta", "2", "t_map")
    ]  # fmt: skip
    assert (last["attack.step.lr"], last["attack.targets.rule"]) == ("0.0077", "different")
    assert (last["data.input_shape"], last["data.sha256.database"]) == ("[6, 3, 8, 8]", "d")
    assert "attack" not in last
    clean = next(r for r in rows if not r["attack.name"])
    assert (clean["run.draw.seed"], clean["attack.targets.rule"]) == ("0", "")
