"""Checkpoints, codes, targets and indices that an attack is given."""

import json
from pathlib import Path

import numpy as np
import torch

from tests.bad_input import Case
from tests.bad_input.files_of_victims import (
    DAMAGE,
    KEY,
    OF_ANY,
    OF_FIT,
    OF_STATES,
    checkpoints,
    state_dicts,
)
from tests.bad_input.made import WITH_DATA, changed, retensor, spoil, write_json

ATTACK = (
    f"attack {WITH_DATA} --runs {{tmp}}/o --trainer.max_epochs 2 --model.n_queries null "
    "--model.kernels float32"
)
ON = f"{ATTACK} --model.victim {{tmp}}/v.ckpt"
HASHES = f"{ON} --config attack/dhta --model.reference '{{class_path: KnownHashes, init_args: {{"
DHTA = f"{ON} --config attack/dhta --model.targets.file"
SIDE = f"{ON} --model.side candidate --model.objective AnchorCode"
TEN = "--model.ranking.precision_n 10"
CANDIDATES = {
    "": ("the database has 36 items, too few for the first 100 of them",),
    TEN: ("n_t = 9: a target label must occur more than n_t times in the query set",),
    f"{TEN} --model.targets.label 7 --model.targets.n_t 1": (
        "label must be one of 3 classes, from 0 on, got 7",
    ),
    f"{TEN} --model.targets.label 1 --model.targets.n_t 3": (
        "label 1: 2 items of the query set have it, n_t is 3",
        "(none), or lower n_t",
    ),
    f"{TEN} --model.targets.label 1 --model.targets.own_anchors true": (
        "label 1: 2 items of the query set have it, n_t is 9",
    ),
    f"{TEN} --model.targets.label -1": ("label must be the number",),
    f"{TEN} --model.targets.own_anchors true": ("own_anchors goes with label",),
    f"{TEN} --model.n_queries null --model.query_index [40]": (
        "query_index: 40 is none of the 36 database items of",
    ),
    f"{TEN} --model.target_database both": ("side candidate", "target_database 'both'"),
    f"{TEN} --model.ranking.ties stable": ("ranking.ties: ranks of candidates are averaged",),
    f"{TEN} --model.step Square --model.oracle Oracle --model.oracle.shows ids": (
        "side candidate: the oracle shows ids",
    ),
}
ONE = f"{ON} --model.perturbation Universal"
PATCH = f"{ON} --model.perturbation Patch"
SHARED = {  # perturbations that images share: what does not go together, and what the line says
    f"{ONE} --data.train '1 from train'": "Universal is one for all images and learns on a trai",
    f"{PATCH} --model.budget Box --data.train '1 from train'": "of which data has 1 items; give da",
    f"{ONE} --model.perturbation.size 0": "size must be a side of at least 1 pixel",
    f"{ONE} --model.perturbation.size 32 --model.budget L2": "budget L2 bounds the change of a who",
    f"{ONE} --model.step Square": "Square asks about queries one by one, and Universal is shared",
    f"{ONE} --model.step APGD": "APGD keeps a best point for each query: Universal must",
    f"{ONE} --model.stop_finished true": "stop_finished: Universal is shared by all queries",
    PATCH: "no ball around the image: give budget Box, got LInf",
    f"{PATCH} --model.budget Box --model.epsilon_space normalized": "budget Box is in [0, 1]",
    f"{PATCH} --model.budget Box --model.perturbation.side 17": "larger than the image of 16 x 16",
    f"{PATCH} --model.budget Box --model.perturbation.area 1.1": "area must be in (0, 1]",
    f"{PATCH} --model.budget Box --model.perturbation.top 15": "leaves the image of 16; give at",
    f"{PATCH} --model.budget Box --model.perturbation.left a": "left must be pixels or a share",
    f"{ON} --model.objective SSTUAA": "PerQuery does not add the same to all images; give",
    f"{ONE} --model.objective SSTUAA --model.objective.margin 2": "margin must be in [0, 2), got 2",
    f"{ONE} --model.objective SSTUAA --model.kernels folded": "which folding and compiling change",
    f"{ONE} --config attack/dhta --model.targets.label 3": "label must be one of 3 classes, from 0",
}
BY = f"{ON} --model.surrogates"
A = f"{BY} {{tmp}}/v.ckpt"
START = "--model.start SurrogateStart"
SURROGATES = {  # surrogates and starts that do not go with an attack, and what the line says
    f"{A} --config attack/square": "model.surrogates: Square asks the victim and follows no gradi",
    f"{ON} --config attack/square {START}": "SurrogateStart follows the gradient of surrogates; g",
    f"{ON} --config attack/square_surrogate": "follows the gradient of surrogates; give surrogat",
    f"{A} {START}": "SurrogateStart is where a search begins, and SGD follows a gradient: give",
    f"{A} --config attack/square {START} --model.start.iterations 0": "iterations must be at leas",
    f"{A} --config attack/square {START} --model.start.objective AnchorCode": "dhta is targeted",
    f"{A} --config attack/square {START} --model.start.step Square": "follows a gradient; give HA",
    f"{A} --config attack/noise --trainer.max_epochs 100": "objective noise is not iterated",
    f"{BY} {{tmp}}/absent.ckpt": "surrogates: {tmp}/absent.ckpt does not exist; make it with",
    f"{BY} {{tmp}}/attack.ckpt": "attack.ckpt is a checkpoint of kind 'attack', not 'victim'",
    f"{BY} []": "surrogates must be at least one model, got []; leave surrogates out",
    f"{BY} '[{{tmp}}/v.ckpt, {{tmp}}/v.ckpt]'": "two victims of the list have the same weights",
    f"{ON} --model.start RunStart --model.start.run {{tmp}}": "safetensors is not in it; give the",
    f"{ON} --model.start RunStart --model.start.run {{tmp}}/run --model.start_seed 1": "leave one",
    f"{ON} --model.start RunStart --model.start.run {{tmp}}/run --model.n_queries 3": "other data",
    f"{ONE} --model.start RunStart --model.start.run {{tmp}}/run": "start: Universal is shared by",
}
QUERIES = {
    "float": ("1.5\n", "must be a whole number from 0 on, got 1.5"),
    "negative": ("-1\n", "must be a whole number from 0 on, got -1"),
    "twice": ("1\n1\n", "index 1 is there 2 times"),
    "far": ("99\n", "99 is none of the 6 queries"),
    "word": ("x\n", "word.txt:1: a row must hold numbers, got 'x'"),
    "nan": ("nan\n", "must be a whole number from 0 on, got nan"),
    "none": ("", "none.txt is empty"),
}
TARGETS = {
    "short": ("target", [1], "has 1 columns, the labels of the database 3"),
    "two": ("target", [2, 0, 0], "target must be labels of 0 and 1, got [2, 0, 0]"),
    "text": ("target", "x", "target must be labels of 0 and 1, got 'x'"),
    "items": ("anchor", None, "anchor must be database indices, got None"),
    "others": ("anchor", [0, 1, 2, 3, 4, 5, 6, 7, 8], "have other labels than its target"),
    "fewer": ("anchor", [3], "the anchor set of query 0 has 1 items, n_t is 9"),
}
SEARCHES = {  # behind a preset of a search
    "--model.oracle.shows ids": "ids of the first 100 items need a database of as many, it has",
    "--model.oracle.shows codes --model.objective SAAT": "saat needs logits, which codes hide",
    "--model.oracle.shows ids --model.oracle.top 0": "top must be at least 1, got 0",
    "--trainer.max_epochs 0": "max_epochs (the iterations) must be at least 1, got 0",
    "--model.step.share 2": "share must be in (0, 1], got 2",
    "--model.stop_at 0": "stop_at must be a Hamming distance from 1 on, got 0",
    "--model.stop_at 9": "stop_at must be a Hamming distance of codes of 8 bits, got 9",
    "--model.stop_at 3 --model.oracle.shows ids --model.oracle.top 2": "which an oracle of ids hi",
    "--model.stop_finished true": "Square is a search, which asks and accepts by itself",
    "--model.budget L2": "proposes corners of an L-infinity ball, the budget is L2",
}
OTHERS = {
    "--model.resolution original --model.perturbation Universal": "resolution: original is for pe",
    "--model.resolution original --data SamplePhotos": "takes image files in their own size, and",
    "--model.jpeg 0": "jpeg must be a quality from 1 to 100, or null, got 0",
    "--model.start RunStart --model.start.run {tmp}/run --model.resolution original": "give it r",
    "--model.oracle Oracle": "step SGD takes the gradient, which no oracle shows; leave oracle",
    "--config attack/apgd --model.step.rho 2": "rho must be in [0, 1], got 2",
    "--config attack/feature_shift --model.start_seed null": "of 0 at the clean query, where this",
    "--config attack/apgd --model.stop_finished true": "the victim sees others with APGD",
    "--config attack/apgd_l2 --model.epsilon 0": "epsilon must be positive and finite, got 0",
    "--config attack/nes --model.step.pairs 0": "pairs must be positive, got 0",
    "--model.objective Hinge --model.objective.margin 0": "margin must be positive, got 0",
}


