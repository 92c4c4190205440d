"""Where events, bodies, views and the outbox are kept.

Lives here: `api`, Protocols in the words of the domain (no SQL crosses it), and `sql`, the one
implementation for SQLite and PostgreSQL.

May enter: `core`. Only `handfast.app` and `handfast.testing` name a concrete backend.
"""
