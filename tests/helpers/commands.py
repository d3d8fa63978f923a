"""Options that make a command small."""

SMALL_DATA = ["--data.n_train=100", "--data.n_query=20", "--data.n_database=200"]
SMALL_ATTACK = [
    *SMALL_DATA, "--model.n_queries=8", "--model.batch_size=5", "--trainer.accelerator=cpu",
    "--checkpoint_every=2", "--model.tune=false",
]  # fmt: skip
