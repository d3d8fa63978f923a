#!/usr/bin/env bash
# How robust is a victim? The suite of attacks in its short form, the worst case of each query, checks, one page.
set -eu
python -m lightning_hash fit --name 08 --data.size 32 --trainer.max_epochs 5
python -m lightning_hash audit --name 08 --model.victim checkpoints/08/best.ckpt --data.size 32 --quick
