"""The packages of the wheel: pyproject.toml cannot map a folder beside those that are found."""

from setuptools import find_namespace_packages, setup

PRESETS = "lightning_hash.configs"
CACHES = ["*__pycache__*"]

setup(
    packages=[
        *find_namespace_packages(include=["lightning_hash*"], exclude=CACHES),
        PRESETS,
        *(f"{PRESETS}.{folder}" for folder in find_namespace_packages("configs", CACHES)),
    ],
    package_dir={PRESETS: "configs"},
)
