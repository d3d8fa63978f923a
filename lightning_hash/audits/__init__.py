"""The standard suite of attacks: one number that can be believed, per query the worst case."""
