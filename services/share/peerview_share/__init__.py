"""The share service."""
