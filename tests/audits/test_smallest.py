"""The smallest epsilon of each query: against the closed form, every level tried, and going on."""

import csv
import json
import math
import shutil
from functools import partial

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn
from torchvision.io import decode_image

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.attacks import (
    HAG,
    L2,
    AnchorCode,
    Hinge,
    KnownHashes,
    Noise,
    Oracle,
    SignStep,
    Square,
    TargetChoice,
)
from lightning_hash.audits.curve import Bisection
from lightning_hash.audits.smallest import SmallestSearch, check_smallest
from lightning_hash.commands.api import attack
from lightning_hash.engine.trainer import quiet_trainers
from lightning_hash.functional import from_8bit, sign_code
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.reports.smallest_picture import smallest_figure, smallest_head
from lightning_hash.results.smallest import QuerySmallest, Smallest
from lightning_hash.victims import CodeFunction, Victim
from tests.conftest import BlobData, Blobs, TinyNet
from tests.helpers.commands import SMALL_ATTACK
from tests.helpers.photos import photo_data, read_photo, write_photos
from tests.reference.smallest import (
    bisected,
    level_to_flip,
    smallest_to_leave,
    smallest_to_reach,
)

BITS, SIDE = 8, 8
CORNER = {"objective": Hinge(), "step": partial(SignStep, lr=1.0), "iterations": 2}


