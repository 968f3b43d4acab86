"""The pure core: what a patient's set of facts is, and what it contributes on a given day.

Nothing here reads a clock, a topic, a file outside the package or a database. Start at ``core.py``.
"""
