import os
import subprocess

import pytest

from lightning_hash.sweeps import Run, slurm_script

# A cluster that runs every task at once, in order.
SBATCH = r"""#!/bin/bash
echo "$@" >> "$HERE/submitted.txt"
for argument in "$@"; do
    case "$argument" in
        --array=*) last="${argument##*-}" ;;
    esac
done
script="${@: -2:1}"
for task in $(seq 0 "$last"); do
    SLURM_ARRAY_TASK_ID=$task bash "$script" "${@: -1}" >> "$HERE/tasks.txt"
done
echo "$(wc -l < "$HERE/submitted.txt")00;cluster"
"""


@pytest.fixture
def cluster(tmp_path):
    for name, text in (("sbatch", SBATCH), ("srun", '#!/bin/bash\necho "$@"\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return {**os.environ, "HERE": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def test_every_run_is_a_task_behind_its_needs(tmp_path, cluster):
    fits = [Run("victim", "fit", (), {"model.bits": bits}) for bits in (16, 32)]
    attacks = [Run("hag", "attack", (), {"model.victim": victim}) for victim in fits]
    transfer = Run("transfer", "transfer", (), {"perturbations": attacks, "victims": fits})
    runs = [fits[0], attacks[0], fits[1], attacks[1], transfer]
    script = tmp_path / "submit.sh"
    script.write_text(slurm_script(runs, ["python", "-m", "lightning_hash", "sweep", "a b.yaml"]))
    answer = subprocess.run(
        ["bash", script, "--gpus-per-node=1", "--time=08:00:00"],
        env=cluster, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answer.stdout.splitlines() == [
        "array 0: 100, 2 tasks", "array 1: 200, 2 tasks", "array 2: 300, 1 tasks",
    ]  # fmt: skip
    given = "--parsable --gpus-per-node=1 --time=08:00:00"
    assert (tmp_path / "submitted.txt").read_text().splitlines() == [
        f"{given} --array=0-1 {script} 0",
        f"{given} --array=0-1 --dependency=afterany:100 {script} 1",
        f"{given} --array=0-0 --dependency=afterany:200 {script} 2",
    ]
    command = "python -m lightning_hash sweep a b.yaml --only"
    assert (tmp_path / "tasks.txt").read_text().splitlines() == [
        f"{command} {run.digest}" for run in (*fits, *attacks, transfer)
    ]


def test_needs_that_are_finished_hold_nothing_back():
    victim = Run("victim", "fit", (), {})
    script = slurm_script([Run("hag", "attack", (), {"model.victim": victim})], ["sweep"])
    assert "runs_0=(" in script
    assert "afterany:" not in script


def test_nothing_to_submit():
    with pytest.raises(ValueError, match="all runs are finished"):
        slurm_script([], ["sweep"])
