"""Sweeps: lists of values become runs, runs become processes or SLURM tasks."""

from lightning_hash.sweeps.local import Sweep
from lightning_hash.sweeps.plan import read_plan
from lightning_hash.sweeps.run import Run
from lightning_hash.sweeps.slurm import slurm_script

__all__ = ["Run", "Sweep", "read_plan", "slurm_script"]