def prepare(folder: Path) -> None:
    (folder / "short.hex").write_text("0f0f\n")
    (folder / "letter.hex").write_text("zz\n")
    checkpoints(folder / "ckpt", folder / "attack.ckpt")
    checkpoints(folder / "victims", folder / "v.ckpt")
    state_dicts(folder / "states", folder / "v.ckpt")
    content = torch.load(folder / "attack.ckpt", weights_only=True)
    rows = content[KEY]["queries"]["rows"]
    for name, change in {
        "shape": {"parameter/delta": rows["parameter/delta"][:, :1]},
        "fewer": {"parameter/delta": rows["parameter/delta"][:3]},
    }.items():
        entry = {**content[KEY], "queries": {**content[KEY]["queries"], "rows": {**rows, **change}}}
        torch.save({**content, KEY: entry}, folder / f"ckpt/{name}.ckpt")
    for name, (text, _) in QUERIES.items():
        (folder / f"{name}.txt").write_text(text)
    targets = json.loads((folder / "run/targets.json").read_text())
    query = next(iter(targets))
    for name, (part, value, _) in TARGETS.items():
        write_json(folder / f"t_{name}.json", changed(targets, f"{query}.{part}", value))
    for name, text in {"empty": "", "list": "[]", "none": "{}", "deep": "[" * 100_000}.items():
        (folder / f"t_{name}.json").write_text(text)
    np.save(folder / "rows.npy", np.full((6, 3), 0.5))
    np.save(folder / "few.npy", np.eye(3, dtype=np.uint8))
    source = folder / "database.safetensors"
    retensor(source, folder / "64.safetensors", {"bits": "64"})
    retensor(source, folder / "order.safetensors", labels=lambda labels: labels.flip(0))
    spoil(source, folder / "codes", "half")


