"""The contracts as files that programs read: JSON Schema for every event, AsyncAPI, OpenAPI.

Written from the types that the services encode and decode with, by `make docs`.
"""
