"""Programs and redirections that change files."""

import re
from pathlib import Path

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.commands import Simple
from handfast.observe.options import names, parse
from handfast.observe.outputs import SCRATCH_NAME, known_output
from handfast.observe.places import Place
from handfast.observe.words import DYNAMIC, TILDE, Word
from handfast.observe.wrappers import DOWNLOADERS

_LONG = frozenset(
    {"--target-directory", "--suffix", "--mode", "--owner", "--group", "--reference", "--size"}
)


_SAY_NOTHING = frozenset(
    {"", ":", "true", "echo", "echo -n", "printf", "cat /dev/null", "cat /dev/zero"}
)


def redirections(simple: Simple, case: Case) -> None:
    for redirect in simple.redirects:
        target = redirect.target
        if redirect.operator in {"<", "<<<"}:
            if target.text.startswith(("/dev/tcp/", "/dev/udp/")):
                _socket(target, case)
            case.reads(target, simple.cwds)
        elif re.fullmatch(r"\d+|-|&\d+", target.text):
            continue
        elif target.text.startswith(("/dev/tcp/", "/dev/udp/")):
            _socket(target, case)
        else:
            said = " ".join(word.text for word in simple.argv).strip()
            if said in _SAY_NOTHING and ">>" not in redirect.operator:
                case.empties(target)
            if simple.argv and simple.argv[0].text.rpartition("/")[2] in DOWNLOADERS:
                case.downloads = True
            case.writes(target, simple.cwds, "adds to" if ">>" in redirect.operator else "writes")
            _remember(simple, target, case, appends=redirect.operator in {">>", "&>>"})


def _socket(target: Word, case: Case) -> None:
    case.findings.at_least(Effect.NETWORK)
    case.findings.hazard("net.send", f"opens a network connection: {target.shown}")
    port = target.text.rpartition("/")[2]
    if not port.isdigit() or int(port) in case.places.scope.protected_ports:
        case.findings.hazard("control-plane", f"connects to Handfast's port: {target.shown}")


def _remember(simple: Simple, target: Word, case: Case, *, appends: bool) -> None:
    """What a script written by this very command will hold, where that is certain.

    Written twice it holds both: one may stand in a branch, or be appended.
    """
    body: str | None = None
    if (
        simple.argv
        and simple.argv[0].text == "cat"
        and len(simple.argv) == 1
        and simple.stdin is not None
    ):
        body = simple.stdin.text
    elif simple.argv and simple.argv[0].text in {"echo", "printf"}:
        body = known_output([simple], "")
    for path in case.places.expand(target, simple.cwds) or ():
        real = case.places.real(path)
        before = case.written.get(real)
        if before is not None and body is not None:
            case.written[real] = f"{before}\n{body}"
        else:
            unknown = appends and before is None and Path(real).exists()
            case.written[real] = None if unknown or before is not None else body


# These take folders without being told to.
_WHOLE = names("rimraf del-cli trash trash-put rmtrash gomi rip trash-cli rm-cli")


def remove(call: Invocation, case: Case) -> None:
    parsed = parse(call.args)
    recursive = parsed.has("-r", "--recursive") or parsed.has("-R", "--recursive")
    recursive = recursive or any(word.is_option and word.dynamic for word in call.args)
    recursive = recursive or call.name in _WHOLE
    if call.name in {"shred", "srm", "wipe"} and not case.on_disk:
        case.findings.hazard("fs.delete", f"overwrites files for good: `{call.shown}`")
    case.deletes(parsed.operands, call.simple.cwds, recursive=recursive)


def remove_empty(call: Invocation, case: Case) -> None:
    """rmdir: only empty folders go, so inside the worktree nothing is lost."""
    case.deletes(parse(call.args).operands, call.simple.cwds, recursive=False, empty=True)


def copy(call: Invocation, case: Case) -> None:
    """cp, install, ln: the last operand, or `-t`, is written."""
    parsed = parse(call.args, "tSmog", _LONG)
    folder = parsed.value("-t", "--target-directory")
    targets = [folder] if folder else parsed.operands[-1:]
    sources = parsed.operands if folder else parsed.operands[:-1]
    if call.name == "install" and parsed.has("-d", "--directory"):
        targets, sources = parsed.operands, []
    links = parsed.has("-s", "--symbolic-link") or parsed.has("-l", "--link")
    if call.name == "ln" or (call.name == "cp" and links):
        _link(sources, targets, call, case)
        if len(parsed.operands) == 1:
            targets = [Word(".")]
    for target in targets:
        if any(source.text in {"/dev/null", "/dev/zero"} for source in sources):
            case.empties(target)
        if not (len(sources) == 1 and _fills_in(sources[0], target)):
            case.writes(target, call.simple.cwds)
    if call.name == "mv":
        _moved_away(sources, targets, call, case)


