"""The packages of the wheel: pyproject.toml cannot map a folder beside those that are found."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lightning_hash*"]), "lightning_hash.configs"],
    package_dir={"lightning_hash.configs": "configs"},
)
