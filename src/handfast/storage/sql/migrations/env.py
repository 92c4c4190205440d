"""Alembic's entry point: runs on the connection that `storage.sql.migrate` hands over."""

from typing import Any

from alembic import context

given = context.config.attributes


def _told(*, step: Any, **_: object) -> None:
    given["told"](str(step.up_revision_id))


context.configure(
    connection=given["connection"],
    transactional_ddl=True,
    on_version_apply=_told,  # type: ignore[arg-type]  # called with names, as Alembic documents it
)
context.run_migrations()
