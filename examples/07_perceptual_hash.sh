#!/usr/bin/env bash
# A perceptual hash, perceptual.py beside this file, has no gradient: search for images that PDQ no longer takes for the same.
# pip install '.[perceptual]' brings the hashes; --trust lets the command import them.
set -eu
export PYTHONPATH="$(dirname "$0")${PYTHONPATH:+:$PYTHONPATH}"
python -m perceptual photographs
python -m lightning_hash attack --trust --name 07 --config attack/square --trainer.max_epochs 200 \
    --model.victim "{source: 'perceptual:pdq', output: codes}" --model.oracle.shows codes --model.stop_at 32 \
    --model.epsilon 16/255 --model.metrics+=SSIM --model.evaluate_at "[0, 100]" --data FolderDataModule \
    --data.folder photographs --data.size 512
