"""Attacks and levels that no smallest epsilon can be looked for with."""

from tests.bad_input import Case
from tests.bad_input.made import WITH_DATA

SMALLEST = (
    f"smallest {WITH_DATA} --runs {{tmp}}/o --trainer.max_epochs 2 --model.n_queries null "
    "--model.kernels float32"
)
ON = f"{SMALLEST} --model.victim {{tmp}}/v.ckpt"
AT = f"{ON} --model.stop_at 2"
OPTIONS = {
    "--levels 0": "--levels must be from 1 to 255, got 0",
    "--levels 256": "--levels must be from 1 to 255, got 256",
    "--trainer.max_epochs 0": "--trainer.max_epochs (the iterations) must be at least 1, got 0",
    "--trainer.max_epochs=-1": "--trainer.max_epochs (the iterations) must be at least 1, got -1",
    "--model.objective Noise": "objective noise is not iterated, so that it cannot succeed",
    "--model.perturbation Universal": "Universal is shared by all queries; leave it out",
    "--model.perturbation Patch --model.budget Box": "budget must be LInf, got Box",
    "--model.side candidate --model.objective AnchorCode": "--model.side must be query, got cand",
    "--model.surrogates {tmp}/v.ckpt": "surrogates: stop_at would look at their codes",
    "--model.epsilon_space normalized": "epsilon_space must be pixel, got normalized",
    "--model.jpeg 80": "--model.jpeg must be null, got 80: success is that of 8-bit images",
    "--model.budget L2": "budget must be LInf, got L2: levels bound each value",
    "--model.stop_at 9": "--model.stop_at must be a Hamming distance of codes of 8 bits, got 9",
    "--model.stop_at 0": "stop_at must be a Hamming distance from 1 on, got 0",
    "--config attack/dhta --model.targets.n_t 1 --model.stop_at 8":
        "stop_at must be at most 7 of a targeted attack on codes of 8 bits, got 8: every",
    "--config attack/square --model.oracle.shows ids": "stop_at is a Hamming distance",
    "--model.epsilon 8/255": "--model.epsilon changes nothing in smallest: each query",
    "--model.evaluate_at [1]": "--model.evaluate_at changes nothing in smallest",
    "--trainer.logger false": "--trainer.logger changes nothing in smallest",
    "--trainer.max_steps 3": "trainer.max_steps = 3",
    "--data.batch_size 2": "--data.batch_size changes nothing in smallest",
    "--model.query_index [40]": "query_index: 40 is none of the 6 queries",
    "--codes {tmp}/absent.safetensors": "absent.safetensors does not exist",
    "--images -1": "--images must be a whole number of at least 0, or null for all, got -1",
    "--checkpoint_every 0": "checkpoint_every must be at least 1, got 0",
    "--name ../x": "--name must stay below its folder",
}  # fmt: skip
UNKNOWN = {
    "--levels x": "--levels must be a whole number",
    "--level 3": "--level: there is no such option; there are: --levels",
    "--ckpt_path last": "--ckpt_path is an option of fit",
}

CASES: list[Case] = [
    *((f"{AT} {option}", 1, (words,)) for option, words in OPTIONS.items()),
    *((f"{AT} {option}", 2, (words,)) for option, words in UNKNOWN.items()),
    (ON, 1, ("stop_at must be a Hamming distance", "got none")),
    (f"{SMALLEST} --model.stop_at 2 --model.victim {{tmp}}/absent.ckpt", 1,
     ("absent.ckpt does not exist",)),
    (f"smallest {WITH_DATA} --model.victim {{tmp}}/v.ckpt --model.stop_at 2 --runs "
     "{tmp}/data.yaml", 1, ("run folder", "data.yaml")),
]  # fmt: skip
