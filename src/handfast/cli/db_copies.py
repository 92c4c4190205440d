"""`handfast db backup`, `db restore` and `db move`: the whole database into a file, back, or elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from handfast.cli.db_place import DatabasePlace, Progress, keys_at_hand, place_of
from handfast.cli.output import Json, note, say, say_json, short_time
from handfast.core.domain.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from handfast.engine.database.backup_file import Backup, Manifest
    from handfast.engine.database.copying import Copied, Making
    from handfast.engine.database.secrets import Secrets


def backup(
    file: Path,
    /,
    *,
    with_keys: Annotated[bool, Parameter(negative=())] = False,
    force: Annotated[bool, Parameter(negative=())] = False,
    database: str = "",
    as_json: Json = False,
) -> None:
    """Write the whole database to one file, as it is at this moment. Servers go on working.

    `handfast db restore` puts it into SQLite or PostgreSQL. The file is readable by you only.

    Parameters
    ----------
    file
        The file to write.
    with_keys
        Put the signing key and the data key into it. Whoever has the file can then read every body and
        sign in the name of this log.
    force
        Replace a file that is there already.
    database
        Its URL. HANDFAST_DATABASE_URL when left out, else the file in the data folder.
    """
    from handfast.app import snapshot_of
    from handfast.engine.database.copying import back_up

    place = place_of(database)
    place.must_exist()
    _may_write(file, force=force)
    making = _making(place.home, with_keys=with_keys)
    with Progress() as progress, snapshot_of(place.url) as view:
        made = back_up(view, file, making, progress.told)
    if as_json:
        say_json({"file": str(file), "bytes": file.stat().st_size, **_summary(made)})
        return
    say(f"{made.size:,} entries of {place.shown} written to {file} ({_size(file)})")
    say(f"Root {made.root}, {'signed' if made.head else 'not signed: no key at hand'}")
    say(f"Digest of its manifest {made.digest}")
    if made.keys:
        note("It holds the keys: whoever has this file can read everything and sign as this log.")
    else:
        note(
            f"The keys are NOT in it, and without them nothing in it can be opened: keep {place.home / 'keys'} "
            "elsewhere, or use --with-keys."
        )
    for table in made.left_out:
        note(f"Not in it: the table {table}, which is not Handfast's.")


def restore(file: Path, /, *, database: str = "", as_json: Json = False) -> None:
    """Put a backup into an empty database, verified as a whole before any of it stands.

    Exit code 6 when the backup is not what it was. A kill leaves the database empty: run it again.

    Parameters
    ----------
    file
        What `handfast db backup` wrote.
    database
        The empty database's URL. HANDFAST_DATABASE_URL when left out, else the file in the data folder.
    """
    from handfast.app import fill_database
    from handfast.engine.database.backup_file import Backup
    from handfast.engine.database.copying import restore as restore_backup

    place = place_of(database)
    place.nobody_serves("a restore needs a database that nobody uses.")
    with Progress() as progress, Backup(file) as opened:
        m = opened.manifest
        with fill_database(place.url, m.schema) as into:
            keys = _keys_for(opened, place.home)
            done = restore_backup(opened, into, keys, progress.told)
    _tell(done, place, as_json=as_json, more={"made_at": m.made_at, "schema_was": m.schema})
    if as_json:
        return
    note(
        f"It is the state of {short_time(m.made_at)} UTC. What was recorded after that is not in it."
    )
    _newer_head(place.home, m)
    if not (place.home / "keys" / "data.key").exists():
        note(
            f"The keys are missing: put signing.key and data.key into {place.home / 'keys'} before you serve."
        )


def move(
    to_url: str,
    /,
    *,
    database: str = "",
    as_json: Json = False,
) -> None:
    """Copy this installation's database into an empty one elsewhere, and prove that both are equal.

    From SQLite to PostgreSQL or back. Stop the server first. The source is only read. A kill leaves the
    target empty: run it again.

    Parameters
    ----------
    to_url
        The empty database: `postgresql://user@host/name` or `sqlite:////absolute/path.db`.
    database
        The source's URL. HANDFAST_DATABASE_URL when left out, else the file in the data folder.
    """
    from handfast.app import fill_database, shown_url, snapshot_of
    from handfast.engine.database.copying import move as move_database

    place = place_of(database)
    place.must_exist()
    target = DatabasePlace(place.home, to_url, shown_url(to_url))
    if to_url == place.url:
        raise UsageError("the target is the source", hint="Name another, empty database.")
    place.nobody_serves("what it writes during the move would be lost.")
    with (
        Progress() as progress,
        snapshot_of(place.url, still=True) as view,
        fill_database(to_url, view.schema) as into,
    ):
        done = move_database(view, into, keys_at_hand(place.home), progress.told)
    _tell(done, target, as_json=as_json, more={"source": place.shown})
    if not as_json:
        say(f"The same tree, counts and rows as {place.shown}, which is unchanged.")
        note(f"Now set HANDFAST_DATABASE_URL={target.shown} for every server and command.")
        note("Never serve the old database again: both would go on with the same log, differently.")


def _may_write(file: Path, *, force: bool) -> None:
    if file.exists() and not force:
        raise UsageError(f"`{file}` exists already", hint="Choose another name, or add --force.")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"the folder of `{file}` does not exist", hint="Make it first.")


def _making(home: Path, *, with_keys: bool) -> "Making":
    from handfast import __version__
    from handfast.core.domain.codec import format_time
    from handfast.engine.clock import SystemClock
    from handfast.engine.database.copying import Making
    from handfast.engine.database.secrets import contents

    keys = contents(home) if with_keys else {}
    return Making(format_time(SystemClock().now()), __version__, keys_at_hand(home), keys)


def _keys_for(opened: "Backup", home: Path) -> "Secrets":
    from handfast.engine.database.secrets import adopt

    m = opened.manifest
    return adopt(home, {name: opened.key(name) for name in m.keys}, m.verifier)


def _summary(made: "Manifest") -> dict[str, object]:
    return {
        "size": made.size,
        "root": made.root,
        "signed": bool(made.head),
        "schema": made.schema,
        "database": made.database,
        "made_at": made.made_at,
        "digest": made.digest,
        "tables": {t.shape.name: t.rows for t in made.tables},
        "keys": list(made.keys),
        "left_out": list(made.left_out),
    }


def _tell(done: "Copied", target: DatabasePlace, *, as_json: bool, more: dict[str, object]) -> None:
    if as_json:
        counts = {"size": done.size, "root": done.root, "tables": done.rows}
        report = {"checked": done.report.checked, "unchecked": done.report.unchecked}
        say_json({"database": target.shown, **counts, **report, **more})
        return
    say(f"{done.size:,} entries are in {target.shown} now, root {done.root}")
    say("Read back row for row, and checked: log, tree, heads, states, bodies, outbox, leases.")
    for what in done.report.unchecked:
        say(f"Not checked: {what}.")


def _newer_head(home: Path, made: "Manifest") -> None:
    """Says when a head was published that the restored log does not reach."""
    from handfast.core.audit.note import parse_checkpoint, parse_note

    try:
        said = parse_checkpoint(parse_note((home / "heads" / "latest").read_bytes()).text)
    except (OSError, IntegrityError):
        return
    if said.size > made.size:
        note(
            f"Lost: entries {made.size + 1:,} to {said.size:,}. A head of size {said.size:,} was published, and "
            "whoever kept it will see that this log is not its continuation. Tell them."
        )


def _size(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:,.1f} MB"
