"""Surrogates make the perturbations, the victim is scored: as attack and then transfer do."""

import pytest
import torch
from torch import nn

from lightning_hash.attacks import (
    APGD,
    HAG,
    PTA,
    SDHA,
    SSTUAA,
    AnchorCode,
    Box,
    CandidateAttack,
    CgAT,
    Hinge,
    L2,
    Noise,
    Patch,
    RunStart,
    SignHunter,
    SignStep,
    Square,
    SurrogateStart,
    TargetChoice,
    Universal,
)
from lightning_hash.attacks import NES, Oracle
from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.transfer import run_transfer
from lightning_hash.engine.callbacks import AttackCheckpoint, RunFolder
from lightning_hash.modules.transfer import read_perturbations
from lightning_hash.victims.functions import CodeFunction
from lightning_hash.victims.resolve import as_victim
from tests.conftest import BlobData, TinyNet
from tests.helpers.attacks import StopAt, attack, make, rows_of, trainer


def net(bits, seed=None):
    """A network of other weights than the victim's, of a code length of its own."""
    network = TinyNet(bits)
    network.bits = bits
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
    return network


def sign_step(parameters):
    return SignStep(parameters, lr=0.01)


def apgd(parameters):
    return APGD(parameters)


def square(parameters):
    return Square(parameters, share=0.3)


ATTACKS = {
    "hag": {},
    "dhta": {"objective": AnchorCode, "step": sign_step},
    "apgd": {"objective": Hinge, "step": apgd},
    "l2": {"objective": HAG, "step": apgd, "budget": L2, "epsilon": 0.3},
    "cgat": {"objective": CgAT},
    "pta": {"objective": PTA, "step": sign_step},
    "sdha": {"objective": SDHA, "step": sign_step},
    "universal": {"perturbation": Universal, "step": sign_step},
    "ss-tuaa": {
        "objective": SSTUAA, "perturbation": Universal, "step": sign_step,
        "targets": lambda: TargetChoice(n_t=5, label=1),
    },
    "patch": {"perturbation": Patch, "budget": Box, "step": sign_step},
}  # fmt: skip


def options_of(name):
    given = dict(ATTACKS[name])
    for part in ("objective", "targets"):
        if part in given:
            given[part] = given[part]()
    return given


@pytest.mark.parametrize("name", ATTACKS)
def test_one_command_is_attack_and_then_transfer(tmp_path, name):
    """Bit for bit: the perturbations, what they reach there, and every row of the victim."""
    there = attack(
        tmp_path / "a", BlobData(batch_size=12), callbacks=[RunFolder(images=0)],
        victim=net(12, 5), **options_of(name),
    )  # fmt: skip
    folder = next((tmp_path / "a").rglob("perturbations.safetensors")).parent
    targets = folder / "targets.json"
    group = read_perturbations(folder), targets if targets.exists() else None
    data = BlobData(batch_size=12)
    rows = run_transfer(trainer(tmp_path / "t"), as_victim(TinyNet()), [group], data, 5)
    here = attack(
        tmp_path / "b", BlobData(batch_size=12), callbacks=[RunFolder(images=0)],
        surrogates=net(12, 5), **options_of(name),
    )  # fmt: skip
    tensors, wanted = here.outcome().tensors, there.outcome().tensors
    for key in ("perturbation", "adversarial_8bit"):
        assert torch.equal(tensors[key], wanted[key]), key
    assert tensors["perturbation"].abs().max() > 0
    assert torch.equal(tensors["made_codes"], wanted["codes"])
    made = read_perturbations(next((tmp_path / "b").rglob("perturbations.safetensors")).parent)
    assert torch.equal(made.reached, group[0].reached)
    assert made.victims == group[0].victims
    shown = ("metric", "value", "se", "n", "iteration", "transfer", "victim", "data", "ranking")
    last = [
        {key: row[key] for key in (*shown, "attack")} for row in here.rows
        if row["metric"].startswith(("map", "t_map", "precision", "hamming"))
        and (row["attack"] is None or row["attack"]["name"] == "anchor" or row["iteration"] == 6)
    ]  # fmt: skip
    assert len(last) > 4
    found = [{key: getattr(row, key) for key in (*shown, "attack")} for row in rows]
    for row in last:
        assert row in found, row["metric"]
