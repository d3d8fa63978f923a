"""Options that make a command small."""

SMALL_DATA = ["--data.n_train=100", "--data.n_query=20", "--data.n_database=200"]
SHORT_FIT = [
    "--trainer.max_epochs=2", "--trainer.check_val_every_n_epoch=1", "--trainer.accelerator=cpu",
]  # fmt: skip
SMALL_ATTACK = [
    *SMALL_DATA, "--model.n_queries=8", "--model.batch_size=5", "--trainer.accelerator=cpu",
    "--checkpoint_every=2", "--model.kernels=float32",
]  # fmt: skip
