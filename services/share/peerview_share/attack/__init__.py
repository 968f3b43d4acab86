"""An attacker of our own, over everything that was ever released. Pure: a log goes in, finds come
out. No Kafka, web or database.

It trusts no rule: it takes what was shown, and the patients behind it, and tries what somebody who
kept every release could try. Described for people in ``docs/attacker.md``.
"""
