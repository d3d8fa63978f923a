"""An audit goes on in a folder that somebody else has filled: nothing runs, nothing leads out."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch

from lightning_hash.__main__ import main
from tests.audits.test_audit import audited, few_items, model, network, whole  # noqa: F401


class Marked:
    """What unpickling it would write."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


def test_a_checkpoint_of_a_half_attack_runs_nothing(model, whole, tmp_path):  # noqa: F811
    folder, _ = whole
    place = tmp_path / "audit" / "version_0"
    shutil.copytree(folder / "version_0", place)
    (place / "card.json").unlink()
    attack = place / "linf-8" / "apgd-hinge"
    shutil.rmtree(attack)
    last = attack / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    torch.save({"state_dict": {}, "loops": Marked(tmp_path / "mark")}, last)
    with pytest.raises((ValueError, pickle.UnpicklingError)):
        audited(model, tmp_path / "audit")
    assert not (tmp_path / "mark").exists()


LINKS = ".lock", "version_0", "version_0/linf-8/hag", "version_0/linf-8/hag/codes.safetensors"


@pytest.mark.parametrize("link", ["", *LINKS])
def test_nothing_in_the_folder_leads_out(link, tmp_path, monkeypatch, capsys, trained):
    monkeypatch.chdir(tmp_path)
    far = tmp_path / "far"
    far.mkdir()
    place = tmp_path / "runs" / "audit" / "a" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(far)
    line = ["audit", "--quick", "--name=a", "--accelerator=cpu"]
    assert main([*line, f"--model.victim={trained / 'checkpoints/demo/best.ckpt'}"]) == 1
    assert "is a link that leads out of" in capsys.readouterr().err
    assert list(far.iterdir()) == []
    if link:  # in Python a folder is whichever its caller names
        with pytest.raises(ValueError, match="leads out of"):
            audited(network(), tmp_path / "runs" / "audit" / "a")
        assert list(far.iterdir()) == []
