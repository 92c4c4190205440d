"""`handfast db upgrade` and `db check`: the schema and the content of the database."""

from typing import TYPE_CHECKING

from handfast.cli.db_place import Progress, keys_at_hand, place_of
from handfast.cli.output import Json, note, say, say_json

if TYPE_CHECKING:
    from handfast.engine.database.report import Report

WRONG = 6


def upgrade(*, database: str = "", as_json: Json = False) -> None:
    """Bring the database to the schema of this version. Asks nothing; a second run does nothing.

    Back it up first. All steps are one transaction: a kill leaves the old schema. A SQLite file is copied
    beside itself before. Servers of an older version that still run stop writing.

    Parameters
    ----------
    database
        Its URL. HANDFAST_DATABASE_URL when left out, else the file in the data folder.
    """
    from handfast.app import upgrade_database

    place = place_of(database)
    place.must_exist()
    steps: list[str] = []

    def told(step: str) -> None:
        steps.append(step)
        note(f"applied {step}")

    before, after, copy = upgrade_database(place.url, told)
    if as_json:
        document = {
            "database": place.shown,
            "from": before,
            "to": after,
            "steps": steps,
            "copy": copy,
        }
        say_json(document)
        return
    if before == after:
        say(f"The schema is {after} already.")
    elif not before:
        say(f"Set up an empty database with schema {after}.")
    else:
        say(f"Upgraded the schema from {before} to {after}.")
    if copy:
        say(f"The database as it was: {copy}")
        note("Remove that copy once all is well: it holds everything.")


def check(*, database: str = "", as_json: Json = False) -> int:
    """Check the whole database, while servers may go on working. Exit code 6 when something is wrong.

    Schema, log, tree, signed heads, states (each folded again), bodies against their digests, outbox,
    leases. Says what it could not check. Changes nothing.

    Parameters
    ----------
    database
        Its URL. HANDFAST_DATABASE_URL when left out, else the file in the data folder.
    """
    from handfast.app import snapshot_of
    from handfast.engine.database.check import check as check_database

    place = place_of(database)
    keys = keys_at_hand(place.home)
    with Progress() as progress, snapshot_of(place.url) as view:
        schema = view.schema
        report = check_database(view, keys, progress.told)
    if as_json:
        say_json({"database": place.shown, "schema": schema, **report.to_json()})
    else:
        _print(report, place.shown, schema)
    return 0 if report.ok else WRONG


def _print(report: "Report", shown: str, schema: str) -> None:
    say(f"{shown}, schema {schema}")
    for part, number in report.checked.items():
        say(f"  {number:>9,}  {part}")
    say(f"Tree of {report.size:,} entries, root {report.root}")
    for problem in report.problems:
        say(f"WRONG  {problem.part}: {problem.what}")
    hidden = sum(report.found.values()) - len(report.problems)
    if hidden:
        say(f"WRONG  {hidden:,} more")
    for what in report.unchecked:
        say(f"Not checked: {what}.")
    if report.ok:
        say("Nothing is wrong.")
    else:
        say("Restore a backup from before this happened. Until then keep the servers stopped.")
