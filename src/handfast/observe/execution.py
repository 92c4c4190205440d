"""Programs that run code of the worktree: shells, interpreters, scripts, make, package scripts.

Running code is recorded, not stopped: `pytest` or `make` pass. What the code is, is hashed; shell scripts
and recipes are read for hazards, and what cannot be read in them is only noted.
"""

import os
import re
from pathlib import Path

from handfast.core.domain.action import Effect
from handfast.observe import inline, recipes, ship
from handfast.observe.case import Case, Invocation
from handfast.observe.commands import Simple
from handfast.observe.options import names
from handfast.observe.outputs import known_output
from handfast.observe.words import BENEATH, Word
from handfast.observe.wrappers import DOWNLOADERS, remote, text, texts_of

SHELLS = names("sh bash zsh dash ksh ash mksh fish rbash")
# Language, and the options whose value is code.
_INTERPRETERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "python": ("python", ("-c",)),
    "pypy": ("python", ("-c",)),
    "ipython": ("python", ("-c",)),
    "node": ("node", ("-e", "-p", "--eval", "--print", "-pe")),
    "nodejs": ("node", ("-e", "-p", "--eval", "--print", "-pe")),
    "ts-node": ("node", ("-e", "-p", "--eval")),
    "tsx": ("node", ("-e", "--eval")),
    "perl": ("perl", ("-e", "-E")),
    "ruby": ("ruby", ("-e",)),
    "php": ("php", ("-r", "--run", "--process-begin", "--process-code", "--process-end")),
    "lua": ("lua", ("-e",)),
    "luajit": ("lua", ("-e",)),
    "Rscript": ("r", ("-e",)),
    "osascript": ("applescript", ("-e",)),
    "julia": ("julia", ("-e", "-E")),
    "tclsh": ("tcl", ()),
}
_VALUE_OPTIONS = {
    "python": {"-W", "-X", "-Q", "--check-hash-based-pycs"},
    "node": {"-r", "--require", "--import", "--loader", "-C", "--conditions"},
    "ruby": {"-I", "-r", "-C"},
    "perl": {"-I"},
    "php": {"-d", "-c", "-z"},
}
_CLUSTERS = {"python": "BbdEhiIOPqRsSuvx", "php": "nq"}
# Only the syntax is checked: nothing runs.
_CHECKS_ONLY = {"php": {"-l", "--syntax-check"}, "node": {"-c", "--check"}, "ruby": {"-c"}}
# To Python `-v` only means to say more.
_SHOWS = {("-v", each) for each in ("node", "perl", "php", "lua", "julia")}
_STDIN = re.compile(r"(-|/dev/(stdin|fd/\d+)|/proc/(self|\d+)/fd/\d+)\Z")
_MAX_SCRIPT = 64 * 1024
_SYSTEM = re.compile(
    r"/(usr/)?(local/)?s?bin/|/opt/(homebrew|conda|miniconda\d?)/|/nix/store/|/snap/bin/"
)


def interpreter(name: str) -> str | None:
    """`python3.11` is `python`. None for other programs."""
    stem = re.sub(r"[\d.]+$", "", name) or name
    return stem if stem in _INTERPRETERS else None


def is_system(program: str) -> bool:
    return "/" not in program or bool(_SYSTEM.match(program))


