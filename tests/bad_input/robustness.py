"""Harmless transforms: names, thresholds, victims, data and places."""

from tests.bad_input import Case
from tests.bad_input.made import WITH_DATA

ROBUSTNESS = f"robustness {WITH_DATA} --runs {{tmp}}/o"
ON = f"{ROBUSTNESS} --model.victim {{tmp}}/v.ckpt"
OPTIONS = {
    "--transforms '[jpg]'": "--transforms must be among jpeg, resize, crop",
    "--transforms '[]'": "--transforms must be one or several different names, got []",
    "--transforms '[flip, flip]'": "--transforms must be one or several different names",
    "--threshold 9": "--threshold must be from 0 to 8, the bits of the victim, got 9",
    "--threshold=-1": "--threshold must be from 0 to 8, the bits of the victim, got -1",
    "--n_queries 0": "--n_queries must be at least 1 or null, got 0",
    "--seed=-1": "--seed must be at least 0, got -1",
    "--ranking.top_k 0": "top_k must be a positive whole number",
    "--name ../x": "--name must stay below its folder",
    "--name ''": "--name must stay below its folder",
    "--trainer.devices 0": "trainer.devices must be a number of devices",
    "--trainer.accelerator tpux": "trainer.accelerator: there is no 'tpux'",
    "--trainer.limit_predict_batches 1": "limit_predict_batches",
    "--trainer.max_epochs 2": "--trainer.max_epochs changes nothing in robustness",
    "--data.batch_size 2": "--data.batch_size changes nothing in robustness",
    "--data.query '9 from nothing'": "nothing",
    "--data SampleClips --data.n_query 2 --data.n_train 2 --data.n_database 2":
        "data must be of colour images (3, H, W)",
}  # fmt: skip
UNKNOWN = {
    "--threshold x": "--threshold must be a whole number",
    "--treshold 3": "--treshold: there is no such option; there are: --threshold",
    "--ranking.ties x": "--ranking.ties: there is no 'x'; there are: expected, stable",
    "--model.objective HAG": "is an option of attack and smallest, not of robustness",
}
VICTIMS = {
    "{tmp}/absent.ckpt": "absent.ckpt does not exist",
    "{tmp}/attack.ckpt": "checkpoint of kind 'attack'",
    "'{source: os:getcwd, output: codes}'": "--trust",
    "'{source: absent.pth, backbone: convnet, bits: 8}'": "absent.pth does not exist",
}


CASES: list[Case] = [
    *((f"{ON} {option}", 1, (words,)) for option, words in OPTIONS.items()),
    *((f"{ON} {option}", 2, (words,)) for option, words in UNKNOWN.items()),
    *(
        (f"{ROBUSTNESS} --model.victim {victim}", 1, (words,))
        for victim, words in VICTIMS.items()
    ),
    (f"robustness {WITH_DATA} --model.victim {{tmp}}/v.ckpt --runs {{tmp}}/data.yaml", 1,
     ("run folder", "data.yaml")),
]  # fmt: skip
