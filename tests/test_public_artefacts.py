"""What ten public repositories leave behind, in their formats, taken by the README's own commands.

Each test writes small files as the code of the repository that it names writes them: a list of its
data, a state dict of its network, its codes.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import alexnet, resnet18

from lightning_hash.__main__ import main

N, CLASSES, BITS = 24, 3, 8
KINDS = np.arange(N) % CLASSES
HOT = np.eye(CLASSES, dtype=int)[KINDS]
RANDOM = np.random.default_rng(0)
# Codes that tell the classes apart, with some bits wrong.
SIGNS = np.where(RANDOM.random((CLASSES, BITS)) > 0.5, 1, -1)[KINDS]
SIGNS = np.where(RANDOM.random(SIGNS.shape) < 0.1, -SIGNS, SIGNS)
QUERY, DATABASE = slice(0, 6), slice(6, N)
FAST = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with an image for each item, where the test runs."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    for number in range(N):
        pixels = RANDOM.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(f"images/{number}.jpg")
    return tmp_path


def names(prefix="images/"):
    return [f"{prefix}{number}.jpg" for number in range(N)]


def write(file, rows, end="\n"):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("".join(f"{row}{end}" for row in rows))


def rows_of(labels):
    return [" ".join(map(str, row)) for row in labels]


def check_list(capsys, *options):
    """Run the README's check of a data set; return its counts."""
    capsys.readouterr()
    line = ["check-data", "--data=ListDataModule", "--data.folder=.", "--data.size=32", *options]
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["wrong"]
    return found["items"], {split: sum(n.values()) for split, n in found["labels"].items()}


