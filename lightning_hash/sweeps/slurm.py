"""A sweep as SLURM job arrays."""

from collections.abc import Sequence

from lightning_hash.sweeps.run import Run
from lightning_hash.utils.escapes import shell, visible

HEAD = """#!/bin/bash
#SBATCH --signal=SIGUSR1@120
#SBATCH --requeue
# Submits {count} runs as {arrays} job arrays, one behind the other, each run as a task of its own:
#     bash THIS_FILE --gpus-per-node=1 --cpus-per-task=8 --time=08:00:00
# What stands behind THIS_FILE goes to sbatch. A task whose needs failed says so and ends with 1;
# submitted again, the tasks of finished runs end at once.
"""
TASK = """
if [ -n "${{SLURM_ARRAY_TASK_ID:-}}" ]; then
    declare -n runs="runs_$1"
    exec srun {command} --only "${{runs[$SLURM_ARRAY_TASK_ID]}}"
fi
set -euo pipefail
"""


def slurm_script(runs: Sequence[Run], command: Sequence[str]) -> str:
    """Return a script that submits runs as job arrays, each array behind what it needs.

    Args:
        runs: those to submit, each behind those of them that it needs.
        command: what starts this sweep, from the same folder; ``--only FINGERPRINT`` is added.

    Returns:
        A bash script, which is also the batch script of its tasks.

    Raises:
        ValueError: if there are no runs, or a word of the command cannot be one.
    """
    if not runs:
        msg = "slurm: all runs are finished, there is nothing to submit"
        raise ValueError(msg)
    levels: dict[str, int] = {}
    for run in runs:
        levels[run.digest] = 1 + max(
            (levels.get(need.digest, -1) for need in run.needs), default=-1
        )
    arrays = [
        [run for run in runs if levels[run.digest] == level]
        for level in range(max(levels.values()) + 1)
    ]
    script = HEAD.format(count=len(runs), arrays=len(arrays))
    for level, array in enumerate(arrays):
        script += f"runs_{level}=(\n"
        script += "".join(f"    {run.digest}  # {run.verb} {visible(run.title)}\n" for run in array)
        script += ")\n"
    script += TASK.format(command=shell(command))
    for level, array in enumerate(arrays):
        # afterany, not afterok: one fit that fails must not hold back the attacks on all others.
        behind = ' --dependency="afterany:$job"' if level else ""
        script += (
            f'job=$(sbatch --parsable "$@" --array=0-{len(array) - 1}{behind} "$0" {level})\n'
            'job="${job%%;*}"\n'  # --parsable may add the cluster's name
            f'echo "array {level}: $job, {len(array)} tasks"\n'
        )
    return script
