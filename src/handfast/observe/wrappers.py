"""Programs that run another command: the command behind them is what matters."""

import re
import shlex
from dataclasses import replace

from handfast.core.domain.action import Effect
from handfast.observe import control
from handfast.observe.case import Case, Invocation
from handfast.observe.commands import Simple
from handfast.observe.options import names
from handfast.observe.words import BENEATH, DYNAMIC, Word

# Options that take a value, and how many words stand before the command.
_PLAIN: dict[str, tuple[str, int]] = {
    "nohup": ("", 0),
    "time": ("-f -o --format --output", 0),
    "nice": ("-n --adjustment", 0),
    "ionice": ("-c -n -p --class --classdata", 0),
    "timeout": ("-s -k --signal --kill-after", 1),
    "gtimeout": ("-s -k --signal --kill-after", 1),
    "stdbuf": ("-i -o -e --input --output --error", 0),
    "setsid": ("", 0),
    "builtin": ("", 0),
    "exec": ("-a", 0),
    "busybox": ("", 0),
    "toybox": ("", 0),
    "unbuffer": ("", 0),
    "chronic": ("", 0),
    "caffeinate": ("-t -w", 0),
    "strace": ("-e -o -p -s -u -P", 0),
    "ltrace": ("-e -o -p -s -u", 0),
    "coproc": ("", 0),
    "flock": ("-w -E --timeout --conflict-exit-code", 1),
    "ssh-agent": ("-t -a", 0),
    "npx": ("-p --package -w --workspace", 0),
    "bunx": ("", 0),
    "uvx": ("--from --with --python -p --with-editable", 0),
    "xvfb-run": ("-n -s -e -f --server-num --server-args --error-file", 0),
    "dbus-run-session": ("", 0),
    "firejail": ("", 0),
    "bwrap": ("", 0),
    "arch": ("", 0),
    "setarch": ("", 1),
    "taskset": ("-p", 1),
    "chrt": ("-T -P -D", 1),
    "numactl": ("-m -N -C", 0),
    "entr": ("", 0),
}
_PRIVILEGED: dict[str, tuple[str, int]] = {
    "sudo": ("-u -g -h -p -C -T -r -t -R -D --user --group --host --prompt --chdir", 0),
    "doas": ("-u -C", 0),
    "pkexec": ("--user", 0),
    "run0": ("-u --user", 0),
    "chroot": ("", 1),
    "nsenter": ("-t --target", 0),
    "unshare": ("", 0),
}
_CONTAINER_OPTIONS = (
    "-u -w -e -v -p --name --user --workdir --env --volume --publish --network --entrypoint --mount"
    " --env-file --platform --memory -m --cpus --hostname -h --add-host --label -l"
)
# Programs whose sub-command runs another program.
_RUNNERS: dict[str, dict[str, tuple[str, int]]] = {
    "uv": {
        "run": ("--with --python -p --group --extra --package --project --directory --env-file", 0)
    },
    "poetry": {"run": ("", 0)},
    "pipenv": {"run": ("", 0)},
    "pdm": {"run": ("-p --project", 0)},
    "hatch": {"run": ("-e --env", 0)},
    "rye": {"run": ("", 0)},
    "pixi": {"run": ("-e --environment", 0)},
    "conda": {"run": ("-n -p --name --prefix --cwd", 0)},
    "mamba": {"run": ("-n -p --name --prefix --cwd", 0)},
    "pipx": {"run": ("--spec --python", 0)},
    "bundle": {"exec": ("", 0)},
    "npm": {"exec": ("-p --package", 0), "x": ("-p --package", 0), "explore": ("", 1)},
    "pnpm": {"exec": ("", 0), "dlx": ("--package", 0)},
    "yarn": {"exec": ("", 0), "dlx": ("-p", 0)},
    "bun": {"x": ("", 0)},
    "direnv": {"exec": ("", 1)},
    "doppler": {"run": ("-p -c --project --config", 0)},
    "op": {"run": ("--env-file", 0)},
    "aws-vault": {"exec": ("", 1)},
    "docker": {
        "exec": ("-u -w -e --user --workdir --env --env-file", 1),
        "run": (
            _CONTAINER_OPTIONS,
            1,
        ),
    },
    "kubectl": {"exec": ("-n -c --namespace --container --context", 1)},
}
_RUNNERS["podman"] = _RUNNERS["docker"]
_RUNNERS["nerdctl"] = _RUNNERS["docker"]
_RUNNERS["oc"] = _RUNNERS["kubectl"]


