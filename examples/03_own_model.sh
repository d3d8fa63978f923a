#!/usr/bin/env bash
# Attack a network of your own, own_model.py beside this file. --trust lets the command import it.
set -eu
export PYTHONPATH="$(dirname "$0")${PYTHONPATH:+:$PYTHONPATH}"
python -m lightning_hash attack --trust --name 03 --model.victim "{source: 'own_model:load', preprocess: none, output: logits}" \
    --data.size 32 --model.n_queries 50 --trainer.max_epochs 50
