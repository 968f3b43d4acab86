"""``/v1/bulk`` and ``/v1/uploads``: lines of records, of any length, sent at once or in parts."""