def _fills_in(source: Word, target: Word) -> bool:
    """`cp .env.example .env`: the file a project says to make from its example."""
    example = re.sub(r"[.-](example|sample|template|dist|default|local)\b", "", source.text)
    return (
        target.text == example != source.text
        and target.fixed
        and not target.text.startswith(("/", "~", ".."))
    )


def _link(sources: list[Word], targets: list[Word], call: Invocation, case: Case) -> None:
    """A link that leads outside would carry later writes outside. A symbolic one starts at its own folder."""
    cwds = call.simple.cwds
    symbolic = any(re.match(r"-\w*s|--symbolic", text) for text in call.texts)
    if symbolic and targets and len(sources) == 1 and targets[0].fixed:
        folder = targets[0].text.rpartition("/")[0]
        cwds = tuple(folder if folder.startswith("/") else f"{cwd}/{folder}" for cwd in cwds)
    for source in sources:
        for path in case.places.expand(source, cwds) or ():
            if case.places.place(path) not in {Place.WORKTREE, Place.SCRATCH, Place.NOWHERE}:
                case.findings.hazard(
                    "fs.write-outside",
                    f"makes a link to {case.places.shown(path)}, outside the worktree",
                    undo=True,
                )
    if any(source.dynamic for source in sources):
        case.findings.opaque(
            "dynamic-path", "makes a link to a path that is only known when it runs"
        )


def _moved_away(sources: list[Word], targets: list[Word], call: Invocation, case: Case) -> None:
    """Moving inside the worktree keeps the file; moving it out deletes it, moving one in takes it away there."""
    inside = True
    for target in targets:
        for path in case.places.expand(target, call.simple.cwds) or ():
            inside = inside and case.places.place(path) is Place.WORKTREE
    for source in sources:
        paths = case.places.expand(source, call.simple.cwds)
        if paths is None:
            case.findings.opaque(
                "dynamic-path", f"moves a path that is only known when it runs: `{source.shown}`"
            )
        elif not inside or any(case.places.place(path) is not Place.WORKTREE for path in paths):
            case.deletes([source], call.simple.cwds, recursive=True)


def write_operands(call: Invocation, case: Case) -> None:
    parsed = parse(call.args, _VALUES.get(call.name, ""), _LONG)
    keeps = call.name in {"touch", "mkdir", "mkfifo"} or parsed.has("-a", "--append")
    for word in parsed.operands:
        if not (keeps or word.fixed or case.on_disk):
            case.findings.hazard("fs.delete", f"overwrites whatever {word.shown} stands for")
        case.writes(word, call.simple.cwds, "makes" if keeps else "writes")


_SET_ID = re.compile(r"0?[4567][0-7]{3}|(?:[a-z]*,)*u?a?[+=][rwxXt]*s[rwxXst]*(?:,.*)?")
_MODE = re.compile(r"-[rwxXst][rwxXstugo,=+-]*")


def write_after_first(call: Invocation, case: Case) -> None:
    """chmod, chown: the first operand says how, the rest which."""
    parsed = parse(call.args, "", _LONG)
    recursive = parsed.has("-R", "--recursive")
    if recursive and call.name in {"chown", "chgrp"}:
        case.findings.hazard("host.control", f"changes who owns files: `{call.shown}`")
    if recursive and any(word.text.rstrip("/") in {".", "..", "$PWD"} for word in parsed.operands):
        case.findings.hazard("git.history-rewrite", f"changes .git too: `{call.shown}`", undo=True)
    # `chmod -x file`: what looks like an option is the mode.
    taken = parsed.has("", "--reference") or any(_MODE.fullmatch(text) for text in call.texts)
    taken = taken or call.name not in {"chmod", "chown", "chgrp"}
    operands = parsed.operands if taken else parsed.operands[1:]
    if call.name == "chmod" and any(_SET_ID.fullmatch(text) for text in call.texts):
        case.findings.hazard("host.control", f"lets a file run as its owner: `{call.shown}`")
    for word in operands or ([Word(DYNAMIC)] if not parsed.operands else []):
        case.writes(word, call.simple.cwds, "changes", content=False)


