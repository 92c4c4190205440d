"""Commands that stand in the arguments of programs without a rule of their own.

No list of wrappers is ever complete. Where an argument of an unknown program is the name of a program that
matters, what follows is read as a command as well; a text that starts with one is read as shell text.
"""

import re

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.options import names
from handfast.observe.words import Word

# Programs worth looking for: those that destroy, publish, or run whatever they are given.
_TELLING = names(
    "rm rmdir unlink shred srm wipe dd mkfs git sudo doas su sh bash dash zsh ksh busybox xargs find eval exec spawn"
    " kubectl helm terraform psql mysql sqlite3 redis-cli docker npm twine cargo mv tee truncate chmod chown kill"
    " killall pkill dropdb dropuser mysqladmin pg_restore mongosh python python3 perl ruby node env nohup timeout rimraf del-cli shutdown reboot gh aws gcloud"
)
_TEXT = re.compile(
    r"(?:-{0,2}[\w-]+=|shell |!|[\w.+-]+:\s*)?\s*((?:[\w./+-]*/)?[\w.+-]+)(?=\s|;|$)"
)
_JOINTS = re.compile(r"(?:^|[;&|]\s*)(?:[\w./+-]*/)?([\w.+-]+)\s")


def look(call: Invocation, case: Case) -> int:
    """Reads every command that may stand behind `call`'s own name. Answers how many words stand before one."""
    for index, word in enumerate(call.args):
        if _is_telling(word.text):
            after = call.args[index + 1 :]
            # `start-stop-daemon --exec /bin/rm -- -rf x`: the dashes end the wrapper's own options.
            case.argv([word, *(after[1:] if after[:1] == [Word("--")] else after)], call.simple)
            return index + (word.text == "rm" and index > 0)
        if " " in word.text and _starts(word.text):
            case.text(_command_in(word), call.simple.cwds)
    return len(call.args)


# Options that name a program another program starts, or code it obeys, in ways not followed here.
_STEERS = {
    "cargo": r"--config[ =]\S*(runner|wrapper|linker|rustc|rustdoc|alias)",
    "less": r"(^| )\+\S*!",
    "bat": r"--pager",
    "man": r"(^| )(-P|--pager|-H|--html)",
    "split": r"--filter",
    "mysql": r"--pager",
    "gcc": r"(^| )(-wrapper|-B ?/|-fplugin=|-specs=)",
    "apt": r"(Pre|Post)-Invoke|Dpkg::\w+|APT::\S*::=",
    "emacsclient": r"(^| )-\w*e|--eval",
    "ctest": r"(^| )-S",
    "go": r"-(vettool|toolexec)\b",
    "npm": r"\bscript-shell|\bset-script\b|\bpkg set scripts|\bnode-options",
    "cmake": r"_LAUNCHER(:\w+)?=(?!s?ccache\b)",
    "php": r"(^| )-[BRE]( |$)|auto_(prepend|append)_file",
    "node": r"--(import|require|loader)[ =]data:|-r data:",
    "sftp": r"(^| )-D",
    "gawk": r"(^| )(-l|--load)\b",
    "ruby": r"(^| )-r ?un -e (rm|mv|cp|rmdir|install|ln|chmod|touch)\b",
    "busybox": r"--install\b",
    "mvn": r"-Dexec\.executable=",
    "rake": r"(^| )(-e|-E|--execute\S*)( |$)",
    "make": r"\$[({]shell|!=|`",
}
_STEERED = {name: re.compile(pattern) for name, pattern in _STEERS.items()}
_SAME_AS = {
    **dict.fromkeys(names("g++ cc c++ clang clang++"), "gcc"),
    **dict.fromkeys(names("apt-get aptitude apt-cache"), "apt"),
    **dict.fromkeys(names("mariadb mycli pgcli"), "mysql"),
    "batcat": "bat",
    "zless": "less",
    "pnpm": "npm",
    "yarn": "npm",
    "mvnw": "mvn",
    "gmake": "make",
    "awk": "gawk",
}


def steered(call: Invocation, case: Case) -> None:
    """Options by which the caller, not the project, decides what else is run."""
    pattern = _STEERED.get(_SAME_AS.get(call.name, call.name))
    if pattern is not None and pattern.search(" ".join(call.texts)):
        case.findings.at_least(Effect.EXEC)
        case.findings.opaque("other-program", f"names what else is run: `{call.shown}`")


# Options of installers that name the folder written.
_FOLDERS = {
    "pip": names("-t --target --prefix --root -d --dest"),
    "cmake": names("--prefix"),
    "cargo": names("--root --target-dir --artifact-dir --out-dir"),
    "gem": names("-i --install-dir -n --bindir --build-root"),
    "pip3": names("-t --target --prefix --root -d --dest"),
}


def folders(call: Invocation, case: Case) -> None:
    options = _FOLDERS.get(call.name)
    if options is None:
        return
    for flag, value in zip(call.args, [*call.args[1:], Word("")], strict=False):
        name, equals, _ = flag.text.partition("=")
        if name in options:
            folder = flag.cut(len(name) + 1) if equals else value
            case.writes(folder, call.simple.cwds, "installs into")


def _is_telling(text: str) -> bool:
    return text.rpartition("/")[2] in _TELLING or text.startswith("mkfs.")


def _starts(text: str) -> bool:
    match = _TEXT.match(text)
    first = bool(match) and _is_telling(match.group(1)) if match else False
    return first or any(_is_telling(name) for name in _JOINTS.findall(text))


def _command_in(word: Word) -> str:
    """The shell text in an option's value, without what introduces it."""
    match = _TEXT.match(word.text)
    if match and _is_telling(match.group(1)):
        rest = word.text[match.start(1) :]
        return rest.removeprefix("spawn ").removeprefix("exec ")
    return word.text
