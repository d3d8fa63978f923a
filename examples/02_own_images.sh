#!/usr/bin/env bash
# The same on your images: bash 02_own_images.sh FOLDER, where FOLDER has a folder of images for each class.
set -eu
images=(--data FolderDataModule --data.folder "${1:?give a folder with a folder of images for each class}" --data.size 32)
python -m lightning_hash check-data "${images[@]}"
python -m lightning_hash fit "${images[@]}" --name mine --trainer.max_epochs 5
python -m lightning_hash attack "${images[@]}" --name 02 --model.victim checkpoints/mine/best.ckpt --trainer.max_epochs 50
