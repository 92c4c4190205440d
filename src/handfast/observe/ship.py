"""Programs whose sub-commands publish, deploy, migrate, change a forge or hand out credentials."""

import re

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.servicetable import ENTRIES, PROGRAMS, by_options
from handfast.observe.shiptable import FORGE, READ

_ASKS = frozenset(
    ("--version", "--help", "--syntax-check", "--list-tasks", "--list-hosts", "--list-tags")
)


def check(call: Invocation, case: Case) -> bool:
    """Reports a hazard of the table; answers whether the program is in it."""
    whole = PROGRAMS.get(call.name)
    if whole is not None:
        if not set(call.texts) & _ASKS and call.texts[:1] not in (["version"], ["help"]):
            _report(*whole, call, case)
        return True
    for hazard, sentence in by_options(call.name, call.texts):
        case.findings.hazard(hazard, f"{sentence}: `{call.shown}`")
    entries = ENTRIES.get(call.name)
    if entries is None:
        return False
    words = " ".join(word.text for word in call.args if not word.is_option)
    _by_options(call, case)
    _framework_code(call, case)
    known = False
    for entry in entries:
        if entry.pattern.search(words):
            known = True
            if entry.hazard == READ:
                _looks(call, case)
            elif not _dry(call):
                _report(entry.hazard, entry.sentence, call, case)
            break
    _dynamic(call, case, known=known or all(entry.hazard != READ for entry in entries))
    return True


# Code handed to a framework's own interpreter.
_RUNS_CODE = {
    "manage.py": r"shell\w*",
    "django-admin": r"shell\w*",
    "flask": r"shell",
    "rails": r"runner|r|console|c|dbconsole",
    "artisan": r"tinker",
}
_CHANGES = re.compile(
    r"delete|destroy|drop|truncate|update|save|create|execute|system|remove|unlink|flush|subprocess|eval|exec|os\."
)


def _framework_code(call: Invocation, case: Case) -> None:
    pattern = _RUNS_CODE.get(call.name)
    words = [word for word in call.args if not word.is_option]
    if pattern is None or not words or not re.fullmatch(pattern, words[0].text):
        return
    if call.simple.fed or call.simple.stdin or call.simple.redirects:
        case.findings.opaque("unread-language", f"feeds code to `{call.shown}`")
    for word in call.args[1:]:
        if word.dynamic or _CHANGES.search(word.text):
            case.findings.hazard("exec.inline", f"runs code that changes data: `{call.shown}`")


# Options that say what the sub-command does not.
_OPTIONS: dict[str, tuple[str, str, str]] = {
    "docker": (r"-H|--host|--context|-c$", "deploy", "talks to another machine's containers"),
    "docker-compose": (r"--volumes|-v$|--rmi", "fs.write-outside", "deletes container data"),
    "kafka-topics": (r"--delete", "deploy", "deletes topics"),
    "kafka-topics.sh": (r"--delete", "deploy", "deletes topics"),
    "redis-cli": (r"--eval|--pipe|--cluster", "sql.destructive", "runs a script on a database"),
}


def _by_options(call: Invocation, case: Case) -> None:
    name = "docker" if call.name in {"podman", "nerdctl"} else call.name
    pattern, hazard, sentence = _OPTIONS.get(name, ("", "", ""))
    before = call.texts
    if name == "docker":
        end = next((i for i, word in enumerate(call.args) if not word.is_option), len(before))
        before = before[:end]
        _containers(call, case)
    if pattern and any(re.match(pattern, text) for text in before):
        _report(hazard, sentence, call, case)
    if name == "redis-cli" and (call.simple.fed or call.simple.redirects or call.simple.stdin):
        case.findings.opaque("sql-from-pipe", "redis-cli runs what it is fed")


def _containers(call: Invocation, case: Case) -> None:
    texts = call.texts
    if "--push" in texts and ("build" in texts or "bake" in texts):
        _report("publish", "pushes an image to a registry", call, case)
    if "down" in texts and any(text in {"-v", "--volumes"} or "--rmi" in text for text in texts):
        _report("fs.write-outside", "deletes container data", call, case)


def _looks(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.NETWORK)
    case.findings.headline(f"looks: `{call.shown}`")
    if call.name == "gh" and "api" in call.texts:
        flags = [
            text
            for text in call.texts
            if re.match(r"-[fFX]|--(method|field|raw-field|input)", text)
        ]
        if flags and not re.search(r"(-X|--method)[ =]?GET\b", " ".join(call.texts)):
            case.findings.hazard("forge.write", f"{FORGE}: `{call.shown}`")


def _dry(call: Invocation) -> bool:
    dry = any(
        re.fullmatch(r"--dry-?run(=(client|server|true))?|--help", text) for text in call.texts
    )
    return dry or call.texts[-1:] == ["-h"]


def _dynamic(call: Invocation, case: Case, *, known: bool) -> None:
    """Where the sub-command itself is unknown, anything of the table may happen."""
    words = [word for word in call.args if not word.is_option]
    unknown = words[:1] if known else words
    if any(word.dynamic for word in unknown) and call.name not in {"php", "rake", "migrate"}:
        case.findings.opaque(
            "dynamic-command", f"gives `{call.name}` a sub-command that is only known when it runs"
        )


def _report(hazard: str, sentence: str, call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.NETWORK)
    case.findings.hazard(hazard, f"{sentence}: `{call.shown}`")
    if hazard in {"publish", "deploy", "db.migrate"}:
        case.depends_on_tree()
        for word in call.args:
            if word.fixed and word.text.startswith(("/", "~")):
                for path in case.places.expand(word, call.simple.cwds) or ():
                    case.depends_on_file(path)
