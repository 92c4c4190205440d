"""What the shell's variables and folder may hold at each point of a text.

A variable has a set of possible values. Leaving a branch keeps what held before beside what it set, so a
value is never taken for certain because one path would set it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from handfast.observe.commands import Simple
from handfast.observe.outputs import files_listed
from handfast.observe.words import BENEATH, DYNAMIC, MARKS, MAX_ALTERNATIVES, STAR, TILDE, Word

LAST_JOB = "$!"
_NUMBERS = frozenset("?#$") | {
    "RANDOM",
    "SECONDS",
    "UID",
    "EUID",
    "PPID",
    "LINENO",
    "COLUMNS",
    "LINES",
}
_MAX_FOLDERS = 6


class Variables:
    """Mutable state of one reading. `cwds` is empty when the folder is unknown."""

    def __init__(self, cwds: tuple[str, ...], home: str, *, on_disk: bool = True) -> None:
        self._on_disk = on_disk
        self.cwds = cwds
        self.home = home
        self._bound: dict[str, tuple[str, ...]] = {}
        self._lost = False

    def values(self, name: str) -> list[str]:
        """Possible texts of `$name`; one unknown text when nothing is known."""
        if name in _NUMBERS:
            return ["0"]
        if name == "!":
            return [LAST_JOB]
        if self._lost:
            return [DYNAMIC]
        if name in self._bound:
            return list(self._bound[name])
        if name == "PWD" and self.cwds:
            return list(self.cwds)
        return [{"HOME": self.home, "TMPDIR": "/tmp"}.get(name, DYNAMIC)]  # noqa: S108 - the shell's default

    def is_set(self, name: str) -> bool:
        """Whether this text gave the variable a value, as opposed to its environment."""
        return name in self._bound

    def bind(self, name: str, values: list[str], *, kept_marks: bool = False) -> None:
        """`kept_marks`: the values went through globbing already (a loop variable)."""
        if len(values) > MAX_ALTERNATIVES:
            values = [DYNAMIC]
        if not kept_marks:
            values = [self._settled(value) for value in values]
        self._bound[name] = tuple(dict.fromkeys(values))

    def _settled(self, value: str) -> str:
        if value.startswith(TILDE):
            head, slash, tail = value[1:].partition("/")
            value = DYNAMIC if head else self.home + slash + tail
        kept = {DYNAMIC, BENEATH, STAR} if BENEATH in value else {DYNAMIC}
        return MARKS.sub(
            lambda m: m.group(0) if m.group(0) in kept else Word(m.group(0)).text, value
        )

    def forget_all(self) -> None:
        """Something that cannot be read may have set any variable."""
        self._lost = True

    @contextmanager
    def scoped(self) -> Iterator[None]:
        """A subshell: what it sets is gone afterwards."""
        before = dict(self._bound), self.cwds, self._lost
        try:
            yield
        finally:
            self._bound, self.cwds, self._lost = before

    @contextmanager
    def conditional(self) -> Iterator[None]:
        """A branch: afterwards it may or may not have been taken."""
        bound, cwds = dict(self._bound), self.cwds
        try:
            yield
        finally:
            for name, values in self._bound.items():
                old = bound.get(name, (DYNAMIC,))
                if old != values:
                    self._bound[name] = tuple(dict.fromkeys(old + values))
            self._set_cwds(self.cwds, cwds)

    def _set_cwds(self, new: tuple[str, ...], old: tuple[str, ...]) -> None:
        if not new or not old:
            self.cwds = ()
            return
        merged = tuple(dict.fromkeys(new + old))
        self.cwds = merged if len(merged) <= _MAX_FOLDERS else ()

    def follow(self, command: Simple) -> None:
        """What a command does to the shell's own state."""
        if not command.argv:
            return
        name = command.argv[0].text
        arguments = [word for word in command.argv[1:] if not word.is_option]
        if name in {"cd", "pushd"}:
            self._change_folder(command.argv[1:])
        elif name == "popd":
            self.cwds = ()
        elif name in {"eval", "source", "."} or command.argv[0].dynamic:
            self.forget_all()
        elif name in {"read", "mapfile", "readarray", "getopts", "unset"}:
            values = (files_listed(command.feeder) if command.feeder else None) or [DYNAMIC]
            for word in arguments:
                self.bind(word.text, values if name == "read" else [DYNAMIC], kept_marks=True)
        elif name == "printf" and len(command.argv) > 2 and command.argv[1].text == "-v":
            self.bind(command.argv[2].text, [DYNAMIC])

    def _change_folder(self, arguments: list[Word]) -> None:
        targets = [w for w in arguments if w.text not in {"-L", "-P", "-e", "-@", "--"}]
        if not targets:
            self.cwds = (self.home,)
            return
        found: list[str] = []
        for target in targets:
            if not target.fixed or target.text == "-" or target.text.startswith("+"):
                self.cwds = ()
                return
            text = self._settled(target.raw)
            found += [os.path.normpath(os.path.join(cwd, text)) for cwd in self.cwds]  # noqa: PTH118
        old = self.cwds
        missing = not all(self._exists(each, old) for each in found)
        self._set_cwds(tuple(dict.fromkeys(found)), old if missing else tuple(found))

    def _exists(self, folder: str, old: tuple[str, ...]) -> bool:
        """Whether a change of folder succeeds. By the text alone: a folder below the present one does."""
        if self._on_disk:
            return os.path.isdir(folder)  # noqa: PTH112
        return any(folder.startswith(each + "/") for each in old)
