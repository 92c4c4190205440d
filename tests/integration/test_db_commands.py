"""`handfast db`: nothing is lost on the way into a file, back, and to another database; what is wrong is named."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handfast.app import fill_database, open_engine, snapshot_of
from handfast.cli import main
from handfast.cli.place import Place, announce
from handfast.core.domain.errors import (
    HandfastError,
    IntegrityError,
    InvalidTransition,
    SchemaVersion,
    Unavailable,
)
from handfast.engine.database.backup_file import Backup, Manifest
from handfast.engine.database.check import check
from handfast.engine.database.copying import Making, back_up, restore
from handfast.engine.database.rows import Tally, encoded
from handfast.engine.database.secrets import Secrets, contents
from handfast.storage.sql import connect
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import whole
from tests.commands import Command
from tests.engine_room import opened
from tests.old_database import plain
from tests.replay import history


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose log has every type of event, and 300 more entries. Tests copy it."""
    home = tmp_path_factory.mktemp("made") / "home"
    chapters = (
        history._people_and_agents,
        history._gate,
        history._limits,
        history._scoped,
        history._work,
        history._several,
    )
    with history._fixed(), opened(home, f"sqlite:///{home}/handfast.db") as room:
        for chapter in chapters:
            chapter(room)
            room.clock.move(60)
        for _ in range(60):
            room.engine.hooks.pause(room.me, 5, "h\u00e9 \U0001f600")
            room.engine.hooks.resume(room.me)
            room.clock.move(1)
        room.engine.audit.erase(room.me, _any_body(room.engine), "asked for")
        room.engine.heads.sign()
    return home


def _any_body(engine: Any) -> str:
    with snapshot_of(f"sqlite:///{engine.home}/handfast.db") as view:
        return str(next(view.rows("body", ("body_id",)))[0])


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "home"
    shutil.copytree(made, found)
    monkeypatch.setenv("HANDFAST_HOME", str(found))
    return found


@pytest.fixture
def source(home: Path) -> str:
    return f"sqlite:///{home}/handfast.db"


@pytest.fixture(scope="module")
def kept(made: Path) -> Path:
    """A backup of it, with its keys."""
    path = made.parent / "kept.hfbackup"
    _back_up(f"sqlite:///{made}/handfast.db", made, path)
    return path


def _back_up(url: str, home: Path, path: Path) -> Manifest:
    making = Making("2026-01-01T00:00:00Z", "test", Secrets.of(home), contents(home))
    with snapshot_of(url) as view:
        return back_up(view, path, making)


def _digests(url: str) -> dict[str, str]:
    """A digest of the rows of every table, and the counters."""
    with snapshot_of(url) as view:
        found = {}
        for shape in view.shapes:
            tally = Tally()
            for row in view.rows(shape.name):
                tally.add(encoded(row))
            found[shape.name] = f"{tally.rows} {tally.digest}"
        return found | {k: str(v) for k, v in view.counters().items()}


