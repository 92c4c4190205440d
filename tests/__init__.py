"""Tests by kind: unit, property, conformance, integration, e2e, faults, replay, docs, agents.

`needs` says what a test does when the machine lacks something; `postgres` starts a server to throw away.
"""
