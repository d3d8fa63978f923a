"""How an attack is spread over processes."""

import atexit
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.distributed import _destroy_dist_connection
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry
from torch.nn.parallel import DistributedDataParallel

NAME = "query_parallel"
# After so long a process that waits for one that is gone ends; torch's own half hour is long on a
# cluster. What one process does alone, such as the choice of kernels, takes seconds.
TIMEOUT = timedelta(minutes=10)


class QueryParallelStrategy(DDPStrategy):
    """Every process attacks its own batches of queries; nothing is averaged.

    DDP averages the gradients of the processes: for the training of one set of weights that is
    right, for perturbations it would mix the gradients of different images. Here the module is not
    wrapped, and rank 0's parameters and buffers are not spread over the other ranks. Launching,
    environments (torchrun, SLURM, spawned by itself) and samplers are DDP's. One perturbation that
    all queries share is one set of weights: it is trained by DDP as it is.

    Attributes:
        query_parallel: what an attack looks for before it runs in several processes.

    Args:
        options: as in Lightning's DDPStrategy; ``timeout`` is ten minutes by default.
    """

    strategy_name = NAME
    query_parallel = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"timeout": TIMEOUT, **options})

    def setup_distributed(self) -> None:
        """Join the processes, and end their group with the program.

        Lightning ends groups of NCCL alone.
        """
        super().setup_distributed()
        atexit.register(_destroy_dist_connection)

    def setup(self, trainer: pl.Trainer) -> None:
        """Set up as DDP does; every process keeps its own parameters and buffers."""
        module = trainer.lightning_module
        self._shared = bool(getattr(module, "shared", False))
        if not self._shared:
            own = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
            DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, own)  # type: ignore[no-untyped-call]
        super().setup(trainer)

    def configure_ddp(self) -> None:
        """Leave the module as it is, unless its perturbation is shared."""
        if self._shared:
            super().configure_ddp()

    def _get_process_group_backend(self) -> str:
        # Objects and flags go through CPU memory and do not wait for the device.
        backend = super()._get_process_group_backend()
        return "cpu:gloo,cuda:nccl" if backend == "nccl" else backend


StrategyRegistry.register(NAME, QueryParallelStrategy, description=QueryParallelStrategy.__doc__)
