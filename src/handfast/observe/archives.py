"""Programs that pack and unpack: what they write, and what their options run."""

import re

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.options import Parsed, parse
from handfast.observe.words import Word


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
    if any(re.match(r"-[a-zA-Z]*p|--pass-through", text) for text in call.texts):
        for word in [each for each in call.args if not each.is_option][-1:]:
            case.writes(word, call.simple.cwds)
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


HANDLERS = {
    **dict.fromkeys(("tar", "gtar", "bsdtar"), archive),
    "unzip": unzip,
    **dict.fromkeys(("zip", "7z", "7za", "7zz"), pack),
    **dict.fromkeys(("cpio", "pax"), unpack),
    "split": split,
    **dict.fromkeys(
        ("gzip", "gunzip", "bzip2", "bunzip2", "xz", "unxz", "zstd", "unzstd"), compress
    ),
}
