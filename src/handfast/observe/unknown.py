"""A program without a rule of its own: what its words say it destroys, publishes, writes elsewhere or runs.

Running code is a fact. But no table of programs is ever complete, and words mean much the same to all of them:
`x delete`, `x publish`, `-o /etc/y`, `--eval CODE`.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.checktable import kinds_of
from handfast.observe.options import names
from handfast.observe.places import Place
from handfast.observe.words import Word

_FIRST_WORDS = 3
_DESTROYS = re.compile(
    r"(?:\w+[:-])*(?:delete(?:_?all)?|destroy|terminate|purge|wipe|erase|undefine|decommission|uninstall|unregister\w*|undeploy"
    r"|deprovision|flush_?all|nuke|teardown|rm|rmr|del)(?:[:_-]\w+)*\Z|(?:remove|delete)-all\S*\Z|(?:Delete|Terminate|Destroy)[A-Z]\w*\Z"
)
_PUBLISHES = re.compile(
    r"(?:\w+[:-])*(?:publish|unpublish|deploy|push|upload|submit|send)(?:[:_-]\w+)*\Z"
    r"|//\S*:(?:\w+[._-])*(?:push|publish|deploy|release|upload)\w*\Z"
)
_OPTION_DESTROYS = re.compile(
    r"--(?:[a-z]+-)*(?:delete|destroy|purge|uninstall|unregister|wipe|erase)(?:-\w+)*(?:=|\Z)"
)
_OPTION_PUBLISHES = re.compile(r"--(?:publish|upload|deploy|push)(?:-\w+)*(?:=|\Z)")
_HARMLESS = re.compile(r"(?:\w+[:-])*(?:test|lint|check|dry|docs?|no)[:_-]|--no-")
_CREDENTIAL_HELPER = re.compile(r"(?:docker|git)-credential-")


def look(call: Invocation, case: Case, *, known: bool, words: int) -> None:
    """`known` says that a table told already what the program's sub-commands do.

    Of the first `words` arguments only: behind them stands a command that was read by itself.
    """
    _inline(call, case)
    _outputs(call, case)
    if known or "/" in call.program.text:
        return
    if _CREDENTIAL_HELPER.match(call.name) and {"get", "list"} & set(call.texts):
        case.findings.hazard("secret.access", f"prints credentials: `{call.shown}`")
    if kinds_of([call.name, *call.texts]):
        return
    first = [word.text for word in call.args[:words] if not word.is_option][:_FIRST_WORDS]
    options = [word.text for word in call.args[:words] if word.is_option]
    if _says(_DESTROYS, first) or "remove" in first[1:] or _says(_OPTION_DESTROYS, options):
        case.findings.hazard("deploy", f"by its words destroys something: `{call.shown}`")
    if _says(_PUBLISHES, first[:2]) or _says(_OPTION_PUBLISHES, options):
        case.findings.hazard("publish", f"by its words sends something out: `{call.shown}`")


def _says(pattern: re.Pattern[str], texts: list[str]) -> bool:
    return any(pattern.match(text) and not _HARMLESS.match(text) for text in texts)


_EVAL = names(
    "-e -E --eval --expr --expression --execute --batch-string --batch --code -exec -eval"
)
_CODE = re.compile(r"[({;=].*[)};\"']|\b(?i:drop|delete|truncate|insert|update)\s+\w", re.DOTALL)


def _inline(call: Invocation, case: Case) -> None:
    """Code in a language nobody knows here, on the command line."""
    for name, value in _options(call):
        if name in _EVAL and (value.dynamic or _CODE.search(value.text)):
            case.findings.at_least(Effect.EXEC)
            case.findings.opaque(
                "unread-language", f"runs code in a language that is not read here: `{call.shown}`"
            )


def _options(call: Invocation) -> Iterator[tuple[str, Word]]:
    """Every option with the word that may be its value: attached by `=`, or the next one."""
    for flag, following in pairwise([*call.args, Word("")]):
        if flag.is_option:
            name, equals, _ = flag.text.partition("=")
            yield name, flag.cut(len(name) + 1) if equals else following


_OUTPUT = re.compile(
    r"(?i)-o\Z|--?(?:out|output|keyout|dist|dest|destination|target|save|archive|log|report|artifacts?|site|result)"
    r"(?:-?(?:dir|directory|file|path|folder|name))?\Z"
)
# Options of single programs that name what they write.
_OUTPUT_OF = {
    **dict.fromkeys(("pg_dump", "pg_dumpall"), names("-f --file")),
    **dict.fromkeys(("pg_basebackup", "initdb"), names("-D --pgdata")),
    "csplit": names("-f --prefix"),
    **dict.fromkeys(("javac", "kotlinc", "scalac", "mkdocs"), names("-d")),
    "mysqldump": names("-r"),
    "redis-cli": names("--rdb"),
    "ssh-keygen": names("-f"),
    "youtube-dl": names("-P --paths"),
    "yt-dlp": names("-P --paths"),
    "docker": names("--iidfile --cidfile --metadata-file"),
}
# Programs whose last operand, or whose every operand, is written.
_LAST = names(
    "sphinx-build ffmpeg convert magick objcopy wkhtmltopdf wkhtmltoimage sox qemu-img cwebp dwebp unrar rar gs ps2pdf pdftotext"
    " pdftk inkscape rsvg-convert mksquashfs genisoimage mkisofs makeself msgfmt tic iconvert potrace ogr2ogr"
)
_ALL = names(
    "nano pico micro joe jed mcedit kak rename prename perl-rename file-rename mmv strip ar ranlib mogrify exiftool crudini"
    " plutil mknod optipng jpegoptim virt-sparsify lzma lz4 brotli pigz lbzip2 pbzip2 setfattr chcon patchelf"
    " install_name_tool xdotool-save desktop-file-install"
)


def _outputs(call: Invocation, case: Case) -> None:
    """What lies outside and is named as an output. Inside the worktree it is what running code does."""
    named = _OUTPUT_OF.get(call.name, frozenset())
    written = [value for name, value in _options(call) if name in named or _OUTPUT.match(name)]
    written += [
        word.cut(2) for word in call.args if re.match(r"-o[/~.]", word.text)
    ]  # `-o/usr/bin/x`
    operands = [word for word in call.args if not word.is_option]
    if call.name in _ALL:
        written += operands
    elif call.name in _LAST:
        written += operands[-1:]
    for word in written:
        elsewhere(word, call, case)


def elsewhere(word: Word, call: Invocation, case: Case) -> None:
    """A path is written where it lies outside the worktree and is known."""
    for path in case.places.expand(word, call.simple.cwds) or ():
        if case.places.place(path) not in {Place.WORKTREE, Place.SCRATCH, Place.NOWHERE}:
            case.writes(word, call.simple.cwds)
            return
