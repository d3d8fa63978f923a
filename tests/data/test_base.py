import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset

from lightning_hash.data import HashDataModule
from lightning_hash.data.split_data import SplitData


class Numbers(Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        labels = torch.zeros(3, dtype=torch.uint8)
        labels[index % 3] = 1
        return torch.full((2,), index / 100), labels, index


class NumberData(HashDataModule):
    name = "numbers"
    class_names = ("a", "b", "c")

    def __init__(self, n_train=10, selected_on="test", **options):
        super().__init__(selected_on=selected_on, **options)
        self.train_set, self.query_set, self.database_set = map(Numbers, (n_train, 4, 7))

    def fingerprints(self):
        return {}


def order(loader):
    return torch.cat([index for _, _, index in loader]).tolist()


def test_queries_come_first_then_the_database_both_in_order():
    data = NumberData(eval_batch_size=3)
    for loaders in (data.val_dataloader(), data.test_dataloader()):
        assert [order(loader) for loader in loaders] == [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6]]
        assert [len(loader) for loader in loaders] == [2, 3]


def test_training_order_is_a_permutation_that_the_seed_decides():
    first = order(NumberData(seed=1, batch_size=4).train_dataloader())
    assert sorted(first) == list(range(10))
    assert first != list(range(10))
    torch.manual_seed(99)  # the global generator has no part in it
    assert order(NumberData(seed=1, batch_size=4).train_dataloader()) == first
    assert order(NumberData(seed=2, batch_size=4).train_dataloader()) != first


def test_epochs_have_different_orders():
    loader = NumberData(batch_size=4).train_dataloader()
    first = order(loader)
    loader.sampler.set_epoch(1)  # as the Trainer does
    assert order(loader) != first
    assert sorted(order(loader)) == sorted(first)


@pytest.mark.parametrize(("count", "sizes"), [(9, [4, 4]), (10, [4, 4, 2]), (8, [4, 4])])
def test_only_a_last_batch_of_one_item_is_dropped(count, sizes):
    loader = NumberData(n_train=count, batch_size=4).train_dataloader()
    assert [len(index) for _, _, index in loader] == sizes


def test_what_is_known_of_the_data():
    data = NumberData()
    assert data.num_classes == 3
    assert data.input_shape == (2,)


class Recorder(pl.LightningModule):
    """Keeps the largest input that each loop hands in."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = {"fit": [], "val": [], "test": [], "predict": []}

    def training_step(self, batch, batch_idx):
        self.seen["fit"].append(batch[0].max().item())
        return self.weight * batch[0].sum()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.seen["val"].append(batch[0].max().item())

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        self.seen["test"].append(batch[0].max().item())

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        self.seen["predict"].append(batch[0].max().item())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_augmentation_is_for_training_alone():
    data, module = NumberData(batch_size=5), Recorder()
    data.train_transform = lambda inputs: inputs + 100
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)  # with a sanity check, and validation inside the fit
    trainer.test(module, datamodule=data, verbose=False)
    trainer.predict(module, datamodule=SplitData(data, ("query", "database")))
    assert len(module.seen["fit"]) == 2
    assert min(module.seen["fit"]) >= 100
    for stage in ("val", "test", "predict"):
        assert module.seen[stage]
        assert max(module.seen[stage]) < 1


@pytest.mark.parametrize(
    ("argument", "value", "least"),
    [("batch_size", 1, 2), ("eval_batch_size", 0, 1), ("num_workers", -1, 0), ("seed", -1, 0)],
)
def test_arguments_out_of_range(argument, value, least):
    with pytest.raises(ValueError, match=f"{argument} must be at least {least}, got {value}"):
        NumberData(**{argument: value})
