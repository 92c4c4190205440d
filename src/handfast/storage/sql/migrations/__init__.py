"""Alembic's scripts. A released revision is never edited; a change is a new revision."""
