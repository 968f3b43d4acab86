"""The demonstration: everything that Peerview is, on one machine, with made-up practices."""
