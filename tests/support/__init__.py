"""What tests of several packages need: brokers, databases, and how to wait for a condition."""
