"""Benchmarks: one file each, runnable by itself; each prints a table, writes JSON, and compares within one run."""
