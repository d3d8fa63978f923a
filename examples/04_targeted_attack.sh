#!/usr/bin/env bash
# DHTA: each query gets a target label, and what it retrieves becomes the target's. Attacks the victim of 01.
set -eu
python -m lightning_hash attack --name 04 --config attack/dhta --config overlay/quick/sign \
    --data.size 32 --model.n_queries 50 --trainer.max_epochs 50
