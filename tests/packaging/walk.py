"""Run by the Python of an installed wheel, in an empty folder: demo, sweep and report, in small."""

import json
from pathlib import Path

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.commands import demo

DATA = ["--data.n_train=100", "--data.n_query=20", "--data.n_database=200"]
SMALL = {
    "fit": [*DATA, "--trainer.max_epochs=1"],
    "attack": [*DATA, "--trainer.max_epochs=2", "--model.n_queries=5"],
    "report": [],
}
SWEEP = """
runs:
  victim:
    verb: fit
    config: [trainer/cpu]
    options: {data.n_train: 100, data.n_query: 20, data.n_database: 200, trainer.max_epochs: 1}
  hag:
    verb: attack
    config: [attack/hag, overlay/quick/sgd]
    options: {model.victim: "@victim", model.n_queries: 5, data.n_query: 20, data.n_database: 200,
              trainer.max_epochs: 1}
full: [{run: hag}]
"""


def walk():
    run = demo.run_verb
    demo.run_verb = lambda verb, line: run(verb, [*line, *SMALL[verb]])
    Path("sweep.yaml").write_text(SWEEP)
    return {
        "demo": main(["demo"]),
        "sweep": main(["sweep", "sweep.yaml", "--runs", "swept"]),
        "report": main(["report", "runs", "swept", "--output", "page"]),
    }


if __name__ == "__main__":
    status = walk()
    Path("said.json").write_text(json.dumps({"file": lightning_hash.__file__, "status": status}))
