"""Data sets and their LightningDataModules."""

from lightning_hash.data.augment import ColorJitter, FlipShift
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.cifar10 import CIFAR10DataModule
from lightning_hash.data.coco import COCODataModule
from lightning_hash.data.csv_data import CSVDataModule
from lightning_hash.data.flickr25k import Flickr25KDataModule
from lightning_hash.data.folder_data import FolderDataModule
from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.list_data import ListDataModule
from lightning_hash.data.nuswide import NUSWideDataModule
from lightning_hash.data.queries import QueryData
from lightning_hash.data.sample_clips import SampleClips
from lightning_hash.data.sample_photos import SamplePhotos

__all__ = [
    "CIFAR10DataModule",
    "COCODataModule",
    "CSVDataModule",
    "ColorJitter",
    "Flickr25KDataModule",
    "FlipShift",
    "FolderDataModule",
    "HashDataModule",
    "ImageDataModule",
    "ListDataModule",
    "NUSWideDataModule",
    "QueryData",
    "SampleClips",
    "SamplePhotos",
]
