"""Lightning's Trainer with one more verb."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightning_hash.allocator import keep_pages
from lightning_hash.attacks.state import gather_objects
from lightning_hash.checkpoint_io import WholeCheckpointIO
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.queries import QueryData
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.encoder import Encoder, Encoding, join


class HashTrainer(pl.Trainer):
    """The Trainer that fits hash models and attacks them; its checkpoints are never torn."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.accelerator, CPUAccelerator):
            keep_pages()
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:
            self.strategy.checkpoint_io = WholeCheckpointIO()

    def attack(
        self,
        model: AttackModule,
        datamodule: HashDataModule,
        ckpt_path: str | None = None,
    ) -> None:
        """Attack the queries of a data set: encode the database, optimise, score.

        Args:
            model: the attack.
            datamodule: the queries and the database.
            ckpt_path: checkpoint of this attack to go on from; the victim is ``model``'s own.

        Raises:
            ValueError: if the victim's codes, the targets or the checkpoint do not fit.
        """
        queries = QueryData(datamodule, model.n_queries, model.batch_size, model.seed)
        _, database = self._encode(Encoder(model.victim), queries)
        self._attack(model, queries, database, ckpt_path)

    def attack_encoded(
        self, model: AttackModule, datamodule: HashDataModule, database: Encoding | None
    ) -> None:
        """Attack queries with a database that is encoded already, or without one.

        Args:
            model: the attack.
            datamodule: the queries; its database is not looked at.
            database: the victim's encoding of the database; ``None`` measures no retrieval.

        Raises:
            ValueError: if the objective needs a database and there is none.
        """
        queries = QueryData(datamodule, model.n_queries, model.batch_size, model.seed)
        queries.setup("predict")
        self._attack(model, queries, database, None)

    def _attack(
        self,
        model: AttackModule,
        queries: QueryData,
        database: Encoding | None,
        ckpt_path: str | None,
    ) -> None:
        model.attach(queries, database, self)
        if model.objective.iterative:
            self.fit(model, datamodule=queries, ckpt_path=ckpt_path, weights_only=True)
        self.test(model, datamodule=queries, verbose=False, weights_only=True)

    def _encode(self, encoder: Encoder, queries: QueryData) -> list[Any]:
        """Return the encodings of the queries and the database, whole on every process."""
        parts = gather_objects(self.predict(encoder, datamodule=queries))
        return [
            join([batch for part in parts for batch in part[number]], split)
            for number, split in enumerate(("query", "database"))
        ]
