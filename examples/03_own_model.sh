#!/usr/bin/env bash
# Train and attack a network of your own, own_model.py beside this file. --trust lets the commands import it.
set -eu
export PYTHONPATH="$(dirname "$0")${PYTHONPATH:+:$PYTHONPATH}"
python -m lightning_hash fit --trust --name own --model.backbone "{class_path: own_model.OwnModel, init_args: {bits: 32}}" \
    --data.size 32 --trainer.max_epochs 5
python -m lightning_hash attack --trust --name 03 --model.victim checkpoints/own/best.ckpt \
    --model.step SignStep --model.step.lr 1/255 --data.size 32 --model.n_queries 50 --trainer.max_epochs 50
