"""A second opinion on shell text: shfmt's parser must see no command that our reader did not list.

It can only add doubt, never take any away. Starting it costs milliseconds, so text that two parsers of
bash cannot read differently is left out. Where shfmt is not installed there is no second opinion.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from handfast.observe.commands import Simple

_TIMEOUT_S = 10
# Words, simple quotes, joints and plain redirections: no two parsers of bash differ about these.
_PLAIN = re.compile(
    r"(?>[\w./:,@%+=~*?-]++|'[^'\n]*+'|\"[^\"`$\\\n!]*+\"|\$\w++|[ \t\n]|&&|\|\|?|;(?!;)|>&\d|>>?[ \t]*+[\w./~-]++|<[ \t]*+[\w./~-]++)*+"
)
_RESERVED = re.compile(
    r"(?:^|[\s;&|])(?:for|while|until|if|case|select|function|coproc|time|then|do|done|fi|esac|else|elif|in|let|declare"
    r"|typeset|local|export|readonly|alias|eval)(?=[\s;&|]|$)"
)
# The whole of a quoted here-document: its body is literal up to the first line that is the delimiter.
_QUOTED_BODY = re.compile(r"<<\s*(['\"])(\w+)\1([^\n]*)\n(?:.*?\n)??\2(?=\n|\Z)", re.DOTALL)
_PREFIXES = frozenset({b"time", b"coproc", b"!", b"-p", b"--"})


@cache
def binary() -> str | None:
    """The installed shfmt: beside this interpreter, else on PATH."""
    beside = Path(sys.executable).with_name("shfmt")
    return str(beside) if beside.is_file() else shutil.which("shfmt")


def is_plain(text: str) -> bool:
    """Whether the text holds nothing that parsers of bash could read differently."""
    short = _QUOTED_BODY.sub(r"\3", text)
    return bool(_PLAIN.fullmatch(short)) and not _RESERVED.search(short)


def worth(text: str) -> bool:
    """Whether a second opinion is to be had and may say something else."""
    return binary() is not None and not is_plain(text)


def differs(text: str, commands: Sequence[Simple]) -> bool:
    """Whether shfmt refuses the text, or sees a command that is not among `commands` word by word."""
    program = binary() or "shfmt"
    source = text.encode("utf-8", "replace")
    try:
        done = subprocess.run(
            [program, "--to-json", "-ln", "bash"],
            input=source,
            capture_output=True,
            timeout=_TIMEOUT_S,
            env={},
            check=False,
        )
        tree = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError, RecursionError):
        return True
    return tree is None or not _all_listed(tree, source, commands)


def _all_listed(tree: object, source: bytes, commands: Sequence[Simple]) -> bool:
    listed = {tuple(sorted(command.starts)) for command in commands if command.starts}
    for words in _calls(tree):
        # `[ … ]` is a command to one and an expression to the other; what stands in it is looked at.
        if source[words[0] : words[0] + 1] == b"[" or words in listed:
            continue
        if not any(_is_end_of(words, each, source) for each in listed):
            return False
    return True


def _is_end_of(words: tuple[int, ...], command: tuple[int, ...], source: bytes) -> bool:
    """Whether `command` is the same call behind `time` or `coproc`."""
    before = command[: -len(words)]
    if not before or command[-len(words) :] != words:
        return False
    first = re.match(rb"\S+", source[before[0] :])
    return bool(first) and first.group(0) in _PREFIXES if first else False


def _calls(tree: object) -> Iterator[tuple[int, ...]]:
    """Where the words of each simple command begin, in bytes."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict):
            if node.get("Type") == "CallExpr" and node.get("Args"):
                yield tuple(word["Pos"]["Offset"] for word in node["Args"])
            todo += [value for value in node.values() if isinstance(value, dict | list)]
