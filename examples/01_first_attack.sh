#!/usr/bin/env bash
# Train a hash model on the demo's photographs and attack its queries with HAG.
set -eu
python -m lightning_hash fit --data.size 32 --trainer.max_epochs 5
python -m lightning_hash attack --name 01 --data.size 32 --model.n_queries 50 --trainer.max_epochs 50
