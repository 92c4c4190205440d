"""Reads a recorded shell command for what its exit code shows: which checks it ran, and whether 0 means that they passed.

Only text that every shell reads alike is read: words, quotes, joints and plain redirections. Anything else
shows nothing and may have changed files.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from handfast.core.domain.claims import Part
from handfast.observe.checktable import kinds_of, leaves_files, program
from handfast.observe.options import names

MAX_BYTES: Final = 16_000
_TOKEN: Final = re.compile(
    r"(?P<space>[ \t]+(?:\\\n[ \t]*)*)|(?P<joint>&&|\|\||\||;(?!;)|\n)|(?P<dup>\d?>&\d)|(?P<redirect>\d?>>?|<(?![<(]))"
    # A message in a here-document, as agents write it: nothing in it is expanded.
    r"|(?P<text>\"\$\(cat <<-?\s*(['\"])(?P<end>\w+)\6\n(?:.*?\n)??(?P=end)\n\s*\)\")"
    r"|(?P<word>(?:[\w./:,@%+=~*?{}\[\]^-]|\\[^\n]|'[^']*'|\"(?:[^\"\\$`!]|\\[^\n]|\$\w+)*\"|\$\w+)+)",
    re.DOTALL,
)
_RESERVED: Final = names(
    "for while until if then else elif fi do done case esac in select function coproc { } [[ ]] ! declare typeset local readonly "
    "alias unalias eval exec trap enable builtin hash return break continue let shopt unset"
)
_SWAYED: Final = re.compile(
    r"(?:PATH|PYTHON\w+|PYTEST_\w+|NODE_OPTIONS|LD_\w+|BASH_ENV|MAKEFLAGS|\w*OPTS|RUSTC\w*|CARGO_\w+|GOFLAGS|SHELL)="
)
_ASSIGNS: Final = re.compile(r"[A-Za-z_]\w*=")
_WRAPPERS: Final = {
    **dict.fromkeys(names("time command nice nohup env npx bunx xvfb-run stdbuf"), ()),
    "timeout": ("*",),
    **dict.fromkeys(names("uv poetry pipenv hatch pdm rye pixi coverage"), ("run",)),
    "bundle": ("exec",),
    "pnpm": ("exec",),
}
_TAKES_VALUE: Final = names(
    "-k -s -n -u -C -p --with --extra --group --python --package --directory --project --env-file --signal --kill-after --rcfile --source"
)
# Of wrappers: with any other option it may print something and run nothing, as `command -v` does.
_HARMLESS: Final = names(
    "-- -i -y -q -a -oL -eL -o0 -e0 --yes --no --no-install --frozen --locked --no-sync --offline --quiet --all-extras --all-groups "
    "--dev --no-dev --isolated --active --branch --parallel-mode --append --foreground --preserve-status --auto-servernum"
)


@dataclass(slots=True)
class _Command:
    words: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)  # as they stand in the text
    writes: bool = False
    before: str = ""  # the joint that leads to it
    after: str = ""


def parts_of(command: str, worktree: str = "", cwd: str = ".") -> tuple[Part, ...]:
    """The commands of a call in their order. One part that may change files where the text cannot be read.

    A check that runs in another folder than `worktree` decides nothing: it checks something else. `cwd` is where the
    call began, relative to the worktree or absolute.
    """
    try:
        found = _Splitter().split(command) if len(command) <= MAX_BYTES else None
    except ValueError:
        found = None
    if found is None or any(_reserved(each) for each in found) or _leaves(found[:-1]):
        return (Part(command, why_not="the call holds shell syntax that is not read here."),)
    strict, pipes = _shell_options(found)
    hidden = _hidden(found, strict=strict, pipes=pipes)
    parts, away = [], "" if inside(cwd, worktree) else cwd
    for each, why in zip(found, hidden, strict=True):
        if each.words[0] in ("cd", "pushd", "popd"):
            to = each.words[1] if len(each.words) == 2 else each.words[0]
            away = away or ("" if each.words[0] != "popd" and inside(to, worktree) else to)
        parts.append(_part(each, why, worktree, away))
    return tuple(parts)


def inside(path: str, worktree: str) -> bool:
    """Whether a path that is named in the worktree stays there. What cannot be told is outside."""
    if path.startswith("/"):
        root = worktree.rstrip("/")
        return bool(root) and f"{path}/".startswith(f"{root}/") and ".." not in path.split("/")
    return not path.startswith(("~", "-", "$")) and ".." not in path.split("/")


class _Splitter:
    """One pass over a text that is plain. Raises ValueError where it is not."""

    def __init__(self) -> None:
        self.commands: list[_Command] = []
        self._current = _Command()
        self._target = ""  # the redirection whose target comes next

    def split(self, text: str) -> list[_Command]:
        at, before = 0, "joint"
        while at < len(text):
            if text[at] == "#" and before in ("space", "joint"):
                at = text.find("\n", at) if "\n" in text[at:] else len(text)
                continue
            token = _TOKEN.match(text, at)
            if token is None:
                raise ValueError(text[at])
            at, before = token.end(), token.lastgroup or ""
            self._take(before, token[0])
        self._end("")
        return self.commands

    def _take(self, kind: str, text: str) -> None:
        if kind == "joint":
            self._end(text)
        elif kind == "redirect":
            self._target = text
        elif kind in ("word", "text") and self._target:
            self._current.writes |= ">" in self._target and not text.startswith("/dev/")
            self._target = ""
        elif kind in ("word", "text"):
            self._current.words.append(_bare(text))
            self._current.written.append(text)

    def _end(self, joint: str) -> None:
        if self._target:
            raise ValueError(self._target)
        if not self._current.words and joint in ("", "\n"):
            if not joint and self._current.before not in _ENDS:
                raise ValueError(self._current.before)
            return  # an empty line
        self._current.after = joint
        self.commands.append(self._current)
        self._current = _Command(before=joint)


_ENDS: Final = ("", ";", "\n")


def _bare(word: str) -> str:
    return re.sub(
        r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"|\\(.)", lambda m: m[1] or m[2] or m[3] or "", word
    )


def _reserved(command: _Command) -> bool:
    """Words that change what the words after them mean, and commands without a word of their own."""
    words = [word for word in command.words if not _ASSIGNS.match(word)]
    if not command.words:
        return True
    if not words or words[0] == "export":
        return any(_SWAYED.match(word) for word in command.words)
    if words[0] == "set":
        return not all(re.fullmatch(r"[-+][euxo]+|pipefail", word) for word in words[1:])
    return words[0] in _RESERVED or words[0].startswith("$")


def _leaves(commands: Sequence[_Command]) -> bool:
    return any("exit" in each.words for each in commands)


def _shell_options(commands: Sequence[_Command]) -> tuple[bool, bool]:
    """Whether the text begins with `set -e`, and with `set -o pipefail`."""
    words = commands[0].words if commands else []
    if words[:1] != ["set"] or any(each.words[:1] == ["set"] for each in commands[1:]):
        return False, False
    if any(word.startswith("+") for word in words):
        return False, False
    strict = any(re.fullmatch(r"-[a-z]*e[a-z]*", word) for word in words[1:])
    return strict, "pipefail" in words


def _hidden(commands: Sequence[_Command], *, strict: bool, pipes: bool) -> list[str]:
    """For each command why 0 of the whole does not mean 0 of it; '' where it does."""
    found: list[str] = []
    last = max((i for i, c in enumerate(commands) if c.before in _ENDS), default=0)
    for i, each in enumerate(commands):
        end = next((j for j in range(i, len(commands)) if commands[j].after in _ENDS), i)
        start = max(j for j in range(i + 1) if commands[j].before in _ENDS)
        joints = [c.after for c in commands[start:end]]
        if each.after == "|" and not pipes:
            found.append(
                f"it prints into `{commands[i + 1].words[0]}`, whose exit code the call has."
            )
        elif "||" in joints:
            found.append("`||` lets the call end with 0 when it fails.")
        elif start < last and not strict:
            found.append("the call goes on after it, and has the exit code of its last command.")
        elif start < last and len(joints) > 0 and i < end and each.after != "|":
            found.append("`set -e` does not stop at a command before `&&`.")
        else:
            found.append("")
    return found


def _part(command: _Command, why: str, worktree: str, away: str) -> Part:
    words, swayed = _unwrapped(command.words)
    kinds = kinds_of(words)
    elsewhere = away or next((w for w in _places(command.words) if not inside(w, worktree)), "")
    if swayed and kinds:
        why = "the call sets a variable that steers what runs."
    elif elsewhere:
        why = f"it ran on `{elsewhere[:120]}`, which is not known to be in the worktree."
    still = bool(kinds) or (not command.writes and leaves_files(words))
    return Part(
        words=" ".join(command.written),
        kinds=kinds,
        decides=not why,
        why_not=why,
        targets=_targets(words) if kinds else (),
        changes=not still,
    )


def _unwrapped(words: Sequence[str]) -> tuple[list[str], bool]:
    """Without assignments and wrappers that hand the exit code on; whether an assignment steers what runs."""
    rest, swayed = list(words), False
    while rest:
        name = rest[0].rpartition("/")[2]
        if _ASSIGNS.match(rest[0]):
            swayed |= bool(_SWAYED.match(rest[0]))
            rest = rest[1:]
        elif re.fullmatch(r"(?:python|pypy)[\d.]*", name) and program(rest[0]) and _module(rest):
            rest = _module(rest)
        elif name in _WRAPPERS and (behind := _behind(rest, _WRAPPERS[name])):
            rest = behind
        else:
            break
    return rest, swayed


def _module(words: Sequence[str]) -> list[str]:
    """What stands behind `-m`, where only options come before it."""
    if "-m" not in words:
        return []
    at = words.index("-m")
    return list(words[at + 1 :]) if all(w.startswith("-") for w in words[1:at]) else []


def _behind(words: Sequence[str], sub: Sequence[str]) -> list[str]:
    rest = list(words[1:])
    for wanted in ("", *sub):
        if wanted and (not rest or (wanted != "*" and rest[0] != wanted)):
            return []
        rest = rest[1:] if wanted else rest
        while rest and rest[0].startswith("-"):
            if rest[0] == "-m":
                return rest[1:]
            if not _harmless(rest[0]):
                return []
            rest = rest[2:] if rest[0] in _TAKES_VALUE else rest[1:]
    return rest


def _harmless(option: str) -> bool:
    name = option.partition("=")[0]
    return option in _HARMLESS or name in _TAKES_VALUE or re.fullmatch(r"-n\d+", option) is not None


_STEERED: Final = names(
    "-C -c -f --rootdir --directory --prefix --project --config --config-file --manifest-path --cwd --file --dir --confcutdir"
)


def _places(words: Sequence[str]) -> Iterator[str]:
    """Paths that say where or on what a command works."""
    for word, before in zip(words[1:], words, strict=False):
        option, equals, value = word.partition("=")
        if equals and option in _STEERED:
            yield value
        elif before in _STEERED or (not word.startswith("-") and not equals and "/" in word):
            yield word


def _targets(words: Sequence[str]) -> tuple[str, ...]:
    """Paths that a check names: an argument with a slash, a dot or `::`, that is no option."""
    return tuple(
        word
        for word, before in zip(words[1:], words, strict=False)
        if not word.startswith("-")
        and before not in ("-k", "-m", "-c", "-p", "-n", "-o", "--config")
        and re.search(r"/|::|\.\w+$", word)
    )