def score(capsys, *options):
    """Run the README's score of codes in files; return MAP."""
    capsys.readouterr()
    assert main(["score", *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)[0]["value"]


@pytest.fixture
def expected(tmp_path, capsys):
    """MAP of the codes and labels above, which every repository's files must give."""
    for name, rows in (("q", QUERY), ("d", DATABASE)):
        np.savetxt(tmp_path / f"{name}.txt", np.hstack([HOT[rows], SIGNS[rows]]), fmt="%d")
    files = f"--query={tmp_path}/q.txt", f"--database={tmp_path}/d.txt"
    return score(capsys, *files, f"--bits={BITS}")


def attack(*options):
    line = ["attack", "--config=attack.yaml"] if Path("attack.yaml").exists() else ["attack"]
    line += ["--trust", *options]  # for functions that make a network
    return main([*line, *FAST, "--trainer.max_epochs=2", "--model.kernels=float32"])


def encode(capsys, data, victim):
    """Run the README's encode with a state dict; return the codes of the queries."""
    line = ["encode", *data, f"--model.victim={victim}", "--split=query", "--output=out.npy", *FAST]
    own = ["--trust"] if ":dsh" in victim else []
    assert main([*line, *own]) == 0
    return np.load("out.npy")


def write_parts(end="\n", prefix="images/"):
    """Write train.txt, test.txt and database.txt of ``path l1 ... lC``."""
    rows = [f"{path} {row}" for path, row in zip(names(prefix), rows_of(HOT), strict=True)]
    for name, part in (("train", DATABASE), ("test", QUERY), ("database", DATABASE)):
        write(f"{name}.txt", rows[part], end)


COUNTS = {"train": N - 6, "query": 6, "database": N - 6}
LISTS = ["--data=ListDataModule", "--data.folder=.", "--data.size=32"]


def test_thuml_hashnet(place, capsys, expected):
    """thuml/HashNet: caffe's lists in eight parts; codes whose query labels have -1 for 0."""
    rows = [f"./{path} {row} " for path, row in zip(names(), rows_of(HOT), strict=True)]
    for kind, part in (("test", rows[QUERY]), ("database", rows[DATABASE])):
        for number in range(3):  # theirs are eight
            write(f"test/{kind}{number}.txt", part[number::3])
    write("train.txt", rows[DATABASE])
    counts, labels = check_list(
        capsys, "--data.query=test", "--data.sources.test=test/test*.txt",
        "--data.sources.database=test/database[0-9].txt",
    )  # fmt: skip
    assert counts == labels == COUNTS
    saved = "iter_10000"  # pytorch/src/test.py
    np.save(f"{saved}_database_code.npy", SIGNS[DATABASE].astype(np.float32))
    np.save(f"{saved}_database_labels.npy", HOT[DATABASE].astype(np.float32))
    np.save(f"{saved}_test_code.npy", SIGNS[QUERY].astype(np.float32))
    np.save(f"{saved}_test_labels.npy", (HOT[QUERY] * 2 - 1).astype(np.float32))
    files = f"--query={saved}_test_code.npy", f"--database={saved}_database_code.npy"
    assert score(capsys, *files) == expected


def test_swuxyj_deephash_pytorch(place, capsys, expected):
    """swuxyj/DeepHash-pytorch: ``path 0 0 1``, ResNet with a hash layer, tst_binary.npy."""
    write_parts()
    assert check_list(capsys)[0] == COUNTS

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            own = resnet18()
            for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
                setattr(self, name, getattr(own, name))
            self.hash_layer = nn.Linear(own.fc.in_features, BITS)

    torch.save(ResNet().state_dict(), "model.pt")
    victim = f"{{source: model.pt, backbone: resnet18, bits: {BITS}}}"
    assert encode(capsys, LISTS, victim).shape == (6, BITS)
    for name, part in (("tst", QUERY), ("trn", DATABASE)):
        np.save(f"{name}_binary.npy", SIGNS[part].astype(np.float32))
        np.save(f"{name}_label.npy", HOT[part])
    assert score(capsys, "--query=tst_binary.npy", "--database=trn_binary.npy") == expected


@pytest.mark.filterwarnings("ignore:codes database_hash.txt do not say which model")
def test_jiawangbai_dhta(place, capsys, expected):
    """jiawangbai/DHTA-master: lists that end in blanks, label and code in a row, reproduce/."""
    write_parts(end=" \n")
    assert check_list(capsys)[0] == COUNTS
    for name, part in (("query", QUERY), ("database", DATABASE)):
        write(f"{name}_hash.txt", rows_of(np.hstack([HOT[part], SIGNS[part]])), " \n")
    files = ["--query=query_hash.txt", "--database=database_hash.txt"]
    assert score(capsys, *files, f"--bits={BITS}") == expected
    Path("reproduce").mkdir()
    chosen, targets = [4, 1, 3], [2, 0, 1]
    members = [np.flatnonzero(KINDS[DATABASE] == target)[[4, 0, 2]] for target in targets]
    np.savetxt("reproduce/attack_query_index.txt", np.array(chosen))
    np.savetxt("reproduce/target_labels.txt", np.eye(CLASSES)[targets])
    np.savetxt("reproduce/anchor_generation_indexes.txt", np.array(members))
    write("attack.yaml", [
        "model:", "  objective: {class_path: lightning_hash.attacks.AnchorCode}",
        "  query_index: reproduce/attack_query_index.txt", "  targets:",
        "    class_path: lightning_hash.attacks.TargetChoice", "    init_args:",
        "      n_t: 3", "      file: reproduce/target_labels.txt",
        "      anchors: reproduce/anchor_generation_indexes.txt",
        "      queries: reproduce/attack_query_index.txt",
    ])  # fmt: skip
    victim = "--model.victim={source: tests.test_public_artefacts:dsh}"
    assert attack(*LISTS, victim, "--name=published", "--codes=database_hash.txt") == 0
    folder = Path("runs/attack/published/version_0")
    assert (folder / "query_index.txt").read_text() == "4\n1\n3\n"
    found = json.loads((folder / "targets.json").read_text())
    assert list(found) == ["4", "1", "3"]
    for query, target, anchors in zip(chosen, targets, members, strict=True):
        assert found[str(query)] == {
            "target": HOT[target].tolist(), "anchor": anchors.tolist()
        }  # fmt: skip


def test_yuanli2333_csq(place, capsys, expected):
    """yuanli2333/Hadamard-Matrix-for-hashing (CSQ): tanh outputs with 1-D labels, clips' lists."""
    write_parts()
    assert check_list(capsys)[0] == COUNTS
    random = np.random.default_rng(1).uniform(0.04, 0.99999, SIGNS.shape)
    for name, part in (("test", QUERY), ("database", DATABASE)):  # video/hash_test.py
        np.save(f"{name}_hash.npy", (SIGNS * random)[part].astype(np.float32))
        np.save(f"{name}_label.npy", KINDS[part].astype(np.float32))
        np.save(f"{name}_path.npy", np.array(names()[part]))
    with pytest.warns(UserWarning, match=r"_hash\.npy: real values .* of which the signs"):
        assert score(capsys, "--query=test_hash.npy", "--database=database_hash.npy") == expected
    for name, part in (("train", DATABASE), ("test", QUERY), ("others", DATABASE)):
        rows = zip(KINDS[part], names("")[part], strict=True)
        write(f"hmdb51_split1_{name}.txt", [f"{i}\t{k}\t{p}" for i, (k, p) in enumerate(rows)])
    write("mapping_table.txt", [f"{number}\t{'abc'[number]}" for number in range(CLASSES)])
    files = "{train: hmdb51_split1_train.txt, test: hmdb51_split1_test.txt, database: "
    counts, labels = check_list(
        capsys, f"--data.sources={files}hmdb51_split1_others.txt}}", "--data.query=test",
        "--data.root=images", "--data.class_names=mapping_table.txt",
    )  # fmt: skip
    assert counts == labels == COUNTS


class DSH(nn.Module):
    """The network of weixu000/DSH-pytorch, on images of 32 x 32."""

    def __init__(self, bits=BITS):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(inplace=True), nn.AvgPool2d(3, 2),
            nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(inplace=True), nn.AvgPool2d(3, 2),
        )  # fmt: skip
        self.fc = nn.Sequential(
            nn.Linear(64 * 3 * 3, 500), nn.ReLU(inplace=True), nn.Linear(500, bits)
        )

    def forward(self, inputs):
        return self.fc(self.conv(inputs).flatten(1))


