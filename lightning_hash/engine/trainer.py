"""Lightning's Trainer with two more verbs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch.utils.data import Subset

from lightning_hash.codes.code_files import CodeForm, check_suffix, write_codes
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import OPEN_SET, HashDataModule
from lightning_hash.data.queries import QueryData
from lightning_hash.data.split_data import SplitData
from lightning_hash.engine.callbacks.attack_checkpoint import AttackCheckpoint
from lightning_hash.engine.checkpoint_io import WholeCheckpointIO
from lightning_hash.engine.strategies import QueryParallelStrategy
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.databases import Databases, choose_target_database
from lightning_hash.modules.encoder import (
    Encoder,
    database_codes,
    flips,
    float32_codes,
    join,
    made_with,
)
from lightning_hash.modules.frame_encoder import cache_frames
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.modules.transfer_module import TransferModule
from lightning_hash.utils.allocator import keep_pages
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.victims.checkpoints import read_checkpoint
from lightning_hash.victims.victim import Victim


class HashTrainer(pl.Trainer):
    """The Trainer that fits hash models and attacks them; its checkpoints are never torn."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.accelerator, CPUAccelerator):
            keep_pages()
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:
            self.strategy.checkpoint_io = WholeCheckpointIO()

    def save_checkpoint(
        self, filepath: Any, weights_only: bool | None = None, storage_options: Any = None
    ) -> None:
        """Save a checkpoint; where it cannot be written, every process gets to know.

        Args:
            filepath: where.
            weights_only: as in Lightning's Trainer.
            storage_options: as in Lightning's Trainer.

        Raises:
            OSError: on all processes, if rank 0 cannot write it.
        """
        error: OSError | None = None
        checkpoint = self._checkpoint_connector.dump_checkpoint(weights_only)
        try:
            self.strategy.save_checkpoint(checkpoint, filepath, storage_options=storage_options)
        except OSError as caught:
            error = caught
        error = self.strategy.broadcast(error)  # the others would wait for rank 0 forever
        if error is not None:
            raise error

    def fit(
        self,
        model: pl.LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: pl.LightningDataModule | None = None,
        ckpt_path: Any = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train, on the cached features of frames where the model has a cache.

        Args:
            model: the model.
            train_dataloaders: as in Lightning's Trainer.
            val_dataloaders: as in Lightning's Trainer.
            datamodule: the data.
            ckpt_path: checkpoint to go on from.
            weights_only: as in Lightning's Trainer.

        Raises:
            ValueError: if the features of frames cannot be kept, see
                :func:`lightning_hash.modules.frame_encoder.cache_frames`.
        """
        given = train_dataloaders, val_dataloaders, datamodule, ckpt_path, weights_only
        if not (isinstance(model, HashModule) and isinstance(datamodule, HashDataModule)):
            super().fit(model, *given)
            return
        datamodule.cached = cache_frames(model, datamodule, self)
        try:
            super().fit(model, *given)
        finally:
            datamodule.cached = {}

    def test(
        self,
        model: pl.LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: Any = None,
        verbose: bool = True,
        datamodule: pl.LightningDataModule | None = None,
        weights_only: bool | None = None,
        codes: str | None = None,
    ) -> Any:
        """Score the queries of a data set.

        Args:
            model: the hash model.
            dataloaders: as in Lightning's Trainer.
            ckpt_path: checkpoint whose weights are loaded.
            verbose: print a table of the values.
            datamodule: the queries and the database.
            weights_only: as in Lightning's Trainer.
            codes: the database's codes: what ``encode`` wrote, or the codes of another system; by
                default the database is encoded here.

        Returns:
            The values by name, one mapping per loader.

        Raises:
            ValueError: if the codes were made with something else than this model and these data.
        """
        if isinstance(model, HashModule):
            model.database_file = None if codes is None else Path(codes)
        if codes is not None and isinstance(datamodule, HashDataModule):
            datamodule = SplitData(datamodule, ("query",))
        return super().test(model, dataloaders, ckpt_path, verbose, datamodule, weights_only)

    def encode(
        self,
        model: Encoder,
        datamodule: HashDataModule,
        split: str = "database",
        output: str | None = None,
        form: CodeForm = "auto",
        compare: int = 0,
    ) -> Path:
        """Write the codes of a split into a file.

        Args:
            model: runs the victim.
            datamodule: the data.
            split: ``database``, ``query``, ``train`` or ``open_set``.
            output: the file, ``.safetensors``, ``.txt`` or ``.npy``; by default
                ``runs/codes/SPLIT.safetensors``.
            form: rows of a ``.txt``: ``labelled`` (``label... code...``, as DHTA has them) or
                ``signs`` (-1/1 alone, as ProS-GAN has them); ``auto`` is the first.
            compare: encode so many of the first items in float32 too, and say how many bits the
                Trainer's precision flips.

        Returns:
            The file.

        Raises:
            ValueError: if there is no such split, a logit is not finite, the suffix is unknown, or
                ``compare`` is negative.
            OSError: if the file cannot be written.
        """
        path = Path("runs") / "codes" / f"{split}.safetensors" if output is None else Path(output)
        check_suffix(path)
        if compare < 0:
            msg = f"compare must not be negative, got {compare}"
            raise ValueError(msg)
        reference = None
        # First of all: some precisions shorten the weights for good.
        if compare and self.is_global_zero:
            datamodule.prepare_data()
            datamodule.setup("predict")
            items = datamodule.dataset(split)
            first = range(min(compare, len(items)))  # type: ignore[arg-type]
            reference = float32_codes(
                model.victim,
                Subset(items, first),
                datamodule.eval_batch_size,
                self.strategy.root_device,
            )
        found = self._encode(model.victim, datamodule, (split,))[split]
        if self.is_global_zero:
            write_codes(path, found, form)
        rank_zero_info(f"{len(found)} codes of {found.bits} bits: {path}")
        if reference is not None:
            rank_zero_info(flips(found, reference, str(self.precision)))
        return path

    def attack(
        self,
        model: AttackModule,
        datamodule: HashDataModule,
        ckpt_path: str | None = None,
        codes: str | None = None,
    ) -> None:
        """Attack the queries of a data set: encode the database, optimise, score.

        Args:
            model: the attack.
            datamodule: the queries and the database.
            ckpt_path: checkpoint of this attack to go on from, made under any number of processes;
                ``last`` is the newest whole one of the runs of this name, if there is any. The
                victim is ``model``'s own.
            codes: the database's codes: what ``encode`` wrote, or the codes of another system; by
                default the database is encoded here.

        Raises:
            ValueError: if the victim's codes, the targets, the checkpoint or the code file do not
                fit, or the strategy would average the gradients of different queries.
            OSError: after the attack, if its last checkpoint could not be written.
        """
        if self.world_size > 1 and not isinstance(self.strategy, QueryParallelStrategy):
            msg = (
                f"strategy {type(self.strategy).__name__} averages the gradients of different "
                "queries; attacks by several processes need strategy='query_parallel'"
            )
            raise ValueError(msg)
        queries, found = self._prepare(model, datamodule, codes)
        if ckpt_path == "last":
            ckpt_path = self._newest_checkpoint()
        self._attack(model, queries, found, ckpt_path)
        for callback in self.checkpoint_callbacks:
            if isinstance(callback, AttackCheckpoint) and callback.failed is not None:
                msg = f"the results are written, but {callback.failed}"
                raise OSError(msg)

    def transfer(self, models: Sequence[TransferModule], datamodule: HashDataModule) -> None:
        """Score perturbations of finished attacks on a victim, whose database is encoded once.

        Args:
            models: one per perturbation, all of one victim.
            datamodule: the queries and the database of the attacks.

        Raises:
            ValueError: if the perturbations are not of these queries.
        """
        for number, model in enumerate(models):
            if number == 0:
                queries, found = self._prepare(model, datamodule, None)
            model.check_data(queries)
            self._attack(model, queries, found, None)

    def attack_encoded(
        self, model: AttackModule, datamodule: HashDataModule, database: CodeSet | None
    ) -> None:
        """Attack queries with a database that is encoded already, or without one.

        Args:
            model: the attack.
            datamodule: the queries; its database is not looked at.
            database: the victim's codes of the database; ``None`` measures no retrieval.

        Raises:
            ValueError: if the objective needs a database and there is none.
        """
        queries = QueryData(datamodule, model.n_queries, model.batch_size, model.seed)
        queries.setup("predict")
        self._attack(model, queries, None if database is None else {"database": database}, None)

    def _attack(
        self,
        model: AttackModule,
        queries: QueryData,
        codes: dict[str, CodeSet] | None,
        ckpt_path: str | None,
    ) -> None:
        databases = None
        if codes is not None:
            target = choose_target_database(model.target_database, queries.source)
            databases = Databases(codes["database"], codes.get(OPEN_SET), target)
        model.attach(queries, databases, self)
        if model.objective.iterative:
            self.fit(model, datamodule=queries, ckpt_path=ckpt_path, weights_only=True)
        self.test(model, datamodule=queries, verbose=False, weights_only=True)

    def _prepare(
        self, model: AttackModule, datamodule: HashDataModule, codes: str | None
    ) -> tuple[QueryData, dict[str, CodeSet]]:
        """Set up the queries, and encode or read what they are ranked against."""
        queries = QueryData(datamodule, model.n_queries, model.batch_size, model.seed)
        datamodule.prepare_data()
        queries.setup("predict")
        splits = [] if codes is not None else ["database"]
        if choose_target_database(model.target_database, datamodule) != "database":
            splits.append(OPEN_SET)
        found = self._encode(model.victim, datamodule, splits) if splits else {}
        if codes is not None:
            made = made_with(model.victim, datamodule, "database", self)
            found["database"] = database_codes(Path(codes), datamodule, made)
            if found["database"].foreign is not None:
                rank_zero_warn(f"codes {codes} do not say which model they are of")
        return queries, found

    def _newest_checkpoint(self) -> str | None:
        """Return the newest checkpoint of the runs of this name that can be read."""
        folder = self.log_dir
        pattern = "version_*/checkpoints/last.ckpt"
        found = [] if folder is None else list(Path(folder).parent.glob(pattern))
        newest = None
        for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
            try:
                read_checkpoint(path, "attack", "python -m lightning_hash attack")
            except ValueError as error:
                rank_zero_warn(f"left out: {error}")
            else:
                newest = str(path)
                break
        if newest is None:
            rank_zero_warn("ckpt_path last: no run of this name has a checkpoint, this one is new")
        chosen: str | None = gather_objects(newest)[0]
        return chosen

    def _encode(
        self, victim: Victim, datamodule: HashDataModule, splits: Sequence[str]
    ) -> dict[str, CodeSet]:
        """Return the codes of some splits, whole on every process."""
        data = SplitData(datamodule, splits)
        encoder = Encoder(victim)
        self.predict(encoder, datamodule=data, return_predictions=False)
        parts = gather_objects([encoder.predicted(number) for number in range(len(splits))])
        found = {}
        for number, split in enumerate(splits):
            joined = join([batch for part in parts for batch in part[number]], split)
            made = made_with(victim, datamodule, split, self)
            found[split] = dataclasses.replace(
                joined, paths=datamodule.paths_of(split), made_with=made
            )
        return found
