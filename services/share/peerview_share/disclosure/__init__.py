"""Disclosure control: pure functions from contributions to cells. No Kafka, web or database.

One module a rule; `release.py` puts them in order. Described for people in ``docs/sharing.md``.
"""

RULES = "1"
"""Version of the rules, kept with every epoch."""