def make_temporary(call: Invocation, case: Case) -> None:
    parsed = parse(call.args, "p", frozenset({"--tmpdir", "--suffix"}))
    folder = parsed.value("-p", "--tmpdir")
    case.writes(
        folder or (parsed.operands[0] if parsed.operands else Word(SCRATCH_NAME)),
        call.simple.cwds,
    )


def patch(call: Invocation, case: Case) -> None:
    """GNU patch refuses paths that leave the folder it works in."""
    parsed = parse(call.args, "dopirBDFgVYz", frozenset({"--directory", "--output", "--input"}))
    for name in ("-d", "--directory", "-o", "--output", "-r"):
        for value in parsed.all_values(name):
            case.writes(value, call.simple.cwds)
    case.writes(parsed.operands[0] if parsed.operands else Word("."), call.simple.cwds)


def disk_dump(call: Invocation, case: Case) -> None:
    for word in call.args:
        if word.text.startswith("of="):
            target = word.cut(3)
            if target.raw.startswith("~"):  # bash expands what follows `name=`
                target = Word(TILDE + target.raw[1:], target.sources)
            case.empties(target)
            case.writes(target, call.simple.cwds)
        elif word.text.startswith("if="):
            case.reads(word.cut(3), call.simple.cwds)
        elif DYNAMIC in word.raw.partition("=")[0]:
            case.findings.opaque(
                "dynamic-path", f"may write what is only known then: `{call.shown}`"
            )


def build_tool(call: Invocation, case: Case) -> None:
    """`cmake -E` is a set of file commands; without it, cmake runs code."""
    case.findings.at_least(Effect.EXEC)
    case.findings.headline(f"runs `{call.shown}`")
    if "-P" in call.texts:
        for word in call.args[call.texts.index("-P") + 1 :][:1]:
            if case.obeys(word, call.simple.cwds):
                case.findings.opaque("written-then-run", f"obeys {word.shown}, written just now")
    words = call.args[call.texts.index("-E") + 1 :] if "-E" in call.texts else []
    if not words:
        case.findings.detail(f"runs code: `{call.shown}`")
    elif words[0].text in {"rm", "remove", "remove_directory"}:
        recursive = words[0].text != "remove"
        case.deletes(parse(words[1:]).operands, call.simple.cwds, recursive=recursive)
    elif words[0].text in {"env", "time", "chdir"}:
        case.argv(words if words[0].text != "chdir" else words[2:], call.simple)
    else:
        for word in words[-1:]:
            case.writes(word, call.simple.cwds)


def edit_script(call: Invocation, case: Case) -> None:
    """Line editors obey a script on standard input, which may start commands with `!`."""
    case.findings.at_least(Effect.WRITE)
    body = call.simple.stdin.text if call.simple.stdin else " ".join(call.texts)
    if call.simple.fed or re.search(
        r"(^|\n|\s|\+)['\"]?[:0-9,$%.]*(r|w|e)?\s*!|system\(|(delete|rename|writefile)\(|:!|py(thon)?3? |lua |--?(eval|execute|load|funcall)",
        body,
    ):
        case.findings.hazard("exec.inline", f"{call.name} may run other commands from its script")
    for word in parse(call.args, "cSuTt").operands:
        if not word.text.startswith("+"):
            case.writes(word, call.simple.cwds, "edits")


_VALUES = {
    "touch": "drt",
    "mkdir": "m",
    "truncate": "sr",
    "mkfifo": "m",
    "split": "abClnt",
    "csplit": "bfnk",
}

HANDLERS = {
    **dict.fromkeys(_WHOLE | names("rm grm gnurm zf_rm shred srm wipe unlink"), remove),
    "rmdir": remove_empty,
    **dict.fromkeys(("cp", "gcp", "mv", "gmv", "install", "ln", "link"), copy),
    **dict.fromkeys(
        (
            "touch",
            "mkdir",
            "tee",
            "truncate",
            "mkfifo",
            "sponge",
            "dos2unix",
            "unix2dos",
            "fallocate",
        ),
        write_operands,
    ),
    **dict.fromkeys(("chmod", "chown", "chgrp", "chattr", "setfacl", "xattr"), write_after_first),
    "mktemp": make_temporary,
    "patch": patch,
    "dd": disk_dump,
    "cmake": build_tool,
    **dict.fromkeys(("ed", "ex", "vi", "vim", "nvim", "emacs", "red"), edit_script),
}