def dsh():
    """What a user writes for a network of one's own: module:function in the victim's source."""
    network = DSH()
    if Path("000.pth").exists():
        network.load_state_dict(torch.load("000.pth", weights_only=True))
    return network


@pytest.mark.slow
def test_weixu000_dsh_pytorch(place, capsys):
    """weixu000/DSH-pytorch: 000.pth of its own small network, by a function; an attack on it."""
    write_parts()
    torch.manual_seed(1)
    torch.save(DSH().state_dict(), "000.pth")
    codes = encode(capsys, LISTS, "{source: tests.test_public_artefacts:dsh}")
    torch.manual_seed(2)
    assert np.array_equal(codes, encode(capsys, LISTS, "{source: tests.test_public_artefacts:dsh}"))
    victim = "--model.victim={source: tests.test_public_artefacts:dsh, output: logits}"
    assert attack(*LISTS, victim, "--model.n_queries=3", "--name=dsh") == 0


def test_flyingpot_pytorch_deephash(place, capsys, expected):
    """flyingpot/pytorch_deephash: tensors in files without a suffix; class numbers."""
    Path("result").mkdir()
    for name, part in (("train", DATABASE), ("test", QUERY)):  # rounded sigmoid outputs
        bits = torch.from_numpy((SIGNS[part] + 1) / 2).float()
        torch.save(bits, f"result/{name}_binary")
        torch.save(torch.from_numpy(KINDS[part]), f"result/{name}_label")
    files = "--query=result/test_binary", "--database=result/train_binary"
    assert score(capsys, *files) == expected


def test_treezzz_dsdh(place, capsys, expected):
    """TreezzZ/DSDH_PyTorch: img_tc10 beside targets_onehot_tc10; one .pt of codes and labels."""
    write("img_tc10.txt", names())
    write("targets_onehot_tc10.txt", rows_of(HOT))
    counts, _ = check_list(
        capsys, "--data.sources={all: {images: img_tc10.txt, labels: targets_onehot_tc10.txt}}",
        "--data.train=5 from all", "--data.query=6 from all", "--data.database=rest of all",
    )  # fmt: skip
    assert counts == {"train": 5, "query": 6, "database": N - 11}
    for name, part in (("train", DATABASE), ("test", QUERY), ("database", DATABASE)):  # tc21
        write(f"{name}_img.txt", names()[part])
        write(f"{name}_label_onehot.txt", rows_of(HOT[part]))
    assert check_list(capsys)[0] == COUNTS
    network = alexnet(num_classes=BITS).state_dict()
    small = {name: value[:1] for name, value in network.items() if name.endswith("bias")}
    named = {"qB": SIGNS[QUERY], "qL": HOT[QUERY], "rB": SIGNS[DATABASE], "rL": HOT[DATABASE]}
    saved = {name: torch.from_numpy(value).float() for name, value in named.items()}
    torch.save({**saved, "model": small, "map": torch.tensor(0.5)}, "nus_map_0.5.pt")
    assert score(capsys, "--query=nus_map_0.5.pt", "--database=nus_map_0.5.pt") == expected


def test_jiangqy_adsh(place, capsys, expected):
    """jiangqy/ADSH-AAAI2018: pairs with a class number a line (CIFAR-10); codes kept in MATLAB."""
    for name, part in (("train", DATABASE), ("test", QUERY), ("database", DATABASE)):
        write(f"{name}_img.txt", names()[part])
        write(f"{name}_label.txt", KINDS[part], "\r\n")
    counts, labels = check_list(capsys)
    assert counts == labels == COUNTS
    scipy = pytest.importorskip("scipy.io")
    packed = {"B_tst": SIGNS[QUERY] > 0, "B_trn": SIGNS[DATABASE] > 0}
    named = {name: np.packbits(bits, axis=1, bitorder="little") for name, bits in packed.items()}
    labels = {"test_L": KINDS[QUERY, None] + 1.0, "dataset_L": KINDS[DATABASE, None] + 1.0}
    scipy.savemat("result.mat", {**named, **labels})
    with pytest.warns(UserWarning, match=r"result\.mat: uint8 of packed bits, 8 a code"):
        found = score(capsys, "--query=result.mat", "--database=result.mat")
    assert found == expected


