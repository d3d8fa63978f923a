"""Processes that a launcher has started: torchrun, SLURM, LSF, MPI."""

import os
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lsf import LSFEnvironment
from lightning_fabric.plugins.environments.mpi import MPIEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

# Of launchers that Lightning does not know by itself, or not here: who, and how many there are.
_UNKNOWN = {
    "OMPI_COMM_WORLD_SIZE": ("mpirun, which Lightning knows with mpi4py alone", "install mpi4py"),
    "PMI_SIZE": ("mpirun, which Lightning knows with mpi4py alone", "install mpi4py"),
    "SLURM_STEP_NUM_TASKS": (
        "srun, which Lightning passes over in a job named bash or interactive",
        "give srun another --job-name",
    ),
    "WORLD_SIZE": ("a launcher that Lightning does not know", "start it with torchrun"),
}


class Launched(NamedTuple):
    """The processes of one run.

    Attributes:
        by: what has started them.
        world: how many there are.
        devices: how many on each node.
    """

    by: str
    world: int
    devices: int

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self.world // self.devices


def launched(plugins: Any = None) -> Launched | None:
    """Return what has started this process beside others of its run, as Lightning finds it.

    Args:
        plugins: those of the Trainer; a cluster environment among them that starts processes itself
            is believed.

    Returns:
        The launcher; ``None`` where this process was started alone, or starts others itself.

    Raises:
        ValueError: if the launcher does not say how many processes a node has, or has not started
            them.
    """
    each = plugins if isinstance(plugins, (list, tuple)) else [plugins]
    if any(isinstance(p, ClusterEnvironment) and not p.creates_processes_externally for p in each):
        return None
    if TorchElasticEnvironment.detect():
        found = Launched(
            "torchrun", int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        )
    elif SLURMEnvironment.detect():
        tasks = int(os.environ["SLURM_NTASKS"])
        per_node = os.environ.get("SLURM_NTASKS_PER_NODE")
        if tasks > 1 and per_node is None:
            msg = (
                f"SLURM has started {tasks} tasks and does not say how many on a node; give "
                "--ntasks-per-node in place of --ntasks"
            )
            raise ValueError(msg)
        if tasks > 1 and "SLURM_STEP_NUM_TASKS" not in os.environ and shutil.which("srun"):
            msg = (
                f"the SLURM job has {tasks} tasks, and this process would wait for the others: put "
                "srun before python, or give the job --ntasks-per-node=1"
            )
            raise ValueError(msg)
        found = Launched("SLURM", tasks, int(per_node or 1))
    elif LSFEnvironment.detect():
        lsf = LSFEnvironment()
        found = Launched("jsrun", lsf.world_size(), lsf.world_size() // len(set(lsf._read_hosts())))
    elif MPIEnvironment.detect():
        mpi = MPIEnvironment()
        mpi.node_rank()  # splits the processes by node
        local = 1 if mpi._comm_local is None else mpi._comm_local.Get_size()
        found = Launched("MPI", mpi.world_size(), local)
    else:
        return None
    if found.world == 1:
        return None
    if found.devices < 1 or found.world % found.devices:
        msg = (
            f"{found.by} has started {found.world} processes, {found.devices} of them on this "
            "node; start as many on each"
        )
        raise ValueError(msg)
    return found


def check_launched(trainer: pl.Trainer) -> None:
    """Refuse a run that a launcher has started several times, each of them the whole.

    Args:
        trainer: runs it.

    Raises:
        ValueError: if the trainer has not as many processes as the launcher; says what to give.
    """
    found = launched(trainer._accelerator_connector.cluster_environment)
    if found is None:
        _check_unknown(trainer, os.environ)
        return
    wanted = trainer.num_devices * trainer.num_nodes
    if wanted == found.world:
        return
    msg = (
        f"trainer.devices and num_nodes make {wanted} processes, {found.by} has started "
        f"{found.world}, each of which would run the whole; leave both out, or give "
        f"{found.devices} and {found.nodes}"
    )
    raise ValueError(msg)


def _check_unknown(trainer: pl.Trainer, variables: Mapping[str, str]) -> None:
    if trainer.world_size > 1:
        return
    for name, (by, remedy) in _UNKNOWN.items():
        count = variables.get(name, "1")
        if name == "WORLD_SIZE" and "RANK" not in variables:
            continue
        if count.isdigit() and int(count) > 1:
            msg = (
                f"{name} = {count}: {count} processes were started by {by}, and each would run "
                f"the whole; {remedy}, or unset {name}"
            )
            raise ValueError(msg)
