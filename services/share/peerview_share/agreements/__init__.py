"""Sharing agreements: the document people sign, its life, and the index a machine enforces."""
