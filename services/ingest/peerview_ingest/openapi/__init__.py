"""What the HTTP interface takes and answers, as an OpenAPI document with examples that are run."""

from peerview_ingest.openapi.document import install

__all__ = ["install"]
