"""From FHIR to facts, purely: no files, no network, no clock of its own.

``Reader`` turns a Bundle or a resource into ``Read``s, one a resource: which fact of which patients
it is, or why it is none. ``collect`` does so for a whole set of files.
"""

from peerview_ingest.fhir.issues import Issue, Outcome
from peerview_ingest.fhir.keys import ClearKeys, HmacKeys, Keys
from peerview_ingest.fhir.read import Feed, Read, Receipt
from peerview_ingest.fhir.reader import Reader
from peerview_ingest.fhir.resolver import Resolver

__all__ = [
    "ClearKeys",
    "Feed",
    "HmacKeys",
    "Issue",
    "Keys",
    "Outcome",
    "Read",
    "Reader",
    "Receipt",
    "Resolver",
]
