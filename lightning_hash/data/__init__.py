"""Data sets and their LightningDataModules."""

from lightning_hash.data.augment import ColorJitter
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.queries import QueryData
from lightning_hash.data.sample_photos import SamplePhotos

__all__ = ["ColorJitter", "HashDataModule", "QueryData", "SamplePhotos"]
