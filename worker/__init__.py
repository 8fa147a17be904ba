"""The workers: scoring on a device, sending webhooks, and the upkeep of the ledger. No web framework is imported here.

`run` starts a process, `application` gives it its tasks; the work itself is plain functions with their collaborators
as arguments: `scoring`, `delivering`, `upkeep`.
"""
