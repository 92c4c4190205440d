"""The store on SQLAlchemy Core: SQLite and PostgreSQL through one implementation.

Lives here: tables, statements, the group-committing writer, migrations (Alembic), the body vault.

May enter: `core`, `storage.api`, SQLAlchemy, Alembic, the database drivers, `cryptography`.
"""
