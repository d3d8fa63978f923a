#!/usr/bin/env bash
# Train a hash model of clips (a network for each frame and an LSTM) and attack all frames of each query with DHTA.
set -eu
python -m lightning_hash fit --config fit/demo_video --name clips --data.n_train 400 --trainer.max_epochs 5
python -m lightning_hash attack --name 05 --config attack/dhta --config overlay/demo_video \
    --model.victim checkpoints/clips/best.ckpt --data.n_train 400 --model.n_queries 20 --trainer.max_epochs 20
