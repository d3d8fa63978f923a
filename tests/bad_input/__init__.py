"""Bad inputs by verb: what is typed, the exit status, and words that the last line must hold."""

Case = tuple[str, int, tuple[str, ...]]
