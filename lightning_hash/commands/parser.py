"""The parser of the command line: numbers that people write as fractions."""

from fractions import Fraction
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser

from lightning_hash.commands.mappings import with_parts
from lightning_hash.commands.one_line import OneLineParser

_RULE = "must be a finite number or a fraction such as '1/255'"


class HashArgumentParser(LightningArgumentParser, OneLineParser):
    """Take every option named ``lr``, of whatever class, as a number or a fraction.

    jsonargparse makes the parsers of classes that a config names with the class of the outermost
    one, and its groups with this very method: each argument there is comes along here.
    """

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an argument, as jsonargparse does."""
        if str(args[0]).lstrip("-").rpartition(".")[2] == "lr":
            kept = ("default", "help", "required")
            kwargs = {name: kwargs[name] for name in kept if name in kwargs}
            kwargs["type"] = parse_rate
        return with_parts(super().add_argument(*args, **kwargs))


def parse_rate(value: float | str) -> float:
    """Read a learning rate.

    Args:
        value: a number or a fraction such as ``"1/255"``.

    Returns:
        The number.

    Raises:
        ValueError: if it is neither, or not finite.

    Example:
        >>> parse_rate("51/255"), parse_rate("1e-3"), parse_rate(1)
        (0.2, 0.001, 1.0)
    """
    try:
        return float(Fraction(value))
    except (ValueError, OverflowError, TypeError, ZeroDivisionError):
        msg = f"{_RULE}, got {value!r}"
        raise ValueError(msg) from None
