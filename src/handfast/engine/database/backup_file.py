"""A backup as a zip file: the rows of every table, then what they must add up to. Read without trusting it.

`rows/TABLE` holds encoded rows in the order of the key; `manifest.json` comes last, because it has their
digests. Nothing is unpacked to disk, so names lead nowhere.
"""

import fcntl
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from handfast.core.domain.canonical import canonical_json
from handfast.core.domain.errors import DiskFull, IntegrityError, StorageError, UsageError
from handfast.engine.database.rows import CHUNK, Tally, decoded
from handfast.storage.copies import Row, Shape

FORMAT = "handfast-backup-1"
MANIFEST, ROWS, KEYS = "manifest.json", "rows/", "keys/"
KEY_NAMES = ("signing.key", "data.key")
MAX_MANIFEST, MAX_KEY = 1 << 20, 4096
_SEALED = frozenset({"body", "tree_node"})  # random bytes: packing them only costs time
_HINT = "Take the file again from where it was kept, or use another backup. Nothing was changed."


@dataclass(frozen=True, slots=True)
class Table:
    shape: Shape
    rows: int
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `root` is the tree's over all entries; `head` the same, signed, or ''."""

    handfast: str
    schema: str
    database: str
    made_at: str
    size: int
    root: str
    head: str
    verifier: str
    tables: tuple[Table, ...]
    counters: dict[str, int]
    keys: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())

    @property
    def digest(self) -> str:
        return f"sha256:{sha256(self.to_bytes()).hexdigest()}"

    def to_bytes(self) -> bytes:
        return canonical_json({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Raises IntegrityError."""
        try:
            found = cast("dict[str, Any]", json.loads(data))
            if found.pop("format") != FORMAT:
                raise ValueError
            tables = tuple(
                Table(
                    Shape(
                        str(t["shape"]["name"]),
                        tuple((str(n), k) for n, k in t["shape"]["columns"]),
                        tuple(map(str, t["shape"]["key"])),
                    ),
                    int(t["rows"]),
                    int(t["bytes"]),
                    str(t["digest"]),
                )
                for t in found.pop("tables")
            )
            listed = {name: tuple(map(str, found.pop(name))) for name in ("keys", "left_out")}
            counters = {str(k): int(v) for k, v in found.pop("counters").items()}
            size = int(found.pop("size"))
            texts = {name: str(value) for name, value in found.items()}
            return cls(tables=tables, counters=counters, size=size, **texts, **listed)  # type: ignore[arg-type]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise _refused("its manifest cannot be read") from None


class Writer:
    """Writes the parts of one backup. The file appears when `finish` was called, complete or not at all."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def rows(self, shape: Shape, rows: Iterable[bytes]) -> Table:
        """`rows` are encoded."""
        tally = Tally()
        with self._part(ROWS + shape.name, packed=shape.name not in _SEALED) as part:
            held = bytearray()
            for raw in rows:
                tally.add(raw)
                held += raw
                if len(held) >= CHUNK:
                    part.write(held)
                    held = bytearray()
            part.write(held)
        return Table(shape, tally.rows, tally.bytes, tally.digest)

    def key(self, name: str, content: bytes) -> None:
        with self._part(KEYS + name, packed=False) as part:
            part.write(content)

    def finish(self, manifest: Manifest) -> None:
        with self._part(MANIFEST, packed=True) as part:
            part.write(manifest.to_bytes())

    def _part(self, name: str, *, packed: bool) -> IO[bytes]:
        self._archive.compression = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        return self._archive.open(name, "w", force_zip64=True)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Writes beside `path` and puts the file in its place, on disk, when the block ends well.

    What a killed backup left is overwritten. Raises DiskFull, StorageError; then nothing is left.
    """
    part = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageError(
                    f"another backup writes to `{part}`",
                    hint="Wait for it, or choose another name.",
                ) from None
            with _gone_unless_done(part):
                file.truncate()
                with zipfile.ZipFile(file, "w", compresslevel=1) as archive:
                    yield Writer(archive)
                file.flush()
                os.fsync(file.fileno())
                part.replace(path)
        _on_disk(path.absolute().parent)
    except OSError as error:
        raise DiskFull(
            f"the backup `{path}` cannot be written: {error.strerror}",
            hint="Check the folder's permissions and the free space of the disk. Nothing was left there.",
        ) from None


@contextmanager
def _gone_unless_done(part: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _on_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Backup:
    """A file nobody vouches for. A context manager. Opening raises UsageError when it is not there and
    IntegrityError when it is no backup."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UsageError(
                f"there is no file `{path}`", hint="Give a file that `handfast db backup` wrote."
            )
        # A part that was read half keeps what the archive opened by itself from being closed.
        self._file = path.open("rb")
        try:
            self._archive = _archive(self._file, path)
            self.manifest = Manifest.from_bytes(self._small(MANIFEST, MAX_MANIFEST))
            self._check_parts()
        except BaseException:
            self._file.close()
            raise

    def _check_parts(self) -> None:
        m = self.manifest
        if set(m.keys) - set(KEY_NAMES):
            raise _refused("its manifest names an unexpected key")
        wanted = [MANIFEST, *(ROWS + t.shape.name for t in m.tables), *(KEYS + k for k in m.keys)]
        found = [i.filename for i in self._archive.infolist()]
        if sorted(wanted) != sorted(found):
            odd = sorted(set(wanted) ^ set(found)) or ["a part that is there twice"]
            raise _refused(f"its parts are not those of its manifest: {', '.join(odd)[:200]}")
        sizes = {i.filename: i.file_size for i in self._archive.infolist()}
        for table in m.tables:
            if sizes[ROWS + table.shape.name] != table.bytes:
                raise _refused(f"the rows of `{table.shape.name}` have another size than it says")

    def rows(self, table: Table) -> Iterator[Row]:
        """All rows; raises IntegrityError, at the end too when they are not those of the manifest."""
        tally = Tally()
        yield from decoded(self._chunks(ROWS + table.shape.name), table.shape, tally)
        if (tally.rows, tally.digest) != (table.rows, table.digest):
            raise _refused(
                f"the rows of `{table.shape.name}` are not those it was made with: {tally.rows} rows with "
                f"digest {tally.digest[:23]}…, and its manifest says {table.rows} with {table.digest[:23]}…"
            )

    def key(self, name: str) -> bytes:
        return self._small(KEYS + name, MAX_KEY)

    def _small(self, name: str, limit: int) -> bytes:
        found = bytearray()
        for chunk in self._chunks(name):
            found += chunk
            if len(found) > limit:
                raise _refused(f"its part `{name}` is too large")
        return bytes(found)

    def _chunks(self, name: str) -> Iterator[bytes]:
        try:
            with self._archive.open(name) as part:
                while chunk := part.read(CHUNK):
                    yield chunk
        except KeyError:
            raise _refused(f"it has no part `{name}`") from None
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise _refused(f"its part `{name}` is damaged ({error})") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._archive.close()
        self._file.close()


def _archive(file: IO[bytes], path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise _refused(f"`{path}` is not a whole backup: {error}") from None


def _refused(why: str) -> IntegrityError:
    return IntegrityError(f"the backup is refused: {why}", code="backup_refused", hint=_HINT)
