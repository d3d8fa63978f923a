"""Runs that are killed and stopped on purpose: ``python -m tests.trials``."""