def shell(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    if "--version" in call.texts[:1]:
        return
    texts_of(call.name, call, case)
    given, rest = _shell_options(call, case)
    if "c" in given:
        for word in rest[:1]:
            text(word, call, case)
    elif rest and "s" not in given and not _STDIN.match(rest[0].text):
        script(rest[0], call.simple, case, shell_like=True)
    else:
        _shell_input(call, case)
        _open_file(rest[:1], call, case)


def _shell_options(call: Invocation, case: Case) -> tuple[str, list[Word]]:
    """The letters given, and the words behind the options. Each `o` of a cluster takes a word: `-euo pipefail`."""
    words, index, given = call.args, 0, ""
    while index < len(words) and (words[index].is_option or words[index].text.startswith("+")):
        flag = words[index].text
        index += 1
        if flag == "--":
            break
        if flag in {"--rcfile", "--init-file"} and index < len(words):
            script(words[index], call.simple, case, shell_like=True)
            index += 1
        elif not flag.startswith("--"):
            given += flag[1:] if flag.startswith("-") else ""
            index += flag.count("o") + flag.count("O")
    return given, words[index:]


def _open_file(named: list[Word], call: Invocation, case: Case) -> None:
    """Text from a file some earlier command has opened: `bash <&3`, `. /dev/fd/3`."""
    copied = any(each.operator == "<&" for each in call.simple.redirects)
    fed = call.simple.stdin or call.simple.feeder or call.simple.fed
    numbered = named and re.search(r"fd/[1-9]", named[0].text)
    if copied or (numbered and not fed):
        case.findings.opaque("piped-code", f"runs what an open file holds: `{call.shown}`")


def _shell_input(call: Invocation, case: Case) -> None:
    """What a shell without a script runs: a here-document, or what a pipe feeds it."""
    simple = call.simple
    for redirect in simple.redirects:
        if redirect.operator == "<":
            script(redirect.target, simple, case, shell_like=True)
            return
    if simple.stdin is not None:
        text(simple.stdin, call, case)
    if simple.feeder is not None:
        _piped(simple.feeder, call, case)


def _piped(feeder: Simple, call: Invocation, case: Case) -> None:
    if _downloaded(feeder, case):
        return
    printed = _printed(feeder)
    if printed is not None:
        case.text(printed, call.simple.cwds)
    elif feeder.argv and feeder.argv[0].text == "cat" and len(feeder.argv) > 1:
        for word in feeder.argv[1:]:
            script(word, call.simple, case, shell_like=True)
    else:
        case.findings.opaque("piped-code", "runs what another command prints")


def _printed(feeder: Simple) -> str | None:
    """Fixed text a command prints. Escapes of `printf` and `echo -e` are not decoded, so not fixed."""
    if (
        feeder.argv
        and feeder.argv[0].text == "cat"
        and len(feeder.argv) == 1
        and feeder.stdin is not None
    ):
        return None if feeder.stdin.dynamic else feeder.stdin.text
    if (
        feeder.feeder is not None
        or not feeder.argv
        or feeder.argv[0].text not in {"echo", "printf"}
    ):
        return None
    return known_output([feeder], "")


def _downloaded(feeder: Simple, case: Case) -> bool:
    """Whether a download stands anywhere up the pipe."""
    current: Simple | None = feeder
    while current is not None:
        if any(word.text.rpartition("/")[2] in DOWNLOADERS for word in current.argv):
            case.findings.at_least(Effect.NETWORK)
            case.findings.hazard("exec.remote", "runs code straight from the network")
            return True
        current = current.feeder
    return False


def source(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    if call.args and _STDIN.match(call.args[0].text):
        _shell_input(call, case)
        _open_file(call.args[:1], call, case)
    elif call.args:
        script(call.args[0], call.simple, case, shell_like=True)


def script(word: Word, simple: Simple, case: Case, *, shell_like: bool) -> None:
    """A file that is run: hashed, and read when it is a shell script."""
    case.findings.at_least(Effect.EXEC)
    remote(word, case)
    if re.match(r"https?://", word.text):
        case.findings.hazard("exec.remote", f"runs code straight from the network: {word.shown}")
        return
    paths = case.places.expand(word, simple.cwds)
    if paths is None or BENEATH in word.raw:
        case.findings.opaque(
            "dynamic-command", f"runs a file that is only known when it runs: `{word.shown}`"
        )
        return
    for path in paths:
        _script_file(path, simple, case, shell_like=shell_like)


def _script_file(path: str, simple: Simple, case: Case, *, shell_like: bool) -> None:
    real, shown = case.places.real(path), case.places.shown(path)
    case.findings.headline(f"runs {shown}")
    case.findings.detail(f"runs code: {shown}")
    named = recipes.by_name(os.path.basename(path))  # noqa: PTH119 - text
    if named:
        case.findings.hazard(named, f"runs {shown}, which by its name does this")
    if case.places.is_ours(path):
        case.findings.hazard("control-plane", f"runs {shown}, which belongs to Handfast")
    case.depends_on_file(path)
    if real in case.written:
        _fresh_script(real, shown, simple, case, shell_like=shell_like)
        return
    if not case.on_disk or not Path(real).is_file():
        if case.downloads:
            case.findings.hazard(
                "exec.remote", f"runs {shown}, which the same command may have downloaded"
            )
        return
    body = _read(real)
    if body is not None and (shell_like or re.match(r"#!.*\b(ba|z|da|k)?sh\b", body)):
        nested_text(body, shown, simple.cwds, case)


def _fresh_script(real: str, shown: str, simple: Simple, case: Case, *, shell_like: bool) -> None:
    body = case.written[real]
    if body is not None:
        if shell_like or re.match(r"#!.*\b(ba|z|da|k)?sh\b", body) or real.endswith(".sh"):
            nested_text(body, shown, simple.cwds, case, fresh=True)
        else:
            _fresh_code(body, real, shown, simple, case)
    elif case.downloads:
        case.findings.hazard(
            "exec.remote", f"runs {shown}, which the same command may have downloaded"
        )
    elif shell_like or simple.argv[0].text.endswith(shown):
        case.findings.opaque("written-then-run", f"runs {shown}, which the same command writes")


def _fresh_code(body: str, real: str, shown: str, simple: Simple, case: Case) -> None:
    """A program this very command wrote is the command's own text."""
    stem = interpreter(simple.argv[0].text.rpartition("/")[2])
    language = _INTERPRETERS[stem][0] if stem else inline.language_of(real)
    for reason in inline.examine_written(language, body, case.places, simple.cwds):
        case.findings.hazard(reason.hazard, f"{shown}: {reason.sentence}")


def _read(path: str) -> str | None:
    try:
        with Path(path).open("rb") as file:
            head = file.read(_MAX_SCRIPT)
    except OSError:
        return None
    return None if b"\0" in head[:1024] else head.decode("utf-8", "replace")


def nested_text(
    body: str, name: str, cwds: tuple[str, ...], case: Case, *, fresh: bool = False
) -> None:
    """Reads a script for hazards. What cannot be read in it is noted, not gated: running code is a fact.

    `fresh` says that this very command writes the script: then it is the command's own text.
    """
    if name in case.scripts or len(case.scripts) > 8:
        return
    case.scripts.add(name)
    outer, case.findings = case.findings, type(case.findings)()
    downloads, written = case.downloads, dict(case.written)
    try:
        case.text(body, cwds)
    finally:
        inner, case.findings = case.findings, outer
        case.downloads, case.written = downloads, written
    for hazard, sentence in inner.found():
        case.findings.hazard(hazard, f"{name}: {sentence}")
    for operand in inner.operands.values():
        case.findings.operand(operand)
    for name_ in inner.environments:
        case.findings.environment(name_)
    if fresh:
        for reason in inner.opaque_reasons:
            case.findings.opaque(reason, f"{name}, written here, cannot be read in full")
    elif inner.opaque_reasons:
        case.findings.detail(f"{name} holds commands that cannot be read in advance")


def interpret(call: Invocation, case: Case) -> None:
    """Options up to the script: code given inline, a module to run, or a question about the version."""
    stem = interpreter(call.name) or call.name
    language, code_options = _INTERPRETERS[stem]
    words, index, found = call.args, 0, False
    while index < len(words) and words[index].is_option:
        flag = words[index].text
        index += 1
        code = _code_of(words[index - 1], words[index : index + 1], code_options, language)
        if code is not None:
            inline_code(language, code, call, case)
            found = True
            if language == "python":
                return
            index += code in words[index : index + 1]
        elif language == "python" and (module := re.match(r"-[BbdEiIOPqRsSuvx]*m", flag)):
            rest = words[index - 1].cut(module.end())
            named = [rest, *words[index:]] if rest.raw else words[index:]
            case.findings.at_least(Effect.EXEC)
            case.argv([Word(_module(named[:1])), *named[1:]], call.simple)
            return
        elif flag in _CHECKS_ONLY.get(language, ()):
            case.findings.headline(f"checks: `{call.shown}`")
            return
        elif flag in _VALUE_OPTIONS.get(language, ()):
            index += 1
        elif re.fullmatch(r"-(V|-version|h|-help|VV|\?)", flag) or (flag, language) in _SHOWS:
            return
    case.findings.at_least(Effect.EXEC)
    _after_options(language, words, words[index:], call, case, found=found)


def _after_options(
    language: str, words: list[Word], rest: list[Word], call: Invocation, case: Case, *, found: bool
) -> None:
    in_place = re.compile(r"-(?!I)[a-z0-9]*i")
    if language in {"perl", "ruby"} and any(in_place.match(word.text) for word in words):
        for word in rest:
            case.writes(word, call.simple.cwds, "edits")
    elif rest and not found and not _STDIN.match(rest[0].text):
        script(rest[0], call.simple, case, shell_like=False)
        # `python manage.py migrate`: the script is a program with sub-commands of its own.
        name = rest[0].text.rpartition("/")[2]
        ship.check(Invocation(name, rest[0], rest[1:], call.simple), case)
    elif not found:
        interpreter_input(language, call, case)


def _module(words: list[Word]) -> str:
    """`-m pip` runs `pip`; a package's `__main__` goes by its last name part."""
    return words[0].text.removesuffix(".__main__") if words else ""


def _code_of(
    word: Word, following: list[Word], options: tuple[str, ...], language: str
) -> Word | None:
    """The code an option carries: attached (`-cprint(1)`), clustered (`-Bc`), or the next word."""
    flag = word.text
    for option in options:
        if flag == option:
            return following[0] if following else None
        if option.startswith("--") and flag.startswith(option + "="):
            return word.cut(len(option) + 1)
        if len(option) == 2 and not flag.startswith("--"):
            letter = option[1]
            cluster = _CLUSTERS.get(language, "lnpaws0i.bakF")
            match = re.match(rf"-[{cluster}]*{letter}", flag)
            if match:
                rest = word.cut(match.end())
                return rest if rest.raw else (following[0] if following else None)
    return None


def inline_code(language: str, word: Word, call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    remote(word, case)
    case.findings.headline(f"runs inline {language} code")
    case.findings.detail(f"runs inline {language} code (exec.inline)")
    if word.dynamic:
        case.findings.opaque(
            "dynamic-code", f"runs {language} code that is only known when it runs"
        )
    for reason in inline.examine(language, word.text, case.places, call.simple.cwds):
        case.findings.hazard(reason.hazard, reason.sentence)
        if reason.hazard != "exec.inline":
            case.findings.hazard("exec.inline", reason.sentence)


def interpreter_input(language: str, call: Invocation, case: Case) -> None:
    simple = call.simple
    for redirect in simple.redirects:
        if redirect.operator == "<":
            script(redirect.target, simple, case, shell_like=False)
            return
    if simple.stdin is not None:
        inline_code(language, simple.stdin, call, case)
    if simple.feeder is not None and not _downloaded(simple.feeder, case):
        printed = _printed(simple.feeder)
        if printed is not None:
            inline_code(language, Word(printed), call, case)
        elif (
            simple.feeder.argv
            and simple.feeder.argv[0].text == "cat"
            and len(simple.feeder.argv) > 1
        ):
            for word in simple.feeder.argv[1:]:
                script(word, simple, case, shell_like=False)
        else:
            case.findings.opaque("piped-code", "runs what another command prints")


HANDLERS = {**dict.fromkeys(SHELLS, shell), "source": source, ".": source}
