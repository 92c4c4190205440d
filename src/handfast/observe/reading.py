"""Programs that only look. Everything not named here counts as running code."""

from handfast.core.domain.action import Effect
from handfast.observe import control, printed
from handfast.observe.case import Case, Invocation
from handfast.observe.options import names, parse
from handfast.observe.words import Word

# The content of their operands is read.
_CONTENT = names(
    "cat head tail wc nl tac rev paste join comm diff cmp column fold fmt cut tr jq od hexdump strings less more bat"
    " base64 base32 cksum md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum md5 shasum zcat xzcat bzcat"
    " zless zmore view colordiff sdiff expand unexpand pr iconv readelf nm objdump size zipinfo delta vimdiff tokei"
    " cloc scc xmllint pygmentize hd"
)
# The first operand is a pattern, the rest are read.
_PATTERN = names("grep egrep fgrep zgrep rg ag ack bzgrep xzgrep")
# Names, sizes, states: not the content.
_LOOK = names(
    "ls dir vdir stat file du df pwd echo printf true false : test [ [[ which type whereis whatis basename dirname"
    " realpath readlink date cal uname whoami id groups hostname uptime ps free nproc lscpu arch locale getconf tput"
    " clear seq sleep man help history jobs wait cd pushd popd dirs shopt return exit break continue shift ulimit umask"
    " hash let read mapfile readarray getopts unset local times disown bg fg netstat ss pgrep pidof lsof top htop"
    " vmstat iostat lsblk tty stty expr bc factor yes logname users who w last apropos info mountpoint lsb_release"
    " sw_vers getent nslookup tree xxd uniq sort sed gsed awk gawk mawk nawk find gfind fd fdfind xargs gxargs"
    " export declare typeset readonly set env printenv command alias unalias trap time nohup timeout gtimeout nice"
    " builtin kill look envsubst ldconfig errno ifconfig ip cygpath tsort shuf numfmt"
)
# Of these, the ones that print what is in their operands.
_SORTING = names("sort uniq xxd shuf tsort")
_VERSION = frozenset({"--version", "-V", "version", "--help", "-version", "-v"})
# Package managers and tools: sub-commands that only look, here or at a registry.
_SUBCOMMANDS = {
    "pip": "list show freeze check index config debug help inspect cache",
    "pip3": "list show freeze check index config debug help inspect cache",
    "npm": "ls list view info outdated why explain root prefix bin help search audit ping version",
    "pnpm": "ls list why outdated",
    "yarn": "list why info outdated",
    "cargo": "tree metadata search version locate-project pkgid",
    "go": "list env version doc vet",
    "docker": "ps images logs inspect version info top stats history port diff events search",
    "podman": "ps images logs inspect version info",
    "brew": "list info search outdated deps",
    "apt": "list show search policy",
    "apt-cache": "show search policy",
    "dpkg": "-l -L -s -S",
    "rpm": "-q -qa -qi -ql",
    "conda": "list info search",
    "uv": "tree version",
    "poetry": "show check version env",
    "gem": "list search info",
    "bundle": "list show info outdated check",
    "rustup": "show",
    "java": "-version",
    "javac": "-version",
    "tmux": "ls list-sessions capture-pane",
}


def check(call: Invocation, case: Case) -> bool:
    """Whether the call only looks; secrets among what it reads are reported."""
    name = call.name
    if name in _CONTENT or name in _PATTERN:
        first = name in _PATTERN or name == "jq"
        operands = parse(call.args, "efmABCd" if name in _PATTERN else "").operands
        explicit = any(text.startswith(("-e", "--regexp", "-f", "--file")) for text in call.texts)
        for word in operands[1:] if first and not explicit else operands:
            case.reads(word, call.simple.cwds)
        printed.secrets(call, case)
        for word in parse(call.args, "fto").all_values("-o") if name == "iconv" else ():
            case.writes(word, call.simple.cwds)
        case.findings.headline(f"reads: `{call.shown}`")
        return True
    if name in _LOOK:
        printed.secrets(call, case)
        for word in parse(call.args, "o").all_values("-o") if name == "shuf" else ():
            case.writes(word, call.simple.cwds)
        for word in parse(call.args).operands if name in _SORTING else ():
            case.reads(word, call.simple.cwds)
        if name in {"echo", "printf"}:
            control.shown_secrets(call, case)
        if (
            name in {"declare", "typeset", "export", "set"}
            and _dumps(call)
            and not control.narrowed(call)
        ):
            case.findings.hazard(
                "secret.access", "prints every variable, tokens included", undo=True
            )
        case.findings.headline(f"looks: `{call.shown}`")
        return True
    return _only_asks(call, case)


def _dumps(call: Invocation) -> bool:
    operands = [word for word in call.args if not word.is_option]
    flags = {word.text for word in call.args if word.is_option}
    if call.name == "set":
        return not call.args
    return not operands and not flags & {"-f", "-F"}


def _only_asks(call: Invocation, case: Case) -> bool:
    texts = call.texts
    if len(texts) == 1 and texts[0] in _VERSION and call.args[0].fixed:
        case.findings.headline(f"looks: `{call.shown}`")
        return True
    allowed = _SUBCOMMANDS.get(call.name, "").split()
    first = next((word for word in call.args), Word(""))
    if first.fixed and first.text in allowed:
        if call.name in {"npm", "pip", "brew", "cargo", "gem", "docker"}:
            case.findings.at_least(Effect.READ)
        case.findings.headline(f"looks: `{call.shown}`")
        return True
    return False


# Arguments of other programs that name a file to be read: `--file=.env`, `@.env`, `.env`.
_NOT_READ = names(
    "rm mkdir touch rmdir chmod chown git find gfind ls kill mktemp unlink cd test [ stat"
)


def _sources(call: Invocation) -> list[Word]:
    """The arguments without the place a copy is made at."""
    if call.name == "yq":  # the first word is an expression
        first = next((word for word in call.args if not word.is_option), None)
        return [word for word in call.args if word is not first]
    copies = call.name in {"cp", "mv", "install", "rsync", "scp", "gcp", "gmv"}
    return call.args[:-1] if copies and "-t" not in call.texts else call.args


def mentions(call: Invocation, case: Case) -> None:
    """Secrets and our own files named in the arguments of any program that is not a known reader."""
    if (
        call.name in _NOT_READ
        or call.name in _LOOK
        or call.name in _CONTENT
        or call.name in _PATTERN
    ):
        return
    for word in _sources(call):
        text = word.raw
        start = max(text.find("="), text.find("@"))
        for candidate in (word, word.cut(start + 1)) if start >= 0 else (word,):
            if (
                candidate.raw
                and not candidate.is_option
                and "\n" not in candidate.raw
                and len(candidate.raw) < 400
            ):
                case.reads(candidate, call.simple.cwds)