class LinearVictim(nn.Module):
    """Eight bits, each the sign of a sum over 24 pixels of its own, weighted by -1 and +1."""

    def __init__(self):
        super().__init__()
        pixels = 3 * SIDE * SIDE
        signs = 1.0 - 2 * (torch.arange(pixels) // BITS % 2)
        of_bit = torch.arange(pixels) % BITS
        self.register_buffer("weights", torch.zeros(BITS, pixels))
        self.weights[of_bit, torch.arange(pixels)] = signs
        self.register_buffer("bias", torch.arange(BITS) * 40 - 120.5)  # never 0 with whole pixels

    def forward(self, images):
        return images.flatten(1) @ self.weights.T + self.bias / 255


@pytest.fixture(scope="module")
def linear():
    victim = LinearVictim()
    generator = torch.Generator().manual_seed(5)
    # Far from 0 and 255, which bound what a pixel may do.
    images = torch.randint(105, 145, (9, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    weights, bias = victim.weights.long().tolist(), victim.bias.tolist()
    levels = [
        [level_to_flip(w, b, image.flatten().tolist()) for w, b in zip(weights, bias, strict=True)]
        for image in images
    ]
    return victim, images, levels


@pytest.mark.parametrize(("stop_at", "most"), [(3, 7), pytest.param(5, 5, marks=pytest.mark.slow)])
def test_leaving_as_in_closed_form(linear, stop_at, most):
    victim, images, levels = linear
    found = lightning_hash.smallest(
        victim, images, stop_at=stop_at, levels=most, accelerator="cpu", **CORNER
    )
    wanted = [smallest_to_leave(each, stop_at, most) for each in levels]
    assert [each.level for each in found.queries] == wanted
    assert len({*wanted}) > 2, levels
    assert found.without == wanted.count(None)
    for each, bits in zip(found.queries, levels, strict=True):
        at = most if each.level is None else each.level
        assert each.distance == sum(level <= at for level in bits) or each.level is not None
        assert (each.distance >= stop_at) == (each.level is not None)
    assert found.rounds == math.ceil(math.log2(most + 1))
    assert max(each.attacks for each in found.queries) <= found.rounds
    assert {each.questions for each in found.queries} == {None}  # gradients are not counted


def test_outputs_that_are_random_are_doubted(linear):
    """Where they all differ by themselves there is no attack that could say so."""
    generator = torch.Generator().manual_seed(0)
    victim = CodeFunction(lambda images: torch.rand(len(images), 64, generator=generator) > 0.5)
    found = lightning_hash.smallest(
        victim, linear[1], stop_at=8, levels=3, accelerator="cpu", iterations=1,
        objective=Hinge(), step=Square, oracle=Oracle("codes"),
    )  # fmt: skip
    assert {each.level for each in found.queries} == {0}
    (said,) = found.run["warnings"]
    assert said.startswith("the victim returns other outputs for the same queries")


def test_reaching_as_in_closed_form(linear, tmp_path):
    victim, images, levels = linear
    with torch.no_grad():
        clean = victim(from_8bit(images)) > 0
    goal = clean[0].clone()
    goal[5:] ^= True  # three bits from the first image
    bits = "".join("1" if bit else "0" for bit in goal.tolist())
    (tmp_path / "known.hex").write_text(f"{int(bits, 2):02x}\n")
    found = lightning_hash.smallest(
        victim, images, stop_at=2, levels=6, accelerator="cpu",
        **{**CORNER, "objective": Hinge(targeted=True)},
        reference=KnownHashes(str(tmp_path / "known.hex")),
    )  # fmt: skip
    wanted = [
        smallest_to_reach(each, (code ^ goal).tolist(), 2, 6)
        for each, code in zip(levels, clean, strict=True)
    ]
    assert [each.level for each in found.queries] == wanted
    assert found.targeted
    assert "d <= 2 of 8 bits to its goal" in smallest_head(found)[0]
    # What is there already is not attacked: these need no more than two bits.
    there = [number for number, level in enumerate(wanted) if level == 0]
    near = (clean ^ goal).sum(dim=1)
    assert there == torch.nonzero(near <= 2).flatten().tolist() != []
    for number in there:
        each = found.queries[number]
        assert (each.distance, each.attacks) == (int(near[number]), 0)
    assert found.runs[0].n == len(images) - len(there)


def test_nothing_is_attacked_where_all_are_there_already(tmp_path):
    (tmp_path / "known.hex").write_text("00\n")
    black = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    found = lightning_hash.smallest(
        nn.Sequential(nn.Flatten(), nn.Linear(192, 8, bias=False)), black, stop_at=0, levels=4,
        objective=AnchorCode(), reference=KnownHashes(str(tmp_path / "known.hex")),
        accelerator="cpu", folder=tmp_path / "kept",
    )  # fmt: skip
    assert [each.level for each in found.queries] == [0, 0]
    assert (found.rounds, found.median, list(found.runs)) == (0, 0.0, [])
    assert (tmp_path / "kept" / "version_0" / "smallest.json").is_file()


IMAGES = Blobs(13, 1).images
WAYS = {
    "hag": ({"objective": HAG(), "iterations": 12}, 1, 7),
    "square": ({"objective": Hinge(), "step": Square, "oracle": Oracle("codes"),
                "iterations": 20}, 2, 60),
}  # fmt: skip


@pytest.mark.parametrize("way", ["hag", pytest.param("square", marks=pytest.mark.slow)])
def test_every_query_as_if_it_were_attacked_with_all_others_at_every_level(way, tmp_path):
    """Bisect by hand on a table of all queries at all levels, each level one attack."""
    options, stop_at, most = WAYS[way]
    victim = TinyNet()
    found = lightning_hash.smallest(
        victim, IMAGES, stop_at=stop_at, levels=most, accelerator="cpu", folder=tmp_path,
        batch_size=100, **options,
    )  # fmt: skip
    asked = sorted({each.level for each in found.runs})
    distances = {}
    for level in asked:
        whole = attack(
            victim, from_8bit(IMAGES), epsilon=f"{level}/255", stop_at=stop_at, evaluate_at=[],
            accelerator="cpu", **options,
        )  # fmt: skip
        distances[level] = (whole.codes != whole.clean_codes).sum(dim=1).tolist()
    for each in found.queries:
        level, seen = bisected(lambda e, q=each.index: distances[e][q] >= stop_at, most)
        assert (each.level, each.attacks) == (level, len(seen)), each
        assert each.distance == distances[most if level is None else level][each.index]
    known = {each.level for each in found.queries}
    assert None in known or len(known) > 4
    assert len(known - {None}) > 3
    assert found.rounds == math.ceil(math.log2(most + 1))
    if way == "square":
        assert all(each.questions >= each.attacks for each in found.queries)
        assert max(each.questions for each in found.queries) <= 20 * found.rounds
    # The PNG at the smallest level is within it, and its code is as far.
    each = next(each for each in found.queries if each.level is not None)
    place = tmp_path / "version_0" / f"level-{each.level:03d}" / "images" / f"{each.index:06d}.png"
    image, clean = decode_image(str(place)), IMAGES[each.index]
    assert int((image.int() - clean.int()).abs().max()) <= each.level
    with torch.no_grad():
        codes = sign_code(victim(from_8bit(torch.stack([image, clean]))))
    assert int((codes[0] != codes[1]).sum()) == each.distance >= stop_at


def test_rounds_and_groups(linear):
    victim, images, _ = linear
    found = lightning_hash.smallest(
        victim, images, stop_at=3, levels=7, accelerator="cpu", **CORNER
    )
    first, *others = found.runs
    assert (first.round, first.level, first.n) == (1, 4, 9)
    assert len({run.level for run in found.runs}) == len(found.runs)
    for number in range(2, found.rounds + 1):
        now = [run for run in others if run.round == number]
        assert [run.level for run in now] == sorted(run.level for run in now)
        assert sum(run.n for run in now) <= len(images)
    second = {run.level: run.n for run in others if run.round == 2}
    wanted = {2: first.succeeded, 6: len(images) - first.succeeded}
    assert second == {level: n for level, n in wanted.items() if n}
    assert sum(run.n for run in found.runs) == sum(each.attacks for each in found.queries)


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5, 8, 31, 32, 255])
def test_bisection_from_the_middle(levels):
    """One query for each level that may be its smallest, and one that has none."""
    answers = [*range(1, levels + 1), None]
    search, rounds = Bisection(len(answers), levels, largest_first=False), 0
    asked = [0] * len(answers)
    while wanted := search.ask():
        rounds += 1
        assert rounds > 1 or list(wanted) == [(levels + 1) // 2]
        for level, rows in wanted.items():
            for row in rows:
                asked[row] += 1
            search.know(
                rows, level, [answers[row] is not None and level >= answers[row] for row in rows]
            )
    assert search.result() == tuple(answers)
    assert rounds == max(asked) == math.ceil(math.log2(levels + 1))


class Kill(Callback):
    """Stands for a kill in an iteration of one of the attacks."""

    def __init__(self, attack, iteration):
        self.place, self.attacks, self.iterations = (attack, iteration), 0, 0

    def on_train_start(self, trainer, module):
        self.attacks += 1

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if (self.attacks, trainer.current_epoch) == self.place:
            raise KeyError("killed")
        self.iterations += 1


def searched(folder, watch=None, levels=1, **options):
    with quiet_trainers(accelerator="cpu") as make:

        def make_trainer(callbacks=(), **more):
            return make(callbacks=[*callbacks, *([] if watch is None else [watch])], **more)

        made = {"stop_at": 3, "n_queries": None, "batch_size": 5, "evaluate_at": [], **options}
        search = SmallestSearch(
            attack=AttackModule(TinyNet(), **made), data=BlobData(), root=folder, levels=levels,
            make_trainer=make_trainer, iterations=8, checkpoint_every=2,
        )  # fmt: skip
        return search.run()


def test_a_search_that_was_killed_goes_on(tmp_path):
    options = {"levels": 7, "stop_at": 1}
    whole, _ = searched(tmp_path / "whole", count := Kill(0, 0), **options)
    assert len(whole.runs) > 3
    assert count.attacks == len(whole.runs)
    with pytest.raises(KeyError, match="killed"):
        searched(tmp_path / "some", Kill(3, 5), **options)
    folder = tmp_path / "some" / "version_0"
    ended = sorted(path.parent.name for path in folder.glob("*/member.json"))
    assert ended == sorted(run.folder for run in whole.runs[:2])
    assert not (folder / "smallest.json").exists()
    again, place = searched(tmp_path / "some", rest := Kill(0, 0), **options)
    assert place == folder
    assert rest.attacks == len(whole.runs) - 2
    # Of the third the first four iterations are kept, for each of 1 to 3 batches.
    batches = math.ceil(whole.runs[2].n / 5)
    assert rest.iterations == count.iterations - 4 * batches - 8 * sum(
        math.ceil(run.n / 5) for run in whole.runs[:2]
    )
    assert again.queries == whole.queries
    assert not list(folder.rglob("last.ckpt"))


@pytest.mark.slow
def test_what_has_ended_or_is_other_is_not_gone_on_with(tmp_path):
    first, _ = searched(tmp_path)
    _, place = searched(tmp_path, again := Kill(0, 0))
    assert (place.name, again.attacks) == ("version_1", len(first.runs))
    (tmp_path / "version_0" / "smallest.json").unlink()
    _, place = searched(tmp_path, other := Kill(0, 0), stop_at=2)
    assert (place.name, other.attacks > 0) == ("version_2", True)
    _, place = searched(tmp_path, same := Kill(0, 0))
    assert (place.name, same.attacks) == ("version_0", 0)
    (place / "smallest.json").unlink()
    member = place / first.runs[0].folder / "member.json"
    member.write_text(member.read_text().replace('"level": 1', '"level": 2'))
    with pytest.raises(ValueError, match="level-001 holds another attack than is run here"):
        searched(tmp_path)


def test_an_attack_that_was_stopped_is_no_failure(tmp_path):
    class Stop(Callback):
        def on_train_epoch_end(self, trainer, module):
            trainer.should_stop = trainer.current_epoch == 3

    with pytest.raises(ValueError, match="stopped after iteration 4 of 8; the same command goes"):
        searched(tmp_path, Stop())
    found, _ = searched(tmp_path)
    whole, _ = searched(tmp_path / "whole")
    assert found.queries == whole.queries


@pytest.mark.slow
def test_targets_are_those_of_one_attack(tmp_path):
    """A query's target and goal are the same at every level that it is attacked at."""
    options = {"objective": AnchorCode(), "targets": TargetChoice(n_t=5), "stop_at": 1,
               "step": partial(SignStep, lr=0.05)}  # fmt: skip
    found, place = searched(tmp_path, levels=3, **options)
    targets = {}
    for run in found.runs:
        for index, each in json.loads((place / run.folder / "targets.json").read_text()).items():
            assert targets.setdefault(index, each) == each
    assert len(targets) == sum(each.attacks > 0 for each in found.queries) > 5
    assert found.attack["targeted"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"victim": [Victim(TinyNet(), bits=8), Victim(TinyNet(6), bits=6)]},
            "victim must be one, got 2",
        ),
        ({"stop_at": None}, "stop_at must be a Hamming distance"),
        ({"objective": Noise()}, "objective noise is not iterated"),
        ({"surrogates": TinyNet(6)}, "surrogates: stop_at would look at their codes"),
        ({"epsilon_space": "normalized"}, "epsilon_space must be pixel, got normalized"),
        ({"budget": L2}, "budget must be LInf, got L2"),
        ({"jpeg": 80}, "jpeg must be null, got 80: success is that of 8-bit images"),
    ],
)
def test_an_attack_that_has_no_smallest_epsilon(options, message):
    made = AttackModule(**{"victim": TinyNet(), "stop_at": 2, **options})
    with pytest.raises(ValueError, match=message):
        check_smallest(made, 8)


