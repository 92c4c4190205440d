"""The shipped test kit, for this project and for those who extend it.

Lives here: conformance suites (store, client, executor), fakes, a frozen clock, fault points, replay, a
fake model server.

May enter: everything. Nothing imports it.
"""
