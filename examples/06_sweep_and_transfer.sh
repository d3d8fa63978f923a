#!/usr/bin/env bash
# Several runs from one file, 06_sweep.yaml: does what fools one victim fool another? A killed sweep goes on where it was.
set -eu
python -m lightning_hash sweep "$(dirname "$0")/06_sweep.yaml" --runs runs/06
python -m lightning_hash report runs/06
