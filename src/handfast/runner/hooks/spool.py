"""Records that could not be delivered yet, kept in files until they are.

Append-only segments of JSON lines and one small file that says how far they were delivered. A record is
delivered at least once: a crash between delivering and noting it repeats the last group. Used from one
thread. Bounded: beyond the limit reads are counted and let go, results still find room up to twice the
limit; `status` shows what was lost.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]
SEGMENT_BYTES: Final = 256 * 1024
_POSITION: Final = "position.json"


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything before it was delivered."""

    segment: int = 0
    offset: int = 0
    dropped: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """`after` is the mark once this entry was delivered."""

    fields: Json
    after: Mark


class Spool:
    """Raises OSError when the disk refuses."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._limit = limit_bytes
        self._mark = self._load()
        present = self._segments()
        # A new segment for each start: the last line of a killed process may be torn.
        self._current = max([*present, self._mark.segment], default=0) + 1
        self._bytes = sum(self._path(n).stat().st_size for n in present)

    def add(self, fields: Json, *, needed: bool = False) -> bool:
        """Append a record. False, and counted, when there is no room; `needed` ones get twice the room."""
        line = json.dumps(fields, ensure_ascii=False).encode() + b"\n"
        if self._bytes + len(line) > self._limit * (2 if needed else 1):
            self._note(
                Mark(
                    self._mark.segment,
                    self._mark.offset,
                    self._mark.dropped + 1,
                    self._mark.refused,
                )
            )
            return False
        path = self._path(self._current)
        with path.open("ab") as file:
            file.write(line)
            size = file.tell()
        self._bytes += len(line)
        if size > SEGMENT_BYTES:
            self._current += 1
        return True

    def next(self, limit: int = 200) -> list[Entry]:
        """The oldest records that were not delivered, in order."""
        self._forget_delivered()
        for segment in self._segments():
            offset = self._mark.offset if segment == self._mark.segment else 0
            if found := self._read(segment, offset, limit):
                return found
        return []

    def done(self, entry: Entry, *, refused: bool = False) -> None:
        """The entry, and all before it, were delivered; or the server refused it for good."""
        if refused:
            with (self._folder / "refused.jsonl").open("ab") as file:
                if file.tell() < self._limit:
                    file.write(json.dumps(entry.fields, ensure_ascii=False).encode() + b"\n")
        mark = self._mark
        self._note(
            Mark(entry.after.segment, entry.after.offset, mark.dropped, mark.refused + int(refused))
        )

    @property
    def empty(self) -> bool:
        return not self.next(1)

    def status(self) -> Json:
        """bytes waiting, records dropped for lack of room, records the server refused."""
        return {"bytes": self._bytes, "dropped": self._mark.dropped, "refused": self._mark.refused}

    def _read(self, segment: int, offset: int, limit: int) -> list[Entry]:
        found: list[Entry] = []
        with self._path(segment).open("rb") as file:
            file.seek(offset)
            while len(found) < limit and (line := file.readline()).endswith(b"\n"):
                offset += len(line)
                if isinstance(fields := _parsed(line), dict):
                    found.append(Entry(fields, Mark(segment, offset)))
        return found

    def _forget_delivered(self) -> None:
        """Remove segments that hold nothing more, so that the disk is given back."""
        for segment in self._segments():
            path = self._path(segment)
            size = path.stat().st_size
            behind = segment < self._mark.segment or (
                segment == self._mark.segment and self._mark.offset >= size
            )
            torn = segment < self._current and not self._read(segment, self._start(segment), 1)
            if not behind and not torn:
                return
            path.unlink()
            self._bytes -= size
            if segment == self._current:
                self._current += 1

    def _start(self, segment: int) -> int:
        return self._mark.offset if segment == self._mark.segment else 0

    def _segments(self) -> list[int]:
        return sorted(int(p.stem) for p in self._folder.glob("*.jsonl") if p.stem.isdigit())

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:08d}.jsonl"

    def _load(self) -> Mark:
        try:
            return Mark(**json.loads((self._folder / _POSITION).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return Mark()

    def _note(self, mark: Mark) -> None:
        self._mark = mark
        unfinished = self._folder / (_POSITION + ".new")
        unfinished.write_text(json.dumps(asdict(mark)), encoding="utf-8")
        unfinished.replace(self._folder / _POSITION)


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