# Options of these whose value is a shell text.
_TEXT_OPTIONS = {
    "flock": ("-c", "--command"),
    "entr": ("-s",),
    "npx": ("-c", "--call"),
    "npm": ("-c", "--call"),
    "doppler": ("--command",),
    "fish": ("--command", "-C", "--init-command"),
}


def texts_of(program: str, call: Invocation, case: Case) -> None:
    """The shell texts options carry, as the next word or attached to a long one."""
    options = _TEXT_OPTIONS.get(program, ())
    for flag, value in zip(call.args, [*call.args[1:], Word("")], strict=False):
        name, equals, _ = flag.text.partition("=")
        if name in options:
            text(flag.cut(len(name) + 1) if equals else value, call, case)


def behind(words: list[Word], with_value: str, skipped: int) -> list[list[Word]]:
    """The command behind a wrapper's options. Where an unknown option may take a value: both readings."""
    known = frozenset(with_value.split())
    index, unsure = 0, False
    while index < len(words) and (words[index].is_option or _is_number(words[index])):
        text = words[index].text
        index += 1
        unsure = False
        if text == "--":
            break
        if text in known:
            index += 1
        elif "=" not in text and not any(text.startswith(k) for k in known if len(k) == 2):
            unsure = True
    start = index + skipped
    readings = [words[start:]]
    if unsure and start + 1 < len(words):
        readings.append(words[start + 1 :])
    return [reading[1:] if reading and reading[0].text == "--" else reading for reading in readings]


def _is_number(word: Word) -> bool:
    return word.text.startswith("+") and word.text[1:].isdigit()


def plain(call: Invocation, case: Case) -> None:
    options, skipped = _PLAIN[call.name]
    texts_of(call.name, call, case)
    for reading in behind(call.args, options, skipped):
        case.argv(reading, call.simple)


