"""One call under examination: the ground it stands on, what was found, and the questions every rule asks."""

import fnmatch
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from handfast.core.domain.action import Effect, Operand
from handfast.core.domain.errors import AdapterError
from handfast.observe import git
from handfast.observe.commands import Simple
from handfast.observe.findings import Findings
from handfast.observe.operands import file_operand, tree_operand
from handfast.observe.places import Place, Places
from handfast.observe.textonly import Deletion, Session, loss, overwrites
from handfast.observe.words import BENEATH, DYNAMIC, Word, glob_pattern

MAX_DEPTH = 6
MAX_QUESTIONS = 40


@dataclass(frozen=True, slots=True)
class Invocation:
    """A program with its arguments. `name` is the last component of how the program was named."""

    name: str
    program: Word
    args: list[Word]
    simple: Simple

    @property
    def texts(self) -> list[str]:
        return [word.text for word in self.args]

    @property
    def shown(self) -> str:
        return " ".join([self.program.shown, *(word.shown for word in self.args)])[:120]


@dataclass(slots=True)
class Case:
    """`run_text` and `run_argv` examine a nested command; `written` holds scripts this very call writes.

    `outer_input` feeds the commands of a nested text; `steps` are the names of all commands of the outermost one. `enclosing` are the programs around the one that is read, `deploys_read` counts what deploys and was looked
    at for the environment it names.
    """

    places: Places
    findings: Findings
    run_text: Callable[["Case", str, tuple[str, ...]], None]
    run_simple: Callable[["Case", Simple], None]
    depth: int = 0
    written: dict[str, str | None] = field(default_factory=dict)
    downloads: bool = False
    scripts: set[str] = field(default_factory=set)
    questions: int = 0
    session: Session | None = None
    opinions: int = 0
    enclosing: list[Invocation] = field(default_factory=list)
    deploys_read: int = 0
    outer_input: Simple | None = None
    steps: set[str] = field(default_factory=set)

    @property
    def on_disk(self) -> bool:
        """Whether files and git may be asked; else the text alone counts."""
        return self.places.scope.on_disk

    # -- nested commands

    def text(self, command: str, cwds: tuple[str, ...], fed: Simple | None = None) -> None:
        """A nested shell text. What `fed` reads, its commands read."""
        self.depth += 1
        outer, self.outer_input = self.outer_input, fed
        if self.depth > MAX_DEPTH:
            self.findings.opaque("nesting", "hides commands inside commands too deeply to follow")
        else:
            self.run_text(self, command, cwds)
        self.depth -= 1
        self.outer_input = outer

    def argv(self, words: list[Word], outer: Simple) -> None:
        """A command given as words behind another command, such as `sudo`."""
        if not words:
            return
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.findings.opaque("nesting", "hides commands inside commands too deeply to follow")
        else:
            kept = [each for each in outer.redirects if each.operator in {"<", "<&"}]
            self.run_simple(self, replace(outer, argv=words, assigns=[], redirects=kept))
        self.depth -= 1

    # -- paths

    def reads(self, word: Word, cwds: tuple[str, ...]) -> None:
        if word.dynamic:  # `$DIR/.ssh/id_rsa`: what is fixed may tell enough
            word = Word(word.raw.replace(DYNAMIC, "unknown"), word.sources)
        for path in self.places.expand(word, cwds) or ():
            if self.places.is_ours(path):
                self.findings.hazard(
                    "control-plane", f"reads {self.places.shown(path)}, which belongs to Handfast"
                )
            elif self.places.holds_secrets(path):
                self.findings.hazard(
                    "secret.access",
                    f"reads everything below {self.places.shown(path)}, credentials too",
                )
            elif self.places.is_secret(path):
                self.findings.hazard(
                    "secret.access", f"reads {self.places.shown(path)}, which holds credentials"
                )

    def writes(
        self, word: Word, cwds: tuple[str, ...], verb: str = "writes", *, content: bool = True
    ) -> None:
        """A file or folder created or changed. Inside the worktree git keeps the undo: no hazard.

        `content` says that what it holds may change, not only its mode.
        """
        paths = self.places.expand(word, cwds)
        if paths is None:
            self.findings.at_least(Effect.WRITE)
            self.findings.opaque(
                "dynamic-path", f"{verb} a path that is only known when it runs: `{word.shown}`"
            )
            return
        for path in paths:
            if content:
                self.written.setdefault(self.places.real(path), None)
            self._place_write(path, verb)

    def empties(self, word: Word) -> None:
        """A pattern, or whatever a search finds, is written over with nothing."""
        if not (word.fixed or word.dynamic or self.on_disk):
            self.findings.hazard("fs.delete", f"empties whatever {word.shown} stands for")

    def _place_write(self, path: str, verb: str) -> None:
        shown, found = self.places.shown(path), self.findings
        place = self.places.place(path)
        if place is Place.NOWHERE:
            return
        found.at_least(Effect.WRITE)
        found.path(shown)
        if place is Place.CONTROL:
            found.hazard("control-plane", f"{verb} {shown}, which decides what agents may do")
        elif place is Place.AGENT:
            found.hazard("agent.config", f"{verb} {shown}, which steers agents", undo=True)
        elif place is Place.GIT:
            self._git_write(shown, verb)
        elif place is Place.OUTSIDE:
            found.hazard("fs.write-outside", f"{verb} {shown}, outside the worktree")
        elif place is Place.SCRATCH:
            found.hazard("fs.write-scratch", f"{verb} {shown} in the temporary folder")
        else:
            found.headline(f"{verb} {shown}")
            if not self.on_disk:
                self._text_write(path, shown, verb)

    def _text_write(self, path: str, shown: str, verb: str) -> None:
        real = self.places.real(path)
        if verb == "writes" and overwrites(real, self.session):
            self.findings.hazard("fs.delete", f"overwrites {shown}, which git seldom keeps")
        if self.session is not None:
            self.session.wrote(real, self.places.worktree)

    def _git_write(self, shown: str, verb: str) -> None:
        inner = shown.partition(".git/")[2]
        if inner.startswith(("hooks", "config", "info/attributes", "worktrees", "modules")):
            self.findings.hazard("git.hooks", f"{verb} {shown}: git runs or obeys this file")
        else:
            self.findings.hazard("git.history-rewrite", f"{verb} {shown}, git's own data")

    def deletes(
        self, words: list[Word], cwds: tuple[str, ...], *, recursive: bool, empty: bool = False
    ) -> None:
        self.findings.at_least(Effect.WRITE)
        inside: list[Deletion] = []
        for word in words:
            paths = self.places.expand(word, cwds)
            if paths is None:
                self.findings.opaque(
                    "dynamic-path",
                    f"deletes a path that is only known when it runs: `{word.shown}`",
                )
                continue
            for path in paths:
                pattern = glob_pattern(word.raw.partition(BENEATH)[2])
                if self._place_delete(path, recursive=recursive and not pattern):
                    many = not word.fixed
                    inside.append(Deletion(path, recursive, many, pattern))
        if inside and self.on_disk:
            self._delete_inside(inside)
        elif inside and not empty:
            self._delete_unseen(inside)

    def _place_delete(self, path: str, *, recursive: bool) -> bool:
        """Judges one deleted path; answers whether git must be asked about it."""
        shown, found = self.places.shown(path), self.findings
        place = self.places.place(path)
        if place is Place.NOWHERE:
            return False
        found.path(shown)
        if place is Place.CONTROL or (recursive and self.places.holds_control(path)):
            found.hazard("control-plane", f"deletes {shown}, which holds what decides about agents")
        if place is Place.GIT or (recursive and self.places.holds_git(path)):
            found.hazard("git.history-rewrite", f"deletes {shown} with git's own data: no undo")
        if place is Place.OUTSIDE:
            found.hazard("fs.write-outside", f"deletes {shown}, outside the worktree: no undo")
        elif place is Place.SCRATCH:
            found.hazard("fs.write-scratch", f"deletes {shown} in the temporary folder")
        return place is Place.WORKTREE

    def may_ask_git(self) -> bool:
        """Bounds what one hostile command can cost."""
        self.questions += 1
        if self.questions > MAX_QUESTIONS:
            self.findings.opaque(
                "too-many-commands", "deletes or restores in more places than are looked at"
            )
        return self.questions <= MAX_QUESTIONS

    def _delete_unseen(self, deletions: list[Deletion]) -> None:
        """Nobody can say what is there: the text decides."""
        for each in deletions:
            shown = self.places.shown(each.path)
            reason = loss(each, self.session, shown)
            if reason:
                self.findings.hazard("fs.delete", f"{reason}: only the worktree knows what is lost")
            else:
                self.findings.headline(f"deletes {shown}")
                self.findings.detail(f"deletes {shown}, by its name")

    def _delete_inside(self, deletions: list[Deletion]) -> None:
        if not self.may_ask_git():
            return
        patterns = {each.path: each.pattern for each in deletions}
        try:
            lost: list[str] = []
            for path, pattern in patterns.items():
                files = git.tracked(self.places.scope.worktree, [path])
                lost += [name for name in files if _matches(name, self.places.shown(path), pattern)]
            changed = git.uncommitted(self.places.scope.worktree, lost[:200]) if lost else ()
        except AdapterError as error:
            self.findings.opaque(
                "git-unavailable", f"deletes files, and git cannot say which: {error.message}"
            )
            return
        if not lost:
            self.findings.headline("deletes untracked files inside the worktree")
            for path in patterns:
                self.findings.detail(f"deletes {self.places.shown(path)}, which git does not track")
            return
        undo = "no undo for uncommitted changes" if changed else "still in the last commit"
        what = (
            f"{len(lost)} tracked files under {_common(lost)}"
            if len(lost) > 1
            else f"tracked file {lost[0]}"
        )
        self.findings.hazard("fs.delete-tracked", f"deletes {what}: {undo}", undo=not changed)
        for name in lost:
            self.findings.detail(f"deletes {name}")

    # -- what the call depends on

    def obeys(self, word: Word, cwds: tuple[str, ...]) -> list[str]:
        """A file whose instructions a program follows. Answers the texts this very command wrote into it.

        Opaque where it is no file, or where what was written is not known.
        """
        self.findings.at_least(Effect.EXEC)
        paths = self.places.expand(word, cwds)
        if paths is None or word.text == "-" or word.text.startswith(("/dev/", "/proc/")):
            self.findings.opaque("given-recipe", f"obeys what is no file: `{word.shown}`")
            return []
        bodies: list[str] = []
        for path in paths:
            self.depends_on_file(path)
            body = self.written.get(self.places.real(path), "")
            if body is None:
                self.findings.opaque("written-then-run", f"obeys {word.shown}, written just now")
            elif body:
                bodies.append(body)
        return bodies

    def depends_on_file(self, path: str) -> None:
        real = self.places.real(path)
        if self.on_disk and real not in self.written:
            self.findings.operand(file_operand(self.places.shown(path), self.places.scope))

    def depends_on_tree(self) -> None:
        if not self.on_disk:
            return
        operand = tree_operand("tree:.", self.places.scope)
        if operand is None:
            self.findings.opaque(
                "tree-too-large", "depends on more untracked files than can be hashed"
            )
        else:
            self.findings.operand(operand)

    def depends_on(self, operand: Operand) -> None:
        self.findings.operand(operand)


def _matches(name: str, prefix: str, pattern: str) -> bool:
    """Whether a tracked file has a component below `prefix` that fits what `find -name` would match."""
    if not pattern:
        return True
    below = name if prefix == "." else name[len(prefix) :].lstrip("/")
    return any(fnmatch.fnmatchcase(part, pattern) for part in below.split("/"))


def _common(names: list[str]) -> str:
    folder = os.path.commonpath(names) if all("/" in name for name in names) else ""
    return f"{folder}/" if folder else "the worktree"
