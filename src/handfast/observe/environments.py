"""Which environment a command is about: a cluster, a stage, a workspace, an account.

A client that names its target by an option of its own (`kubectl --context`, `helm --kube-context`) is told by
that alone. Everything else that deploys is told by an option, a variable or a word that names a stage. A
command that deploys and tells none gives `*`: it cannot be told. A folder, a login or a file that decides it
out of sight is never asked.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Final

from handfast.observe.case import Case, Invocation
from handfast.observe.options import names
from handfast.observe.words import Word

UNKNOWN: Final = "*"

# The options and variables by which a client names what it talks to.
_OWN: dict[str, frozenset[str]] = {}


def _add(programs: str, told_by: str) -> None:
    _OWN.update(dict.fromkeys(programs.split(), names(told_by)))


_add("kubectl oc k k9s istioctl flux velero", "--context --cluster --kube-context")
_add("helm", "--kube-context HELM_KUBECONTEXT")
_add("helmfile", "-e --environment --kube-context")
_add("argocd", "--argocd-context --kube-context --server")
_add("terraform tofu terragrunt", "TF_WORKSPACE")
_add("pulumi", "-s --stack")
_add("aws cdk", "--profile AWS_PROFILE AWS_DEFAULT_PROFILE")
_add("sam", "--profile --config-env AWS_PROFILE")
_add("copilot", "-e --env")
_add("chalice zappa", "--stage --profile AWS_PROFILE")
_add("gcloud", "--project --configuration CLOUDSDK_CORE_PROJECT CLOUDSDK_ACTIVE_CONFIG_NAME")
_add("bq", "--project_id CLOUDSDK_CORE_PROJECT")
_add("az", "--subscription")
_add("docker podman nerdctl", "-H --host -c --context DOCKER_HOST DOCKER_CONTEXT")
_add("heroku", "-a --app -r --remote HEROKU_APP")
_add("fly flyctl", "-a --app FLY_APP")
_add("vercel now", "--prod --target --environment")
_add("netlify", "--prod --alias")
_add("wrangler", "-e --env")
_add("firebase firebase-tools", "-P --project")
_add("kamal", "-d --destination")
_add("serverless sls sst", "-s --stage")
_add("railway render", "-e --environment")
_add("supabase", "--project-ref")
_add("ansible ansible-playbook", "-i --inventory --inventory-file")

_BEFORE_THE_VERB: Final = names("docker podman nerdctl")  # behind it `-c` is something else
_BARE: Final = {"--prod": "production"}
_OPTIONS: Final = names("--environment --env --stage --env-name --environment-name --target-env")
_VARIABLES: Final = names(
    "ENV ENVIRONMENT STAGE APP_ENV RAILS_ENV RACK_ENV NODE_ENV MIX_ENV DJANGO_ENV FLASK_ENV DEPLOY_ENV"
    " TARGET_ENV ASPNETCORE_ENVIRONMENT DOTNET_ENVIRONMENT"
)
_STAGES: Final = names(
    "prod production live preprod staging stage stg uat qa test testing preview sandbox dev development local"
    " demo canary"
)
_ASSIGNS: Final = re.compile(r"([A-Za-z_]\w*)=")
_FILE: Final = re.compile(r"/|\.(ini|ya?ml|json|tfvars|env|toml)\Z")


@contextmanager
def watched(call: Invocation, case: Case) -> Iterator[None]:
    """Reads one command with all that stands in it, and notes which environments it touches."""
    before, read = case.findings.deploys, case.deploys_read
    case.enclosing.append(call)
    try:
        yield
    finally:
        case.enclosing.pop()
    grown = case.findings.deploys - before
    if grown:
        for name in (*_told(call), *_stages(call)):
            if name != UNKNOWN:
                case.findings.environment(name)
    elif call.name in _OWN:
        for name in _own(call):
            case.findings.environment(name)
    raised = grown - (case.deploys_read - read)
    if raised > 0:  # by this command itself, not by one that stands in it
        case.deploys_read += raised
        if not any(map(_certain, (call, *case.enclosing))):
            case.findings.environment(UNKNOWN)


def _certain(call: Invocation) -> bool:
    told = tuple(_told(call))
    return bool(told) and UNKNOWN not in told


def _told(call: Invocation) -> Iterator[str]:
    """What the command says its target is."""
    return _own(call) if call.name in _OWN else _said(call)


def _own(call: Invocation) -> Iterator[str]:
    options = _OWN[call.name]
    words = list(_leading(call.args)) if call.name in _BEFORE_THE_VERB else call.args
    yield from _by_options(words, options)
    yield from _values(call.simple.assigns, options)


def _said(call: Invocation) -> Iterator[str]:
    yield from _by_options(call.args, _OPTIONS)
    yield from _values(call.simple.assigns, _VARIABLES)
    assigned = [
        (m.group(1), word.cut(m.end())) for word in call.args if (m := _ASSIGNS.match(word.text))
    ]
    yield from _values(assigned, _VARIABLES)
    yield from _stages(call)


def _leading(words: list[Word]) -> Iterator[Word]:
    """The options before the sub-command, with their values."""
    takes = False
    for word in words:
        if not word.is_option and not takes:
            return
        takes = word.is_option and "=" not in word.text
        yield word


def _by_options(words: list[Word], wanted: frozenset[str]) -> Iterator[str]:
    for word, following in zip_longest(words, words[1:]):
        if not word.is_option:
            continue
        name, equals, _ = word.text.partition("=")
        short = word.text[:2]
        if name in _BARE and name in wanted:
            yield _BARE[name]
        elif name in wanted:
            yield from _value(word.cut(len(name) + 1) if equals else following)
        elif not word.text.startswith("--") and short in wanted:
            yield from _value(word.cut(2))


def _values(assigned: list[tuple[str, Word]], wanted: frozenset[str]) -> Iterator[str]:
    for name, word in assigned:
        if name in wanted:
            yield from _value(word)


def _value(word: Word | None) -> Iterator[str]:
    """The name a value gives: the stage in a path or a file's name, else the whole."""
    if word is None or not word.fixed:
        yield UNKNOWN
    elif _FILE.search(word.text):
        yield from _stages_in(word.text) or (word.text,)
    elif word.text and "=" not in word.text:
        yield word.text


def _stages(call: Invocation) -> Iterator[str]:
    """Stages among the words: `cap production deploy`, `make deploy-prod`, `./deploy.sh staging`."""
    yield from _stages_in(call.program.text) if "/" in call.program.text else ()
    for word in call.args:
        yield from _stages_in(word.text)


def _stages_in(text: str) -> tuple[str, ...]:
    parts = re.split(r"[^A-Za-z]+", text.lower())
    return tuple(part for part in parts if part in _STAGES)
