"""Vocabulary and rules of a release: pure, no I/O, no clock (design: arrows point here)."""
