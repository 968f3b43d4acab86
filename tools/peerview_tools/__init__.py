"""The peerview command and the tools behind it."""
