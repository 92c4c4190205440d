"""What a sandbox sees of the file system, as bubblewrap is told it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

_NOTHING: Final = Path("/dev/null")


class Seen(StrEnum):
    READ = "read"
    WRITE = "write"
    EMPTY = "empty"  # a folder that is empty at first, writable, and forgotten at the end
    HIDDEN = "hidden"  # a folder or file with nothing in it
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Mount:
    """`path` inside shows `source` outside; the same path when there is none. A link's source is its text."""

    seen: Seen
    path: Path
    source: Path | None = None


def arguments(mounts: Iterable[Mount]) -> list[str]:
    """Options of bubblewrap. What lies deeper comes later, so it lies on top; of two for one path the
    later one counts."""
    last = {mount.path: mount for mount in mounts}
    ordered = sorted(last.values(), key=lambda mount: len(mount.path.parts))
    words = [word for mount in ordered for word in _words(mount)]
    sealed = [m.path for m in ordered if m.seen is Seen.HIDDEN and m.path.is_dir()]
    return words + [word for path in sealed for word in ("--remount-ro", str(path))]


def _words(mount: Mount) -> tuple[str, ...]:
    path, source = str(mount.path), str(mount.source or mount.path)
    match mount.seen:
        case Seen.READ:
            return ("--ro-bind", source, path)
        case Seen.WRITE:
            return ("--bind", source, path)
        case Seen.EMPTY:
            return ("--tmpfs", path)
        case Seen.LINK:
            return ("--symlink", source, path)
        case Seen.HIDDEN:
            hidden = mount.path.is_dir()
            return ("--tmpfs", path) if hidden else ("--ro-bind", str(_NOTHING), path)