def test_xunguangwang_prosgan(place, capsys, expected):
    """xunguangwang/ProS-GAN: pairs of lists, codes of -1/1 alone, target labels of an attack."""
    for name, part in (("train", DATABASE), ("test", QUERY), ("database", DATABASE)):
        write(f"{name}_img.txt", names()[part])
        write(f"{name}_label.txt", rows_of(HOT[part]), " \n")
    assert check_list(capsys)[0] == COUNTS
    np.savetxt("log_database_code.txt", SIGNS[DATABASE], fmt="%d")
    np.savetxt("log_test_code.txt", SIGNS[QUERY], fmt="%d")
    np.savetxt("target_label_DHTA.txt", HOT[QUERY], fmt="%d")
    files = [
        "--query=log_test_code.txt", "--query_labels=test_label.txt",
        "--database=log_database_code.txt", "--database_labels=database_label.txt",
    ]  # fmt: skip
    assert score(capsys, *files) == expected
    capsys.readouterr()
    assert main(["score", *files, "--target_labels=target_label_DHTA.txt", "--json"]) == 0
    found = {row["metric"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert found["t_map"] == found["map"] == expected


@pytest.mark.slow
def test_targets_of_xunguangwang_prosgan_for_an_attack(place):
    """Its target_label_DHTA_NUS-WIDE.txt has a row for each query of the set."""
    write_parts()
    np.savetxt("target_label_DHTA.txt", HOT[QUERY][::-1], fmt="%d")
    options = [
        "--model.targets.class_path=lightning_hash.attacks.TargetChoice",
        "--model.targets.init_args.n_t=3", "--model.n_queries=3", "--name=gan",
        "--model.targets.init_args.file=target_label_DHTA.txt",
    ]  # fmt: skip
    victim = "--model.victim={source: tests.test_public_artefacts:dsh}"
    assert attack(*LISTS, victim, *options) == 0
    found = json.loads(Path("runs/attack/gan/version_0/targets.json").read_text())
    assert {query: entry["target"] for query, entry in found.items()} == {
        query: HOT[5 - int(query)].tolist() for query in found
    }


def test_xunguangwang_cgat(place, capsys):
    """xunguangwang/CgAT: the same lists; a ResNet whose last layer makes the code."""
    for name, part in (("train", DATABASE), ("test", QUERY), ("database", DATABASE)):
        write(f"{name}_img.txt", names()[part])
        write(f"{name}_label.txt", rows_of(HOT[part]))
    network = resnet18(num_classes=BITS).eval()
    torch.save(network.state_dict(), "NUS-WIDE_DPH_ResNet18_8.pth")
    victim = f"{{source: NUS-WIDE_DPH_ResNet18_8.pth, backbone: resnet18, bits: {BITS}}}"
    codes = encode(capsys, LISTS, victim)
    loaded = [np.asarray(Image.open(name)) for name in names()[QUERY]]
    inputs = torch.from_numpy(np.stack(loaded)).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    logits = network((inputs - mean[:, None, None]) / std[:, None, None]).detach().numpy()
    assert np.array_equal(codes, np.where(logits > 0, 1, -1))


def test_thulab_deephash(place, capsys):
    """thulab/DeepHash: lists of paths alone (cifar10), which are encoded without labels."""
    for name, part in (("train", DATABASE), ("test", QUERY), ("database", DATABASE)):
        write(f"{name}.txt", names()[part])
    counts, labels = check_list(capsys)
    assert (counts, set(labels.values())) == (COUNTS, {0})


def test_yangerkun_hag_keeps_its_codes_in_a_pickle(place, capsys):
    """yangerkun/Adversarial-examples-for-hamming-space-search: refused, with what to write."""
    content = {"dataset_codes": SIGNS, "dataset_L": HOT}
    np.save("cifar10-16bit-99.npy", np.array(content, dtype=object))
    assert main(["score", "--query=cifar10-16bit-99.npy", "--database=cifar10-16bit-99.npy"]) == 1
    assert "write its arrays as .npz" in capsys.readouterr().err
    np.savez("cifar10-16bit-99.npz", **content)
    files = "--query=cifar10-16bit-99.npz", "--database=cifar10-16bit-99.npz"
    assert 0 < score(capsys, *files) <= 1