def _empty(url: str) -> bool:
    """Whether no table of the database has rows, if it has tables at all."""
    with plain(url) as c:
        names = (
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            if url.startswith("sqlite")
            else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        return not {"event", "body"} & {row[0] for row in c.execute(names).fetchall()}


# -- by hand, as an operator does it


def _run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any, str]:
    capsys.readouterr()
    code = main([*map(str, words), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out or said.err), said.out + said.err


def test_a_drill_from_sqlite_to_a_file_to_both_databases(
    home: Path, tmp_path: Path, store_url: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file, fresh = tmp_path / "b.hfbackup", tmp_path / "fresh"
    source = f"sqlite:///{home}/handfast.db"
    before = _digests(source)
    assert _run(capsys, "db", "upgrade")[1]["steps"] == []
    code, made, _ = _run(capsys, "db", "backup", file, "--with-keys")
    assert (code, made["signed"], made["keys"]) == (0, True, ["signing.key", "data.key"])
    assert file.stat().st_mode & 0o077 == 0
    assert _run(capsys, "db", "backup", file)[1]["code"] == "usage", "it is there already"
    monkeypatch.setenv("HANDFAST_HOME", str(fresh))
    monkeypatch.setenv("HANDFAST_DATABASE_URL", store_url)
    code, done, _ = _run(capsys, "db", "restore", file)
    assert (code, done["size"], done["root"]) == (0, made["size"], made["root"])
    assert done["tables"] == made["tables"]
    assert _digests(store_url) == before == _digests(source)
    with closing(open_engine()) as engine:
        assert engine.people.sign_in("ana", "correct horse battery").secret
    assert _run(capsys, "db", "check")[1]["ok"] is True


def test_a_drill_from_sqlite_to_postgresql_and_back(
    source: str, pg_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back = f"sqlite:///{tmp_path}/back.db"
    before = _digests(source)
    code, there, _ = _run(capsys, "db", "move", pg_database)
    assert (code, there["unchecked"] != []) == (0, True), there
    code, again, _ = _run(capsys, "db", "move", back, "--database", pg_database)
    assert (code, again["root"], again["size"]) == (0, there["root"], there["size"])
    assert _digests(pg_database) == _digests(back) == _digests(source) == before
    assert _run(capsys, "db", "move", pg_database)[1]["code"] == "invalid_transition"


def test_ids_given_out_before_are_not_given_out_again(
    source: str, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The id of an outbox row is the receiver's idempotency key."""
    with closing(SqlStore(source)) as store:
        last = max(row.id for row in store.outbox(10_000))
        store.outbox_done([row.id for row in store.outbox(10_000)])
    assert _run(capsys, "db", "move", store_url)[0] == 0
    with closing(SqlStore(store_url)) as moved:
        moved.commit(whole("one"))
        assert [row.id for row in moved.outbox(10)] == [last + 1]


# -- what is refused


def _refused(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code, problem, _ = _run(capsys, *words)
    return code, f"{problem['detail']} {problem.get('hint', '')}"


def test_a_server_that_runs_is_in_the_way(
    home: Path, kept: Path, pg_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(home, Place("http://127.0.0.1:1", os.getpid(), "now"))
    for words in (("db", "restore", kept), ("db", "move", pg_database)):
        code, said = _refused(capsys, *words)
        assert (code, "a server runs" in said) == (3, True), said
    assert _empty(pg_database)


@pytest.mark.postgres
def test_a_server_of_another_machine_is_in_the_way(
    source: str, pg_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(capsys, "db", "move", pg_database)[0] == 0
    with closing(SqlStore(pg_database)) as server:
        assert server.size() > 0
        away = ("db", "move", f"sqlite:///{tmp_path}/x.db", "--database", pg_database)
        code, said = _refused(capsys, *away)
        assert (code, "1 connections of Handfast" in said) == (5, True), said
    assert _run(capsys, *away)[0] == 0


def test_nobody_writes_to_the_source_of_a_move(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connect, "LOCK_WAIT_S", 0.2)
    with closing(SqlStore(source)) as server:
        with snapshot_of(source, still=True), pytest.raises(Unavailable):
            server.commit(whole("one"))
        server.commit(whole("two"))


def test_keys_of_another_installation_are_kept(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    open_engine(home=other).close()
    keys = (other / "keys" / "signing.key").read_bytes()
    monkeypatch.setenv("HANDFAST_HOME", str(other))
    url = f"sqlite:///{tmp_path}/new.db"
    code, said = _refused(capsys, "db", "restore", kept, "--database", url)
    assert (code, "another installation" in said) == (6, True), said
    assert (other / "keys" / "signing.key").read_bytes() == keys
    assert _empty(url)


def test_a_backup_of_a_newer_schema_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with plain(f"sqlite:///{home}/handfast.db") as c:
        c.execute("UPDATE alembic_version SET version_num = '9999'")
    for words in (("upgrade",), ("check",), ("backup", tmp_path / "x")):
        code, said = _refused(capsys, "db", *words)
        assert (code, "9999" in said) == (5, True), said
    with pytest.raises(SchemaVersion, match="9999"), fill_database("sqlite:////nowhere", "9999"):
        pass


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:gehe1m@127.0.0.1:1/x",
        "postgresql://u:gehe1m@wrong@127.0.0.1:1/x",
        "postgresql://u:gehe1m/wrong@127.0.0.1:1/x",
        "postgresql://u:gehe1m%zz@127.0.0.1:1/x",
        "postgresql://127.0.0.1:1/x?password=gehe1m",
        "postgresql://u:gehe1m@127.0.0.1:1/x?no_such_option=1",
        "mysql://u:gehe1m@127.0.0.1/x",
        "u:gehe1m@127.0.0.1/x",
    ],
)
def test_a_password_is_never_shown(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HANDFAST_DATABASE_URL", url)
    for words in (("db", "check"), ("db", "upgrade"), ("audit", "head"), ("db", "backup", "b")):
        code, problem, said = _run(capsys, *words)
        assert (code in (2, 5), "gehe1m" in said) == (True, False), said
        assert "***" in problem["detail"]
    monkeypatch.delenv("HANDFAST_DATABASE_URL")
    assert (
        "gehe1m" not in _run(capsys, "db", "move", url, "--database", f"sqlite:///{tmp_path}/a")[2]
    )


# -- what a check finds

DAMAGES = {
    "states": [
        "UPDATE state SET doc = CAST(replace(CAST(doc AS TEXT), 'h', 'x') AS BLOB) WHERE kind = 'agent'",
        "UPDATE state SET status = 'closed' WHERE kind = 'run'",
        "UPDATE state SET due_at = due_at + 1 WHERE due_at IS NOT NULL",
        "UPDATE state SET opened = opened + 1 WHERE kind = 'task'",
        "DELETE FROM state WHERE kind = 'person'",
        "UPDATE state SET stream = 'a/' || stream WHERE kind = 'person'",
    ],
    "log": [
        "UPDATE event SET data = CAST(replace(CAST(data AS TEXT), '0', '1') AS BLOB) WHERE position = 9",
        "UPDATE event SET data = CAST(data AS TEXT) WHERE position = 9",
        "UPDATE event SET leaf = zeroblob(32) WHERE position = 7",
        "UPDATE event SET position = 100000 WHERE position = 20",
    ],
    "tree": [
        "UPDATE tree SET frontier = zeroblob(8)",
        "UPDATE tree_node SET hash = zeroblob(32)",
        "DELETE FROM tree_node",
        "INSERT INTO tree_node VALUES (16, 0, zeroblob(32))",
    ],
    "heads": [
        "UPDATE tree_head SET note = replace(note, 'handfast', 'attacker')",
        "UPDATE tree_head SET size = size - 1",
        "UPDATE tree_head SET size = size + 100",
        "UPDATE tree_head SET note = 'x'",
    ],
    "bodies": [
        "UPDATE body SET ciphertext = zeroblob(length(ciphertext)) WHERE size > 10",
        "UPDATE body SET salt = zeroblob(16) WHERE size > 10",
        "UPDATE body SET digest = 'hmac-sha256:00'",
        "DELETE FROM body WHERE size > 100",
        "UPDATE body SET ciphertext = X'00' WHERE length(nonce) = 0",
    ],
    "outbox": ["UPDATE outbox SET payload = X'00'", "UPDATE outbox SET id = id + 100000"],
    "leases": ["UPDATE lease SET epoch = 0"],
    "schema": ["DROP INDEX state_due"],
}
_GUARDED = ("event", "tree_node", "tree_head")


@pytest.mark.parametrize(
    ("part", "damage"), [(part, one) for part, several in DAMAGES.items() for one in several]
)
def test_a_check_finds(home: Path, source: str, part: str, damage: str) -> None:
    with closing(sqlite3.connect(home / "handfast.db", isolation_level=None)) as c:
        guards = c.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            c.execute(f"DROP TRIGGER {name}")
        assert c.execute(damage).rowcount != 0
        for _, sql in guards:
            c.execute(sql)
    with snapshot_of(source) as view:
        report = check(view, Secrets.of(home))
    assert part in report.found, report.to_json()


def test_states_of_an_older_fold_are_not_called_wrong(home: Path, source: str) -> None:
    """Only until a server has made them again; with the number of this fold the same state is wrong."""
    with closing(sqlite3.connect(home / "handfast.db", isolation_level=None)) as c:
        c.execute("UPDATE state SET status = 'closed' WHERE kind = 'run'")
        c.execute("DELETE FROM fold WHERE kind = 'run'")
    with snapshot_of(source) as view:
        report = check(view, Secrets.of(home))
    assert report.ok, report.to_json()
    assert any("`run`" in what for what in report.unchecked)
    with closing(open_engine(source, home)), snapshot_of(source) as view:
        report = check(view, Secrets.of(home))
    assert report.ok, report.to_json()
    assert not any("`run`" in what for what in report.unchecked)


def test_a_check_says_what_it_could_not_check(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with plain(f"sqlite:///{home}/handfast.db") as c:
        c.execute("UPDATE body SET ciphertext = X'00' WHERE size > 10")
    assert main(["db", "check"]) == 6
    said = capsys.readouterr().out
    assert "WRONG  bodies: `bo_" in said
    assert "more" in said, "the rest is counted"
    shutil.rmtree(home / "keys")
    code, report, _ = _run(capsys, "db", "check")
    assert (code, report["ok"]) == (0, True)
    assert any("no data key" in what for what in report["unchecked"])
    assert any("no key in the data folder" in what for what in report["unchecked"])


# -- what was changed in a backup


def _rewritten(kept: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    with zipfile.ZipFile(kept) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = change(info.filename, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
    return target


def _with_digests(kept: Path, target: Path, table: str, change: Callable[[bytes], bytes]) -> Path:
    """The rows of a table changed by somebody who can also write a manifest."""
    rows = {}

    def parts(name: str, content: bytes) -> bytes:
        if name == f"rows/{table}":
            rows["new"] = content = change(content)
            assert rows["new"] != zipfile.ZipFile(kept).read(name)
        if name == "manifest.json":
            tally = Tally()
            tally.add(rows["new"])
            m = Manifest.from_bytes(content)
            tables = tuple(
                replace(t, digest=tally.digest, bytes=len(rows["new"]))
                if t.shape.name == table
                else t
                for t in m.tables
            )
            content = replace(m, tables=tables).to_bytes()
        return content

    return _rewritten(kept, target, parts)


def _restored(file: Path, home: Path, url: str) -> None:
    with Backup(file) as backup, fill_database(url, backup.manifest.schema) as into:
        restore(backup, into, Secrets.of(home))


def _with_a_part_more(kept: Path, target: Path) -> Path:
    shutil.copy(kept, target)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("mine", "")
    return target


def _one(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, 1)


TAMPERED: dict[str, tuple[str, Callable[[Path, Path], Path]]] = {
    "a byte of a row": (
        "rows of `state`",
        lambda k, t: _rewritten(k, t, lambda n, c: c[:-1] + b"!" if n == "rows/state" else c),
    ),
    "a row less": (
        "rows of `body` have another size",
        lambda k, t: _rewritten(k, t, lambda n, c: b"" if n == "rows/body" else c),
    ),
    "a part less": (
        "rows/lease",
        lambda k, t: _rewritten(k, t, lambda n, c: None if n == "rows/lease" else c),
    ),
    "a part more": ("mine", _with_a_part_more),
    "an entry, with its digest": (
        "entry",
        lambda k, t: _with_digests(k, t, "event", _one(b'"at":"2026-01', b'"at":"2026-02')),
    ),
    "a state, with its digest": (
        "states: `agent/",
        lambda k, t: _with_digests(k, t, "state", _one(b'"name":"claude"', b'"name":"clauda"')),
    ),
    "a body, with its digest": (
        "bodies: `bo_",
        lambda k, t: _with_digests(k, t, "body", _one(b"text/plain", b"text/plane")),
    ),
    "another head": (
        "signed head",
        lambda k, t: _rewritten(k, t, lambda n, c: _other_head(c) if n == "manifest.json" else c),
    ),
}


def _other_head(manifest: bytes) -> bytes:
    m = Manifest.from_bytes(manifest)
    return replace(m, head=m.head.replace(f"\n{m.size}\n", f"\n{m.size + 1}\n", 1)).to_bytes()


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_backup_is_refused(home: Path, kept: Path, tmp_path: Path, what: str) -> None:
    named, tamper = TAMPERED[what]
    url = f"sqlite:///{tmp_path}/new.db"
    with pytest.raises(IntegrityError) as caught:
        _restored(tamper(kept, tmp_path / "tampered"), home, url)
    assert named in caught.value.message
    assert _empty(url)


def test_a_damaged_file_is_refused(home: Path, kept: Path, tmp_path: Path) -> None:
    whole_file = kept.read_bytes()
    url = f"sqlite:///{tmp_path}/new.db"
    for size in (0, 10, len(whole_file) // 2, len(whole_file) - 1):
        (tmp_path / "cut").write_bytes(whole_file[:size])
        with pytest.raises(IntegrityError, match="not a whole backup"):
            _restored(tmp_path / "cut", home, url)
    for at in range(100, len(whole_file), len(whole_file) // 12):
        (tmp_path / "flipped").write_bytes(
            whole_file[:at] + bytes([whole_file[at] ^ 4]) + whole_file[at + 1 :]
        )
        with pytest.raises(HandfastError):
            _restored(tmp_path / "flipped", home, url)
        assert not (tmp_path / "new.db").exists() or _empty(url)


# -- while others write, without room, and killed


def test_a_backup_is_of_one_moment_while_servers_write(
    store_url: str, home: Path, kept: Path, tmp_path: Path
) -> None:
    _restored(kept, home, store_url)
    stop, written = threading.Event(), [0]

    def write() -> None:
        with closing(open_engine(store_url, home)) as engine:
            person = engine.people.with_pin("ana", "493817")
            while not stop.is_set():
                engine.hooks.pause(person, 5, "again")
                engine.hooks.resume(person)
                written[0] += 2

    writer = threading.Thread(target=write)
    writer.start()
    sizes = []
    try:
        for n in range(3):
            while written[0] < 20 * (n + 1):
                assert writer.is_alive()
            sizes.append(_back_up(store_url, home, tmp_path / f"{n}.hfbackup").size)
    finally:
        stop.set()
        writer.join()
    assert sizes == sorted(set(sizes)), "it grew between the backups"
    for n, size in enumerate(sizes):
        url = f"sqlite:///{tmp_path}/{n}.db"
        _restored(tmp_path / f"{n}.hfbackup", home, url)
        with closing(SqlStore(url)) as store:
            assert store.size() == size


@pytest.fixture
def handfast(home: Path, tmp_path: Path) -> Command:
    return Command(home, tmp_path, {})


@pytest.mark.faults
def test_a_killed_backup_leaves_no_file(handfast: Command, tmp_path: Path) -> None:
    file = tmp_path / "b.hfbackup"
    killed = handfast("db", "backup", file, HANDFAST_FAULT="backup.page:kill:3")
    assert (killed.code, file.exists()) == (-signal.SIGKILL, False)
    made = _back_up(f"sqlite:///{handfast.home}/handfast.db", handfast.home, file)
    assert [p.name for p in tmp_path.glob("b.hfbackup*")] == ["b.hfbackup"]
    with Backup(file) as backup:
        assert backup.manifest == made


@pytest.mark.faults
@pytest.mark.parametrize(
    ("how", "fault"),
    [("restore", "restore.page:kill:4"), ("move", "restore.before_commit:kill")],
)
def test_a_kill_leaves_the_target_empty_and_it_is_done_again(
    handfast: Command, kept: Path, store_url: str, how: str, fault: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    source = f"sqlite:///{handfast.home}/handfast.db"
    before = _digests(source)
    words: tuple[object, ...] = ("db", "restore", kept, "--database", store_url)
    if how == "move":
        words = ("db", "move", store_url, "--database", source)
    killed = handfast(*words, HANDFAST_FAULT=fault)
    assert killed.code == -signal.SIGKILL, killed
    assert _empty(store_url)
    assert _run(capsys, *words)[0] == 0
    assert _digests(store_url) == before == _digests(source)


@pytest.mark.faults
def test_a_backup_without_room_leaves_nothing(handfast: Command, tmp_path: Path) -> None:
    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    done = subprocess.run(
        handfast.words(["db", "backup", tmp_path / "b.hfbackup", "--json"]),
        env={**handfast.environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small,
    )
    assert (done.returncode, json.loads(done.stderr)["code"]) == (5, "disk_full"), done
    assert list(tmp_path.glob("b.hfbackup*")) == []


@pytest.mark.faults
@pytest.mark.parametrize("how", ["restore", "move"])
def test_a_target_without_room_stays_empty(
    handfast: Command, kept: Path, tmp_path: Path, how: str
) -> None:
    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    url = f"sqlite:///{tmp_path}/new.db"
    words = ["db", "restore", kept, "--database", url] if how == "restore" else ["db", "move", url]
    done = subprocess.run(
        handfast.words([*words, "--json"]),
        env={**handfast.environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small,
    )
    assert (done.returncode, json.loads(done.stderr)["code"]) == (5, "disk_full"), done
    assert _empty(url)


def test_a_database_with_entries_is_never_filled(source: str, kept: Path, home: Path) -> None:
    before = _digests(source)
    with pytest.raises(InvalidTransition, match="not empty"):
        _restored(kept, home, source)
    assert _digests(source) == before
