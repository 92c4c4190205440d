"""Programs and redirections that change files."""

import re
from pathlib import Path

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.commands import Simple
from handfast.observe.options import Parsed, names, parse
from handfast.observe.outputs import SCRATCH_NAME, known_output
from handfast.observe.places import Place
from handfast.observe.words import DYNAMIC, Word

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
    if call.name == "ln":
        _link(sources, call, case)
        if len(parsed.operands) == 1:
            targets = [Word(".")]
    for target in targets:
        if any(source.text in {"/dev/null", "/dev/zero"} for source in sources):
            case.empties(target)
        case.writes(target, call.simple.cwds)
    if call.name == "mv":
        _moved_away(sources, targets, call, case)


def _link(sources: list[Word], call: Invocation, case: Case) -> None:
    """A link that leads outside would carry later writes outside."""
    for source in sources:
        for path in case.places.expand(source, call.simple.cwds) or ():
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
    operands = parsed.operands if taken else parsed.operands[1:]
    for word in operands or ([Word(DYNAMIC)] if not parsed.operands else []):
        case.writes(word, call.simple.cwds, "changes")


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
            case.empties(word.cut(3))
            case.writes(word.cut(3), call.simple.cwds)
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


def archive(call: Invocation, case: Case) -> None:
    """tar: extraction writes below `-C` (GNU tar strips leading slashes and `..`); creation writes `-f`."""
    words = list(call.args)
    if words and not words[0].is_option:
        words[0] = Word("-" + words[0].raw)
    parsed = parse(
        words,
        "fCTXIbgHKLNVF",
        frozenset({"--file", "--directory", "--to-command", "--use-compress-program"}),
    )
    _archive_options(parsed, call, case)
    folders = parsed.all_values("-C") + parsed.all_values("--directory")
    folders += parsed.all_values("--one-top-level")
    if parsed.has("-t", "--list"):
        return
    if parsed.has("-x", "--extract") or parsed.has("", "--get"):
        if not parsed.has("-O", "--to-stdout"):
            for folder in folders or [Word(".")]:
                case.writes(folder, call.simple.cwds, "unpacks into")
        return
    for name in parsed.all_values("-f") + parsed.all_values("--file"):
        if name.text != "-":
            case.writes(name, call.simple.cwds)


_STARTED = ("--rsh-command", "--rmt-command", "--new-volume-script", "--recursive-unlink")


def _archive_options(parsed: Parsed, call: Invocation, case: Case) -> None:
    if (
        parsed.has("", "--to-command")
        or parsed.has("", "--checkpoint-action")
        or parsed.has("-P", "--absolute-names")
    ):
        case.findings.opaque(
            "archive-option", f"lets tar run commands or leave its folder: `{call.shown}`"
        )
    if parsed.has("-I", "--use-compress-program") or any(
        parsed.has(short, long)
        for short, long in (("-F", "--info-script"), *(("", each) for each in _STARTED))
    ):
        case.findings.opaque("archive-option", f"lets tar run another program: `{call.shown}`")
    if parsed.has("", "--remove-files"):
        case.deletes(parsed.operands, call.simple.cwds, recursive=True)


def pack(call: Invocation, case: Case) -> None:
    """zip, 7z: the archive is written; with `-m` or `-sdel` what went in is deleted."""
    case.findings.at_least(Effect.WRITE)
    moves = any(re.match(r"-[a-ln-z]*m|--move|-sdel", text) for text in call.texts)
    operands = [word for word in call.args if not word.is_option]
    if call.name != "zip":
        operands = operands[1:]
    for word in operands[:1]:
        case.writes(word, call.simple.cwds)
    for word in call.args if call.name != "zip" else ():
        if word.text.startswith("-o"):
            case.writes(word.cut(2), call.simple.cwds, "unpacks into")
    if moves:
        case.deletes(operands[1:] or operands, call.simple.cwds, recursive=True)
    if any(text.startswith(("-TT", "--unzip-command")) for text in call.texts):
        case.findings.opaque("archive-option", f"lets zip run another program: `{call.shown}`")


def unpack(call: Invocation, case: Case) -> None:
    """cpio, pax, ar: names in the archive may lead anywhere."""
    case.findings.at_least(Effect.WRITE)
    if any(re.match(r"-[a-zA-Z]*[ir]|--extract", text) for text in call.texts):
        case.findings.opaque("archive-option", f"writes wherever the archive says: `{call.shown}`")


def split(call: Invocation, case: Case) -> None:
    for word in parse(call.args, "abClnt").operands[1:2]:
        case.writes(word, call.simple.cwds)


def unzip(call: Invocation, case: Case) -> None:
    parsed = parse(call.args, "dPx")
    if not (
        parsed.has("-l", "") or parsed.has("-p", "") or parsed.has("-t", "") or parsed.has("-v", "")
    ):
        case.writes(parsed.value("-d") or Word("."), call.simple.cwds, "unpacks into")


def compress(call: Invocation, case: Case) -> None:
    parsed = parse(call.args, "S")
    if parsed.has("-c", "--stdout") or parsed.has("-l", "--list") or parsed.has("-t", "--test"):
        return
    for word in parsed.operands:
        case.writes(word, call.simple.cwds)


def edit_script(call: Invocation, case: Case) -> None:
    """Line editors obey a script on standard input, which may start commands with `!`."""
    case.findings.at_least(Effect.WRITE)
    body = call.simple.stdin.text if call.simple.stdin else " ".join(call.texts)
    if call.simple.fed or re.search(
        r"(^|\n|\s|\+)['\"]?[:0-9,$%.]*(r|w|e)?\s*!|system\(|:!|py(thon)?3? |lua |--?(eval|execute|load|funcall)",
        body,
    ):
        case.findings.hazard("exec.inline", f"{call.name} may run other commands from its script")
    for word in parse(call.args, "cSsuTt").operands:
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
    **dict.fromkeys(("tar", "gtar", "bsdtar"), archive),
    "unzip": unzip,
    **dict.fromkeys(("zip", "7z", "7za", "7zz"), pack),
    **dict.fromkeys(("cpio", "pax"), unpack),
    "split": split,
    "cmake": build_tool,
    **dict.fromkeys(
        ("gzip", "gunzip", "bzip2", "bunzip2", "xz", "unxz", "zstd", "unzstd"), compress
    ),
    **dict.fromkeys(("ed", "ex", "vi", "vim", "nvim", "emacs", "red"), edit_script),
}
