"""The independent judge: the page of the twelve indicators, written a second time.

Nothing here imports the product. See README.md.
"""
