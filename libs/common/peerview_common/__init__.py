"""The contracts that Peerview's services share: facts, events, topics, settings, auth, metrics.

Nothing here knows a service; every service may import everything here.
"""
