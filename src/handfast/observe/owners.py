"""Who owns a path, by the CODEOWNERS file of the commit the work started from.

Never by the file on disk: that is the agent's to change. A file that cannot be read in full gives
`UNKNOWN_OWNER`, never nobody.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from codeowners import CodeOwners, parse_owner

from handfast.core.domain.change import UNKNOWN_OWNER
from handfast.core.domain.errors import AdapterError
from handfast.observe import git

LOCATIONS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
Owners = dict[str, tuple[str, ...]]
_UNKNOWN = (UNKNOWN_OWNER,)
_MAX_BYTES = 3 * 1024 * 1024  # beyond this GitHub ignores the file
_SECTION = re.compile(r"\^?\[[^\]]+\](?:\[\d+\])?(?P<owners>(?:\s+\S*@\S+)*)\s*\Z")
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_COMMENT = re.compile(r"(?:^|\s)#.*\Z")
# A pattern the tools that read this file disagree about.
_UNSURE = re.compile(r"^!|(?<!\\)[\[\]]")


def owners_of(paths: Iterable[str], codeowners_text: str | None) -> Owners:
    """Owners by path, relative to the worktree; none where no line matches or there is no file (None).

    The last line that matches decides, in each section of its own. A line that cannot be read makes the
    owners of every path unknown: it could be the one that matches.
    """
    if codeowners_text is None:
        return dict.fromkeys(paths, ())
    sections = _sections(codeowners_text)
    if sections is None:
        return dict.fromkeys(paths, _UNKNOWN)
    return {
        path: tuple(dict.fromkeys(name for each in sections for _, name in each.of(path)))
        for path in paths
    }


@lru_cache(maxsize=64)
def _sections(text: str) -> tuple[CodeOwners, ...] | None:
    """The file's sections, each with its lines; None where a line cannot be read."""
    found: list[list[str]] = [[]]
    default: list[str] = []
    for raw in text.splitlines():
        line = _COMMENT.sub("", raw).strip()
        if section := _SECTION.match(line):
            found.append([])
            default = section["owners"].split()
        elif line:
            parsed = _line(line, default)
            if parsed is None:
                return None
            found[-1].append(parsed)
    try:
        return tuple(CodeOwners("\n".join(lines)) for lines in found if lines)
    except (ValueError, re.error, IndexError):
        return None


def _line(line: str, default: Sequence[str]) -> str | None:
    pattern, *owners = re.split(r"(?<!\\)\s+", line)
    if _UNSURE.search(pattern) or any(parse_owner(owner) is None for owner in owners):
        return None
    return " ".join([pattern, *(owners or default)])


def owners_at(worktree: Path, paths: Iterable[str], commit: str = "") -> Owners:
    """Owners by the CODEOWNERS file in `commit`, HEAD when empty. Reads each commit's file once.

    Where git cannot say, every owner is unknown; in a repository without a commit there is none.
    """
    wanted = list(paths)
    if not wanted:
        return {}
    try:
        found = commit if _ID.match(commit) else git.resolve(worktree, commit or "HEAD")
        if found is None and (commit or not git.is_repository(worktree)):
            return dict.fromkeys(wanted, _UNKNOWN if commit else ())
        text = _text(str(worktree), found) if found else None
    except (AdapterError, UnicodeDecodeError):
        return dict.fromkeys(wanted, _UNKNOWN)
    return owners_of(wanted, text)


@lru_cache(maxsize=256)
def _text(worktree: str, commit: str) -> str | None:
    """The first file there is. Raises AdapterError where it is no plain file of a sane size."""
    listed = git.run(Path(worktree), "ls-tree", "-z", "--full-tree", commit, "--", *LOCATIONS)
    entries = {}
    for entry in filter(None, listed.split(b"\0")):
        fields, _, name = entry.partition(b"\t")
        entries[name.decode("utf-8", "replace")] = fields.decode("ascii").split(" ")
    for place in LOCATIONS:
        if place in entries:
            mode, kind, blob = entries[place]
            body = git.run(Path(worktree), "cat-file", "blob", blob) if kind == "blob" else b""
            if kind != "blob" or mode == "120000" or len(body) > _MAX_BYTES:
                raise AdapterError(
                    f"`{place}` in `{commit}` is no plain file",
                    code="owners_unreadable",
                    hint="Make it a file of less than 3 MB.",
                )
            return body.decode("utf-8")
    return None
