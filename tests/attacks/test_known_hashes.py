"""Collisions with hashes of a list: which hash a query is given, and what is counted."""

import hashlib

import pytest
import torch

from lightning_hash.attacks import APGD, Hinge, KnownHashes, Oracle, Square
from lightning_hash.attacks.references import Known
from lightning_hash.commands.attack import run_attack
from lightning_hash.metrics import CollisionSuccess
from tests.helpers.attacks import make, rows_of, trainer

# 11110000, 11111111, 00000000 and the first again.
LINES = "f0\nff\n00  # black\nF0\n"
SIGNS = torch.tensor([[1.0] * 4 + [-1.0] * 4, [1.0] * 8, [-1.0] * 8, [1.0] * 4 + [-1.0] * 4])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "known.hex"
    path.write_text(LINES)
    return str(path)


def known(logits, index=None):
    index = torch.arange(len(logits)) if index is None else torch.tensor(index)
    return Known(torch.tensor(logits), index=index)


def test_the_nearest_by_hand(file):
    """Codes 11111100 (2 bits from the first and from the second: the first), 00000001, 11110000."""
    logits = [[0.5] * 6 + [-2.0] * 2, [-1.0] * 7 + [0.1], [3.0] * 4 + [-0.2, 0.0, -1.0, -1.0]]
    found = KnownHashes(file)(known(logits))
    assert torch.equal(found, SIGNS[[0, 2, 0]])
    assert found.dtype == torch.float32
    none = Known(torch.zeros(0, 8), index=torch.zeros(0, dtype=torch.long))  # a process without
    assert KnownHashes(file)(none).shape == (0, 8)


def test_given_is_by_the_querys_index(file):
    logits = [[0.0] * 8, [0.0] * 8]
    assert torch.equal(KnownHashes(file, "given")(known(logits, [2, 1])), SIGNS[[2, 1]])
    with pytest.raises(ValueError, match="4 hashes, and none for query 4"):
        KnownHashes(file, "given")(known(logits, [0, 4]))


def test_drawn_is_a_function_of_seed_and_index(file):
    logits = [[0.0] * 8] * 40
    whole = KnownHashes(file, "drawn")(known(logits))
    assert set(map(tuple, whole.tolist())) == set(map(tuple, SIGNS.tolist()))
    part = KnownHashes(file, "drawn")(known(logits[:2], [17, 5]))
    assert torch.equal(part, whole[[17, 5]])
    assert not torch.equal(KnownHashes(file, "drawn", seed=1)(known(logits)), whole)


def test_settings_hold_what_the_file_holds(file, tmp_path):
    settings = KnownHashes(file, "drawn").settings()
    digest = hashlib.sha256(SIGNS.to(torch.int8).numpy().tobytes()).hexdigest()
    assert settings == {
        "class": "lightning_hash.attacks.KnownHashes", "file": file, "choose": "drawn", "seed": 0,
        "hashes_sha256": digest,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("known.hex", {"choose": "far"}, ValueError, "choose must be one of nearest, drawn, given"),
        ("known.txt", {}, ValueError, "a list of hashes ends in .hex or .b64"),
        ("absent.hex", {}, FileNotFoundError, "absent.hex does not exist"),
        ("empty.hex", {}, ValueError, "holds no hash"),
    ],
)
def test_wrong_lists(name, options, error, message, file, tmp_path):
    (tmp_path / "empty.hex").write_text("\n")
    with pytest.raises(error, match=message):
        KnownHashes(str(tmp_path / name), **options)


def test_hashes_of_another_length(file):
    with pytest.raises(ValueError, match="hashes of 8 bits, the victim's codes have 4"):
        KnownHashes(file)(known([[0.0] * 4]))


@pytest.mark.parametrize("step", [Square, APGD])
@pytest.mark.parametrize("batch_size", [4, 13])
def test_an_attack_reaches_them(step, batch_size, file, tmp_path, blobs):
    """Rows count the collisions, of the queries as they were sent too; there is no t-MAP."""
    module = make(
        step=step, objective=Hinge(targeted=True), reference=KnownHashes(file), epsilon=0.5,
        stop_at=1, batch_size=batch_size, metrics=[CollisionSuccess(1), CollisionSuccess(8)],
    )  # fmt: skip
    scores = run_attack(trainer(tmp_path, 30), module, blobs)
    sent = torch.cat([module.perturbed(number) for number in range(len(module.batches))])
    sent = (sent * 255).round() / 255
    goals = torch.cat([queries.goal for queries in module.batches])
    assert {tuple(goal) for goal in goals.tolist()} <= {tuple(sign) for sign in SIGNS.tolist()}
    with torch.no_grad():
        away = ((module.victim.network(sent) > 0) != (goals > 0)).sum(dim=1)
    reached = int((away <= 1).sum())
    (row,) = [r for r in rows_of(scores, metric="collision_at_1", quantized=True) if r["attack"]]
    assert row["value"] == pytest.approx(reached / 13)
    assert reached > 0
    clean = [r for r in rows_of(scores, metric="collision_at_1") if not r["attack"]]
    assert clean[0]["value"] < row["value"]
    assert {r["value"] for r in rows_of(scores, metric="collision_at_8")} == {1.0}
    assert row["attack"]["reference"]["choose"] == "nearest"
    assert row["n_finished"] == sum(int(queries.done.sum()) for queries in module.batches) > 0
    assert rows_of(scores, metric="t_map") == []


def test_an_adversary_who_sees_codes_alone(file, tmp_path, blobs):
    """Square then minimises the Hamming distance to the hash."""
    options = {"step": Square, "objective": Hinge(targeted=True), "epsilon": 0.5}
    reference = KnownHashes(file)
    module = make(oracle=Oracle("codes"), reference=reference, **options)
    scores = run_attack(trainer(tmp_path, 30), module, blobs)
    before, after = (
        torch.cat([(codes(queries) != queries.goal).sum(dim=1) for queries in module.batches])
        for codes in (lambda q: q.clean_codes, lambda q: coded(module, q))
    )
    assert after.sum() < before.sum()  # Square begins with stripes, which may be worse
    assert rows_of(scores, "hinge-targeted")[-1]["attack"]["oracle"]["shows"] == "codes"
    ids = make(oracle=Oracle("ids"), reference=reference, **options)
    with pytest.raises(ValueError, match="needs logits, which ids hide"):
        run_attack(trainer(tmp_path / "ids", 1), ids, blobs)


def coded(module, queries):
    (number,) = (n for n, each in enumerate(module.batches) if each is queries)
    with torch.no_grad():
        return torch.where(module.victim.network(module.perturbed(number)) > 0, 1.0, -1.0)


def test_an_untargeted_attack_has_no_goal(tmp_path, blobs):
    module = make(objective=Hinge(), epsilon=0.5, metrics=[CollisionSuccess(1)])
    assert rows_of(run_attack(trainer(tmp_path, 1), module, blobs), metric="collision_at_1") == []
