"""docker and podman: what a new container is given of this machine."""

import re

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.places import Place
from handfast.observe.words import COMMA, Word

_RIGHTS = re.compile(
    r"--privileged|--(pid|ipc|network|net|userns|uts)=host|--cap-add|--device|--security-opt"
)


def check(call: Invocation, case: Case) -> None:
    """A mount from outside the worktree lets the container write there, unless it is read-only."""
    texts = call.texts
    if call.texts[:1] == ["cp"] or call.texts[:2] == ["container", "cp"]:
        for word in [each for each in call.args[1:] if ":" not in each.text][-1:]:
            if word is call.args[-1]:
                case.writes(word, call.simple.cwds)
    if not {"run", "create", "exec"} & set(texts[:3]):
        return
    case.findings.at_least(Effect.EXEC)
    for index, word in enumerate(call.args):
        following = call.args[index + 1] if index + 1 < len(call.args) else Word("")
        if _RIGHTS.match(word.text):
            case.findings.hazard(
                "priv.sudo", f"gives a container rights over this machine: {word.shown}"
            )
        elif word.text in {"-v", "--volume", "--mount"}:
            _mount(following, call, case)
        elif word.text.startswith(("-v", "--volume=", "--mount=")):
            _mount(word.cut(word.text.find("=") + 1 or 2), call, case)


def _mount(word: Word, call: Invocation, case: Case) -> None:
    match = re.search(r"(?:^|,)(?:source|src)=([^,]*)", word.raw.replace(COMMA, ","))
    source = match.group(1) if match else word.raw.split(":", 1)[0]
    if re.search(r":ro\b|readonly", word.text) or not re.match(r"[/.~\ufdd0\ufdd7]", source):
        case.reads(Word(source), call.simple.cwds)
        return
    for path in case.places.expand(Word(source, word.sources), call.simple.cwds) or [""]:
        if not path or case.places.place(path) not in {
            Place.WORKTREE,
            Place.SCRATCH,
            Place.NOWHERE,
        }:
            case.findings.hazard(
                "fs.write-outside", f"gives a container {word.shown}, outside the worktree"
            )