def test_a_distance_that_no_code_has():
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))  # its bits are known after a pass
    with pytest.raises(
        ValueError, match="stop_at must be a Hamming distance of codes of 5 bits, got 6"
    ):
        lightning_hash.smallest(network, IMAGES[:2], stop_at=6, levels=1, accelerator="cpu")


def bright_columns(images):
    """Eight bits: whether each column is brighter than a half of what the others can be."""
    return images.reshape(len(images), 8, 8, 3).mean(axis=(1, 3)) > 119


@pytest.mark.slow
def test_a_victim_of_codes_alone():
    found = lightning_hash.smallest(
        Victim(CodeFunction(bright_columns)), IMAGES[:4], stop_at=3, levels=15, iterations=5,
        accelerator="cpu", objective=Hinge(), step=Square, oracle=Oracle("codes"),
    )  # fmt: skip
    known = [each for each in found.queries if each.level is not None]
    assert known
    assert all(each.distance >= 3 and each.questions > 0 for each in known)


def result(levels, most=8):
    queries = tuple(QuerySmallest(n, f"{n}.png", level, 3, 2, 9) for n, level in enumerate(levels))
    return Smallest(
        stop_at=3, targeted=False, levels=most, bits=8, victim={"name": "v"}, run={}, runs=(),
        data={"dataset": "d"}, attack={"name": "hag", "iterations": 5}, queries=queries,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "median", "without", "succeeded"),
    [
        ([4], 4, 0, [0, 0, 0, 0, 1, 1, 1, 1, 1]),
        ([None], None, 1, [0] * 9),
        ([3, None, 1], 3, 1, [0, 1, 1, 2, 2, 2, 2, 2, 2]),
        ([2, None], None, 1, [0, 0, 1, 1, 1, 1, 1, 1, 1]),
        ([0, 8, 2, 5], 3.5, 0, [1, 1, 2, 2, 2, 3, 3, 3, 4]),
        ([0, None, None], None, 2, [1] * 9),
    ],
)
def test_median_and_curve(levels, median, without, succeeded):
    found = result(levels)
    assert (found.median, found.without, found.succeeded) == (median, without, succeeded)
    (line, *_) = smallest_figure(found).axes[0].lines
    assert line.get_ydata() == pytest.approx([each / len(levels) for each in succeeded])
    said = smallest_head(found)[1]
    assert f"median {'above 8/255' if median is None else f'{median:g}/255'}, {without}" in said