CASES: list[Case] = [
    (f"{HASHES}file: {{tmp}}/absent.hex}}}}'", 1, ("absent.hex does not exist", "a hash a line")),
    (f"{HASHES}file: {{tmp}}/a.txt}}}}'", 1, ("a list of hashes ends in .hex or .b64",)),
    (f"{HASHES}file: {{tmp}}/short.hex}}}}'", 1, ("hashes of 16 bits", "of one model")),
    (f"{HASHES}file: {{tmp}}/letter.hex}}}}'", 1, ("letter.hex:1: 'zz' is no hexadecimal",)),
    (
        f"{HASHES}file: {{tmp}}/short.hex, choose: far}}}}'",
        2,
        ("there is no 'far'", "nearest, drawn"),
    ),
    *((line, 1, (words,)) for line, words in SHARED.items()),
    *((line, 1, (words,)) for line, words in SURROGATES.items()),
    ("attack --model.resolution half", 2, ("resolution: there is no 'half'", "input, original")),
    (
        "attack --config attack/patch --model.perturbation.place any",
        2,
        ("--model.perturbation.place: there is no 'any'; there are: fixed, random",),
    ),
    (
        "attack --config attack/candidate --model.targets ClassTarget --model.targets.label 2",
        2,
        ("model.targets: there is no 'ClassTarget'", "TargetChoice"),
    ),
    (f"{ON} --model.start RunStart", 2, ("--model.start: RunStart needs run; give --model.st",)),
    ("attack --config attack/dhta --model.targets.label cat", 2, ("targets.label", "no 'cat'")),
    *(
        (f"{ON} --ckpt_path {{tmp}}/ckpt/{kind}/attack.ckpt", 1, (f"{kind}/attack.ckpt",))
        for kind in DAMAGE.split()
    ),
    *(
        (f"{ON} --ckpt_path {{tmp}}/ckpt/{name}.ckpt", 1, (f"ckpt/{name}.ckpt", words))
        for name, words in OF_ANY.items()
    ),
    (
        f"{ON} --ckpt_path {{tmp}}/ckpt/shape.ckpt",
        1,
        ("parameter/delta has the shape (6, 1, 16, 16)",),
    ),
    (
        f"{ON} --ckpt_path {{tmp}}/ckpt/fewer.ckpt",
        1,
        ("parameter/delta has the shape (3, 3, 16, 16)",),
    ),
    (f"{ON} --ckpt_path {{tmp}}/v.ckpt", 1, ("kind 'victim', not 'attack'", "fit saved it")),
    (
        f"{ON} --ckpt_path {{tmp}}/attack.ckpt --model.seed 3",
        1,
        ("belongs to another attack", "seed"),
    ),
    (f"{ON} --ckpt_path {{tmp}}/absent.ckpt", 1, ("ckpt_path: attack {tmp}/absent.ckpt does not",)),
    *(
        (f"{ATTACK} --model.victim {{tmp}}/victims/{name}.ckpt", 1, (OF_FIT[name],))
        for name in ("bits", "nan", "lost", "backbone")
    ),
    *(
        (
            f"{ATTACK} --model.victim "
            f"'{{source: {{tmp}}/states/{name}.pth, backbone: convnet, bits: 8}}'",
            1,
            (OF_STATES[name],),
        )
        for name in ("half/good", "shape", "two")
    ),
    *((f"{ON} --config attack/square {given}", 1, (words,)) for given, words in SEARCHES.items()),
    *((f"{ON} {given}", 1, (words,)) for given, words in OTHERS.items()),
    (f"{ON} --config attack/square --model.oracle.shows all", 2, ("shows", "logits, codes, dist")),
    (
        f"{ATTACK} --config attack/square --model.victim '{{source: os:getcwd, output: codes}}'",
        1,
        ("is a function, which is run", "--trust"),
    ),
    (
        f"{ON} --trainer.callbacks '[{{class_path: lightning_hash.engine.callbacks.RunFolder, "
        "init_args: {images: -1}}]'",
        1,
        ("images must be a whole number of at least 0, or null for all, got -1",),
    ),
    (f"{ON} --codes {{tmp}}/64.safetensors", 1, ("header says 64 bits",)),
    (f"{ON} --codes {{tmp}}/order.safetensors", 1, ("items are not those of data", "order")),
    (
        f"{ON} --codes {{tmp}}/codes/half/database.safetensors",
        1,
        ("truncated or no safetensors file",),
    ),
    (f"{ON} --codes {{tmp}}/absent.npy", 1, ("codes {tmp}/absent.npy does not exist",)),
    *(
        (f"{ON} --model.query_index {{tmp}}/{name}.txt", 1, (words,))
        for name, (_, words) in QUERIES.items()
    ),
    *(
        (f"{DHTA} {{tmp}}/t_{name}.json", 1, (f"t_{name}.json", words))
        for name, (*_, words) in TARGETS.items()
    ),
    (f"{DHTA} {{tmp}}/t_empty.json", 1, ("t_empty.json is no JSON: it is empty",)),
    (f"{DHTA} {{tmp}}/t_list.json", 1, ("t_list.json: must be an object",)),
    (f"{DHTA} {{tmp}}/t_none.json", 1, ("t_none.json: holds no targets",)),
    (f"{DHTA} {{tmp}}/t_deep.json", 1, ("t_deep.json is nested too deeply",)),
    (f"{DHTA} {{tmp}}/absent.json", 1, ("absent.json: cannot read the targets",)),
    (f"{DHTA} {{tmp}}/rows.npy", 1, ("rows.npy: labels must be 0 or 1, got 0.5",)),
    *((f"{SIDE} {options}", 1, words) for options, words in CANDIDATES.items()),
    (
        f"{ON} --model.objective CandidateAttack",
        1,
        ("objective ca-plus attacks items of the database; give side: candidate",),
    ),
    (
        f"attack {WITH_DATA} --model.side candidat",
        2,
        ("--model.side: there is no 'candidat'; there are: candidate, query",),
    ),
    (
        f"{ON} --model.metrics '[RankPercentile]'",
        1,
        ("rank_percentile is of candidates", "give side: candidate"),
    ),
    (f"{ON} --model.objective PTA --model.objective.positives 0", 1, ("positives and negatives",)),
    (f"{DHTA} {{tmp}}/few.npy", 1, ("few.npy: no target for query 3",)),
]