def privileged(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    options, skipped = _PRIVILEGED[call.name]
    if call.name != "unshare":
        case.findings.hazard("priv.sudo", f"runs as another user: `{call.shown}`")
    for reading in behind(call.args, options, skipped):
        case.argv(reading, call.simple)


def substitute_user(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    case.findings.hazard("priv.sudo", f"runs as another user: `{call.shown}`")
    for index, flag in enumerate(call.args):
        if flag.text in {"-c", "--command"} and index + 1 < len(call.args):
            text(call.args[index + 1], call, case)
        elif flag.text.startswith("--command="):
            text(flag.cut(len("--command=")), call, case)
        elif flag.text == "--":
            case.argv(call.args[index + 1 :], call.simple)


def runner(call: Invocation, case: Case) -> bool:
    """Handles `uv run …` and its like; answers whether this was one."""
    table = _RUNNERS.get(call.name)
    if table is None:
        return False
    position = next((i for i, word in enumerate(call.args) if not word.is_option), None)
    if position is None:
        return False
    entry = table.get(call.args[position].text)
    if entry is None:
        return False
    case.findings.at_least(Effect.EXEC)
    texts_of(call.name, call, case)
    for reading in behind(call.args[position + 1 :], *entry):
        case.argv(reading, replace(call.simple, stdin=call.simple.stdin))
    return True


def environment(call: Invocation, case: Case) -> None:
    """`env [options] [NAME=value…] [command…]`; without a command it prints everything it holds."""
    words = call.args
    index = 0
    while index < len(words):
        text_ = words[index].text
        if text_ in {"-u", "--unset", "-C", "--chdir"}:
            index += 2
        elif split := re.match(r"-[iv0]*S|--split-string(=|\Z)", text_):
            attached, rest = text_[split.end() :], [w.text for w in words[index + 1 :]]
            case.text(_split_first([attached, *rest] if attached else rest), call.simple.cwds)
            return
        elif words[index].is_option or text_ == "-":
            index += 1
        elif re.match(r"[A-Za-z_][^=\s]*=", text_):
            name, _, _ = text_.partition("=")
            assign = replace(
                call.simple,
                argv=[],
                redirects=[],
                assigns=[(name, words[index].cut(len(name) + 1))],
            )
            case.run_simple(case, assign)
            index += 1
        else:
            case.argv(words[index:], call.simple)
            return
    if control.narrowed(call):
        return
    case.findings.hazard(
        "secret.access", "prints every environment variable, tokens included", undo=True
    )


def _split_first(words: list[str]) -> str:
    """What `env -S` runs, as shell text: it splits the first word only, the others stay whole."""
    return " ".join([*words[:1], *map(shlex.quote, words[1:])])


def command(call: Invocation, case: Case) -> None:
    if any(word.text in {"-v", "-V"} for word in call.args[:1]):
        return
    case.argv([word for word in call.args if word.text not in {"-p", "--"}], call.simple)


def text(word: Word, call: Invocation, case: Case) -> None:
    """A command given as one text, as in `bash -c TEXT`."""
    if word.dynamic:
        remote(word, case)
        case.findings.opaque(
            "dynamic-code", f"runs text that is only known when it runs: `{word.shown[:80]}`"
        )
    # Where nothing can be looked up, what a search finds must not look like one named file.
    found = "./" if case.on_disk else "./*/"
    case.text(word.text.replace(BENEATH, found), call.simple.cwds, _input(call))


def _input(call: Invocation) -> Simple | None:
    """The command whose input a nested shell passes on, where it has one and did not read it itself."""
    simple = call.simple
    fed = simple.fed or simple.stdin is not None
    fed = fed or any(each.operator == "<" for each in simple.redirects)
    return simple if fed and call.name != "trap" else None


DOWNLOADERS = names(
    "curl wget fetch aria2c axel lynx w3m links GET lwp-request http https xh nc ncat netcat socat ssh dig host"
)


def remote(word: Word, case: Case) -> None:
    if any(source.rpartition("/")[2] in DOWNLOADERS for source in word.sources):
        case.findings.at_least(Effect.NETWORK)
        case.findings.hazard("exec.remote", "runs code straight from the network")


def evaluate(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    words = call.args[1:] if call.texts[:1] == ["--"] else call.args
    joined = Word(
        " ".join(word.text for word in words), tuple(s for w in call.args for s in w.sources)
    )
    text(joined, call, case)


def trap(call: Invocation, case: Case) -> None:
    words = call.args[1:] if call.texts[:1] == ["--"] else call.args
    if words and words[0].text not in {"-", "-l", "-p"} and not words[0].text.isdigit():
        text(words[0], call, case)


def define_alias(call: Invocation, case: Case) -> None:
    """Whether later commands go through the alias depends on the shell, so they cannot be read."""
    if any("=" in word.text for word in call.args):
        case.findings.opaque("alias", "gives a command another name")
    for word in call.args:
        if "=" in word.text:
            case.text(word.text.partition("=")[2], call.simple.cwds)


def _fed_lines(call: Invocation) -> bool:
    """Whether lines from elsewhere go into the commands."""
    simple = call.simple
    listed = any(re.match(r"-a|--arg-file|::::", each) for each in call.texts)
    return listed or simple.fed or simple.stdin is not None or bool(simple.redirects)


def joined(call: Invocation, case: Case) -> None:
    """watch, parallel, script, tmux: their words are put together and given to a shell."""
    case.findings.at_least(Effect.EXEC)
    words = [word for word in call.args if word.text not in {":::", "::::", "--"}]
    if call.name == "expect" and (call.simple.fed or call.simple.stdin is not None):
        case.findings.opaque("unread-language", f"feeds a script to `{call.shown}`")
    if call.name in {"parallel", "sem"} and _fed_lines(call):
        words.append(Word(DYNAMIC))
    for index, each in enumerate(words):
        equals = each.text.find("=") + 1 if each.is_option else 0
        word = each.cut(equals) if equals else each
        if " " in word.text or word.dynamic:
            text(word, call, case)
        elif not word.is_option:
            rest = Word(" ".join(each.text for each in words[index:]), word.sources)
            text(rest, call, case)


HANDLERS = {
    **dict.fromkeys(_PLAIN, plain),
    **dict.fromkeys(
        ("watch", "parallel", "sem", "script", "tmux", "screen", "expect", "setpriv"), joined
    ),
    **dict.fromkeys(_PRIVILEGED, privileged),
    "su": substitute_user,
    "runuser": substitute_user,
    "env": environment,
    "command": command,
    "eval": evaluate,
    "trap": trap,
    "alias": define_alias,
}