def test_the_files(tmp_path):
    found = result([4, None])
    path = found.write(tmp_path)
    rows = list(csv.reader((tmp_path / "smallest.csv").open()))
    assert rows == [
        ["index", "path", "level", "distance", "attacks", "questions"],
        ["0", "0.png", "4", "3", "2", "9"],
        ["1", "1.png", "", "3", "2", "9"],
    ]
    content = json.loads(path.read_text())
    assert (content["schema"], content["median"], content["without"]) == (1, None, 1)
    assert content["queries"][1]["level"] is None


def test_the_verb(with_victim, capsys):
    line = ["smallest", *SMALL_ATTACK, "--model.stop_at=10", "--levels=6",
            "--trainer.max_epochs=6", "--name=a/b", "--images=1"]  # fmt: skip
    assert main(line) == 0
    folder = with_victim / "runs" / "smallest" / "a" / "b" / "version_0"
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "runs/smallest/a/b/version_0/smallest.json"
    assert "hag, 6 iterations, d >= 10 of 32 bits to its code" in printed
    assert "round 1, 3/255: " in printed
    content = json.loads((folder / "smallest.json").read_text())
    assert "epsilon" not in content["attack"]["budget"]
    assert content["attack"]["stop_at"] == 10
    assert (content["data"]["n_query"], len(content["queries"])) == (8, 8)
    assert content["victim"]["sha256"]
    runs = content["runs"]
    assert (runs[0]["n"], runs[0]["level"]) == (8, 3)
    rows = json.loads((folder / "level-003" / "results.json").read_text())
    assert rows[-1]["data"]["n_database"] == 200
    attacks = [row["attack"] for row in rows if row["attack"] and row["attack"]["name"] == "hag"]
    assert {each["budget"]["epsilon"] for each in attacks} == {3 / 255}
    assert len(list((folder / "level-003" / "images").iterdir())) == 1
    assert (folder / "level-003" / "config.yaml").read_text() == (
        folder / "config.yaml"
    ).read_text()
    assert decode_image(str(folder / "smallest.png")).shape[0] >= 3
    (folder / "smallest.json").unlink()
    shutil.rmtree(folder / runs[-1]["folder"])
    assert main([*line, "--quiet"]) == 0
    again = json.loads((folder / "smallest.json").read_text())
    assert again["queries"] == content["queries"]
    assert capsys.readouterr().out.count("\n") == 1


def test_files_in_their_own_size(tmp_path):
    """The image that is written at the smallest level has left; what it was at counts as a file."""
    data, network = photo_data(write_photos(tmp_path / "photos")), TinyNet(64)
    found = lightning_hash.smallest(
        network, data, stop_at=4, levels=15, iterations=6, folder=tmp_path / "found",
        accelerator="cpu", step=partial(SignStep, lr=2 / 255), resolution="original", batch_size=8,
    )  # fmt: skip
    (version,) = (tmp_path / "found").glob("version_*")
    levels = [each.level for each in found.queries]
    assert len({*levels} - {None}) > 2
    for each in found.queries:
        if each.level in (None, 0):
            continue
        clean = data.query_set.path(each.index)
        if clean.suffix == ".jpg":  # lies on its side
            continue
        sent = version / f"level-{each.level:03d}" / "images" / f"{each.index:06d}.png"
        with torch.no_grad():
            codes = [network(read_photo(path)[None]) > 0 for path in (clean, sent)]
        assert int((codes[0] != codes[1]).sum()) == each.distance >= 4
        change = decode_image(str(clean)).int() - decode_image(str(sent)).int()
        assert int(change.abs().max()) <= each.level
