"""Names of victims."""

from collections import Counter
from collections.abc import Sequence


def source_names(victims: Sequence[tuple[str | None, int | None, str | None]]) -> str:
    """Name victims as ``backbone-bits``, joined by ``+``.

    Args:
        victims: backbone, code length and fingerprint of each; the fingerprint's first six digits
            are added where two would have one name.

    Returns:
        The names.

    Example:
        >>> source_names([("vgg16", 32, "aaaaaaaa"), ("vgg16", 64, "b")])
        'vgg16-32+vgg16-64'
        >>> source_names([("vgg16", 32, "aaaaaaaa"), ("vgg16", 32, "bbbbbbbb")])
        'vgg16-32-aaaaaa+vgg16-32-bbbbbb'
    """
    return "+".join(victim_names(victims))


def victim_names(victims: Sequence[tuple[str | None, int | None, str | None]]) -> list[str]:
    """Return the names of :func:`source_names` one by one; a backbone's own name may hold a +."""
    names = [f"{backbone}-{bits}" for backbone, bits, _ in victims]
    times = Counter(names)
    return [
        name if times[name] == 1 else f"{name}-{str(sha256)[:6]}"
        for name, (_, _, sha256) in zip(names, victims, strict=True)
    ]
