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
    if "cp" in texts[:2] and call.args[-1:] and ":" not in texts[-1]:
        case.writes(call.args[-1], call.simple.cwds)
    if "build" in texts[:2]:
        _build(call, case)
    if not {"run", "create", "exec"} & set(texts[:3]):
        return
    case.findings.at_least(Effect.EXEC)
    for index, word in enumerate(call.args):
        following = call.args[index + 1] if index + 1 < len(call.args) else Word("")
        if _RIGHTS.match(word.text):
            case.findings.hazard(
                "priv.sudo", f"gives a container rights over this machine: {word.shown}"
            )
        elif word.text in {"--volume", "--mount"}:
            _mount(following, call, case)
        elif word.text.startswith(("--volume=", "--mount=")):
            _mount(word.cut(word.text.find("=") + 1), call, case)
        elif cluster := re.match(r"-[ditPq]*v", word.text):
            attached = word.cut(cluster.end())
            _mount(attached if attached.raw else following, call, case)


def _build(call: Invocation, case: Case) -> None:
    """A build from an address runs its code; some outputs of a build are a push."""
    for word in call.args:
        if re.match(r"(https?|git|ssh)://|git@|github\.com/", word.text):
            case.findings.hazard("exec.remote", f"builds code from the network: {word.shown}")
        if "type=registry" in word.text or "push=true" in word.text:
            case.findings.hazard("publish", f"pushes an image to a registry: `{call.shown}`")


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
