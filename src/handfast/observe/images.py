"""Container images a call runs: bound by digest where the call names one, else noted as a tag that may move.

No registry is asked. A tag is part of the canonical form as text, and its operand has no digest: the page says
that what it stands for may change between approval and run.
"""

from handfast.core.domain.action import MISSING, Operand
from handfast.observe.case import Case, Invocation
from handfast.observe.operands import IMAGE
from handfast.observe.options import names, parse
from handfast.observe.words import Word

_SHORT = "aceghlmpuvw"
_LONG = names(
    "--add-host --annotation --attach --blkio-weight --cap-add --cap-drop --cgroup-parent --cgroupns --cidfile"
    " --cpu-period --cpu-quota --cpu-shares --cpus --cpuset-cpus --cpuset-mems --device --dns --dns-search --domainname"
    " --entrypoint --env --env-file --expose --gpus --group-add --health-cmd --health-interval --health-retries"
    " --health-timeout --hostname --ip --ipc --isolation --label --label-file --link --log-driver --log-opt --mac-address"
    " --memory --memory-swap --mount --name --net --network --network-alias --oom-score-adj --pid --pids-limit --platform"
    " --publish --pull --restart --runtime --secret --security-opt --shm-size --stop-signal --stop-timeout --storage-opt"
    " --sysctl --tmpfs --ulimit --user --userns --uts --volume --volumes-from --workdir --context --config --host"
    " --log-level --file --project-name --profile --project-directory"
)
_COMPOSE = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
)
_TAKES_IMAGE = frozenset({"run", "create", "pull"})


def check(call: Invocation, case: Case) -> None:
    """docker, podman, nerdctl, and `docker-compose`: the image or the files that name images."""
    if call.name.endswith("-compose"):
        _compose(call, call.args, case)
        return
    words = parse(call.args, _SHORT, _LONG).operands
    if words and words[0].text in {"container", "image"}:
        words = words[1:]
    if not words:
        return
    if words[0].text == "compose":
        _compose(call, call.args, case)
    elif words[0].text in _TAKES_IMAGE and len(words) > 1:
        _image(words[1], case)


def _image(word: Word, case: Case) -> None:
    name = word.text
    if word.dynamic:
        case.findings.detail(f"the image {word.shown} is only known when it runs")
    elif "@sha256:" not in name:
        tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        case.findings.operand(Operand(IMAGE + tagged, MISSING))
        case.findings.detail(f"image {tagged}: a tag, which may stand for another image later")


def _compose(call: Invocation, args: list[Word], case: Case) -> None:
    chosen = parse(args, "fp", _LONG).all_values("-f", "--file")
    for cwd in call.simple.cwds:
        for path in [word.text for word in chosen] or _COMPOSE:
            case.depends_on_file(path if path.startswith("/") else f"{cwd}/{path}")
    case.findings.detail(
        "images are named in the compose file: tags may stand for other images later"
    )
