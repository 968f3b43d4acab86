"""Daily delimited drops, as suppliers of GP systems make them: ``PUT /v1/extracts/{date}``.

A mapping (``mapping``, ``catalogue``) says which columns are what. Bytes become rows (``parts``,
``rows``), a row becomes the FHIR resource that would say the same (``resources``) and is read by
the one reader of ingest (``reading``). ``versions`` decides what a drop may say of what is known
already, ``index`` remembers which drop last held what, and ``taking`` carries a drop through.
"""
