"""The stream engine: reads ``practice.changes``, keeps ``patient.state``, publishes the figures.

``partition`` holds what one partition knows and decides, without any Kafka; ``processor`` moves
records through it in order; ``lanes`` send and await; ``table`` recovers; ``worker`` wires them to
Faust. ``docs/engine.md`` says what is guaranteed and how.
"""
