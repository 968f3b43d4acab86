"""Everything for real: a broker, the three services as processes, and HTTP."""
