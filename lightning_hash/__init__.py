"""Adversarial robustness of deep-hashing retrieval, on PyTorch Lightning."""

__version__ = "0.1.0.dev0"
