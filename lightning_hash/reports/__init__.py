"""Reads finished runs, writes tables and figures."""
