"""What a few common commands print, known without running them.

`$(pwd)`, `$(mktemp)` or `$(git ls-files)` would otherwise make every command around them unreadable.
"""

import re
from itertools import pairwise

from handfast.observe.commands import Simple
from handfast.observe.options import parse
from handfast.observe.words import BENEATH, DYNAMIC, SPLIT, TILDE, Word, of_value

# Commands that only drop or reorder lines of what they read.
_FILTERS = frozenset({"head", "tail", "sort", "uniq", "grep", "egrep", "fgrep"})
_COMPOSED = frozenset({"-o", "-or", "!", "-not", ",", "(", ")"})
SCRATCH_NAME = "/tmp/handfast-mktemp"  # noqa: S108 - stands for a name only mktemp will choose
_NAMELESS = frozenset({"nproc", "whoami", "hostname", "uname", "arch", "date", "id"})


def files_listed(command: Simple) -> list[str] | None:
    """Marked paths that cover every line a command prints, or None when it prints something else."""
    if not command.argv or command.nested is None:
        return None
    name = command.argv[0].text.rpartition("/")[2]
    arguments = command.argv[1:]
    if name in _FILTERS and command.feeder is not None:
        return files_listed(command.feeder)
    if name == "find":
        return find_matches(arguments)
    if name in {"grep", "egrep", "fgrep", "rg", "ag"}:
        return _grep_files(name, arguments)
    if name == "git" and arguments:
        names = any(
            re.fullmatch(r"--name-only|--files-with-matches|-\w*l\w*", a.text) for a in arguments
        )
        lists = arguments[0].text == "ls-files" or (
            names and arguments[0].text in {"diff", "grep", "ls-tree"}
        )
        return ["./" + BENEATH] if lists else None
    if name == "ls":
        return _ls_files(arguments)
    return None


def find_roots(arguments: list[Word]) -> list[str]:
    roots: list[str] = []
    for word in arguments:
        if word.text in {"-H", "-L", "-P"} or word.text.startswith(("-O", "-D")):
            continue
        if word.is_option or word.text in {"!", "("}:
            break
        roots.append(word.raw)
    return roots or ["."]


def find_matches(arguments: list[Word]) -> list[str]:
    """Marked paths that cover what `find` visits, narrowed by a `-name` that certainly applies."""
    pattern = ""
    if not any(word.text in _COMPOSED for word in arguments):
        for flag, value in pairwise(arguments):
            if flag.text == "-name" and not value.dynamic:
                pattern = of_value(value.text)
    return [root.rstrip("/") + "/" + BENEATH + pattern for root in find_roots(arguments)]


def _grep_files(name: str, arguments: list[Word]) -> list[str] | None:
    parsed = parse(arguments, "efmABCgtT" if name == "rg" else "efmABCd")
    if not parsed.has("-l", "--files-with-matches") and not parsed.has(
        "-L", "--files-without-match"
    ):
        return None
    roots = parsed.operands if parsed.has("-e", "--regexp") else parsed.operands[1:]
    if any(root.dynamic for root in roots):
        return None
    return [root.raw.rstrip("/") + "/" + BENEATH for root in roots] or ["./" + BENEATH]


def _ls_files(arguments: list[Word]) -> list[str] | None:
    parsed = parse(arguments, "I")
    if parsed.has("-l", "") or any(word.dynamic for word in parsed.operands):
        return None
    return [word.raw.rstrip("/") for word in parsed.operands] or ["./" + BENEATH]


def known_output(commands: list[Simple], worktree: str) -> str | None:
    """The text of a command substitution, when one command alone makes it and it is certain."""
    if commands and commands[-1].feeder is not None:
        listed = files_listed(commands[-1])
        return SPLIT.join(listed) if listed else None
    if len(commands) != 1 or not commands[0].argv:
        return None
    command = commands[0]
    words = [word.text for word in command.argv]
    if any(DYNAMIC in word for word in words):
        return None
    if words == ["pwd"]:
        return command.cwds[0] if len(command.cwds) == 1 else None
    if all(
        word.fixed and TILDE not in word.raw for word in command.argv
    ):  # `~` and patterns stand for something else
        printed = _printed(words, worktree)
        if printed is not None:
            return printed
    listed = files_listed(command)
    return SPLIT.join(listed) if listed else None


def _printed(words: list[str], worktree: str) -> str | None:
    if words[0] in {"echo", "printf"}:
        return _echoed(words)
    if words[0] == "mktemp":
        plain = all(re.fullmatch(r"-[dqut]+|[\w.-]*X{3,}[\w.-]*", word) for word in words[1:])
        return SCRATCH_NAME if plain else None
    if words[0] in {"which", "command", "type"} and len(words) > 1:
        return words[-1] if re.fullmatch(r"[\w.+-]+", words[-1]) else None
    if words[:2] == ["git", "rev-parse"] and words[2:] == ["--show-toplevel"]:
        return worktree
    if words[0] in _NAMELESS and not any("/" in word for word in words):
        return words[0]
    return None


def _echoed(words: list[str]) -> str | None:
    arguments = words[1:]
    if arguments[:1] in (["-n"], ["--"]):
        arguments = arguments[1:]
    if not arguments or re.match(r"-[neE]+$|-v", arguments[0]) or "\\" in "".join(arguments):
        return None
    if words[0] == "printf" and arguments[0] == "%s":
        return "".join(arguments[1:])
    if words[0] == "printf":
        return arguments[0] if len(arguments) == 1 and "%" not in arguments[0] else None
    return " ".join(arguments)
