"""Releases: when they happen, what is decided, and the one leader that does it."""
