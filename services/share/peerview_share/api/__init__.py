"""HTTP: thin routes over the parts in `service.py`."""
