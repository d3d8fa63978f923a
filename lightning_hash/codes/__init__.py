"""Code sets and code files."""
