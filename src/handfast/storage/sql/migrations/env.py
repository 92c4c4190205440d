"""Alembic's entry point: runs on the connection that `storage.sql.migrate` hands over."""

from alembic import context

given = context.config.attributes


def _told(**found: object) -> None:
    given["told"](getattr(found["step"], "up_revision_id", ""))


context.configure(connection=given["connection"], transactional_ddl=True, on_version_apply=_told)
context.run_migrations()
