import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.sweeps.command import command_of
from lightning_hash.sweeps.plan import read_plan

ROOT = Path(lightning_hash.__file__).parent.parent
SWEEP = """
runs:
  victim:
    verb: fit
    options: &small
      data.n_train: 100
      data.n_query: 20
      data.n_database: 200
      trainer.accelerator: cpu
      trainer.max_epochs: 2
      model.bits: "{bits}"
  hag:
    verb: attack
    options:
      data.n_train: 100
      data.n_query: 20
      data.n_database: 200
      trainer.max_epochs: 3
      model.victim: "@victim"
      model.evaluate_at: [0, 2]
      model.n_queries: "{n_queries}"
      model.kernels: float32
    values: {n_queries: 8}
full:
  - {run: hag, bits: 8}
"""


@pytest.fixture
def there(tmp_path, monkeypatch):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "cpu.yaml").write_text("trainer: {accelerator: cpu}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the runs' own processes
    return tmp_path


@pytest.mark.slow
def test_fit_attack_and_the_same_command_again(there, capsys):
    assert main(["sweep", "sweep.yaml", "--runs", "all", "--trainer", "cpu.yaml"]) == 0
    assert "2 runs made, 0 failed" in capsys.readouterr().out
    (results,) = there.glob("all/attack/*/version_0/results.json")
    rows = json.loads(results.read_text())
    assert {(row["victim"]["bits"], row["data"]["n_query"]) for row in rows} == {(8, 8)}
    attacks = [row["attack"] for row in rows if row["attack"] and row["attack"]["name"] != "anchor"]
    assert {attack["iterations"] for attack in attacks} == {3}
    assert main(["sweep", "sweep.yaml", "--runs", "all"]) == 0
    assert "2 runs below all, 2 of them finished before" in capsys.readouterr().out


def test_dry_run_prints_commands_and_runs_nothing(there, capsys):
    assert main(["sweep", "sweep.yaml", "--dry-run", "--trainer", "cpu.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == ["# [1/2] victim bits=8 (to run)", "# [2/2] hag bits=8 (to run)"]
    fit, attack = (shlex.split(line)[3:] for line in lines[1::2])
    name = fit[fit.index("--name") + 1]
    assert fit[:3] == ["fit", "--config", "cpu.yaml"]
    assert "--ckpt_path" not in attack
    assert f"--model.victim=runs/checkpoints/{name}/best.ckpt" in attack
    assert "--model.evaluate_at=[0, 2]" in attack
    assert "--model.kernels=float32" in attack
    assert not (there / "runs").exists()


def test_what_was_killed_goes_on_from_its_last_checkpoint(there):
    attack = read_plan([Path("sweep.yaml")], "full")[1]
    (fit,) = attack.needs
    assert "--ckpt_path" not in command_of(fit, Path("r"))
    last = Path(f"r/checkpoints/{fit.digest}/last.ckpt")
    for path in (last, Path(f"r/attack/{attack.digest}/version_3/checkpoints/last.ckpt")):
        path.parent.mkdir(parents=True)
        path.touch()
    assert command_of(fit, Path("r"))[-2:] == ["--ckpt_path", str(last)]
    assert command_of(attack, Path("r"))[-2:] == ["--ckpt_path", "last"]


def test_only_one_run_and_its_needs_must_be_there(there, capsys):
    main(["sweep", "sweep.yaml", "--dry-run"])
    hag = re.findall(r"--name (\w{12})", capsys.readouterr().out)[1]
    assert main(["sweep", "sweep.yaml", "--only", hag]) == 1
    assert f"failed: attack hag bits=8 ({hag}): it needs victim bits=8" in capsys.readouterr().out
    assert main(["sweep", "sweep.yaml", "--only", "0"]) == 1
    assert "there is no run of this fingerprint; there are: " in capsys.readouterr().err


def test_slurm_writes_a_script_that_calls_the_sweep_again(there, capsys):
    options = ["--scale", "full", "--runs", "a b", "--trainer", "cpu.yaml"]
    assert main(["sweep", "sweep.yaml", *options, "--slurm", "submit.sh"]) == 0
    assert "2 runs: bash submit.sh" in capsys.readouterr().out
    text = Path("submit.sh").read_text()
    again = shlex.join([sys.executable, "-m", "lightning_hash", "sweep", "sweep.yaml", *options])
    assert f"exec srun {again} --only" in text
    subprocess.run(["bash", "-n", "submit.sh"], check=True)


def test_a_transfer_gets_its_runs_as_a_list(there):
    text = (
        SWEEP.split("full:")[0]
        + """
  transfer:
    verb: transfer
    options:
      perturbations: ["@hag bits=8", "@hag bits=16"]
      combination: sum
      victims: ["@victim bits=32"]
full: [{run: transfer}]
"""
    )
    Path("transfer.yaml").write_text(text)
    *_, transfer = read_plan([Path("transfer.yaml")], "full")
    first, second, victim = transfer.needs
    assert command_of(transfer, Path("r"), Path("cpu.yaml"))[3:] == [
        "transfer", "--perturbations", f"r/attack/{first.digest}", f"r/attack/{second.digest}",
        "--combination=sum", "--victims", f"r/checkpoints/{victim.digest}/best.ckpt",
        "--runs", "r", "--name", transfer.digest,
    ]  # fmt: skip


def test_wrong_files_end_with_a_message(there, capsys):
    assert main(["sweep", "absent.yaml"]) == 1
    assert "sweep file absent.yaml does not exist" in capsys.readouterr().err
    assert main(["sweep", "sweep.yaml", "--jobs", "0"]) == 1
    assert "jobs must be at least 1, got 0" in capsys.readouterr().err


def test_it_starts_without_torch(there):
    code = (
        "import sys; from lightning_hash.__main__ import main\n"
        "main(['sweep', 'sweep.yaml', '--dry-run']); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
