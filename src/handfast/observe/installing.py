"""Installers: code from an address of the caller's choice, and folders outside that are installed into.

A registry's package is the everyday case and passes. A URL, a repository or another index is code straight from the
network.
"""

import re
from itertools import pairwise

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.commands import Simple
from handfast.observe.network import is_loopback
from handfast.observe.options import names
from handfast.observe.unknown import elsewhere
from handfast.observe.words import Word

# What the sub-command must be for the rest to be an installation; "" where the program does nothing else.
_SUBCOMMANDS = {
    **dict.fromkeys(("pip", "pip3", "pipx"), names("install download wheel run inject")),
    "uv": names("pip add tool run"),
    **dict.fromkeys(("npm", "pnpm", "yarn", "bun"), names("install i add ci exec x dlx global")),
    **dict.fromkeys(("npx", "bunx", "uvx", "easy_install"), names("")),
    **dict.fromkeys(
        ("poetry", "pdm", "hatch", "rye", "cargo", "gem", "conda", "mamba"), names("add install")
    ),
    **dict.fromkeys(("apt", "apt-get", "dnf", "yum", "zypper"), names("install")),
    "rpm": names(""),
}
_ADDRESS = re.compile(
    r"(?:[\w.-]+ ?@ ?)?(?:(?:git|hg|svn|bzr)\+\w+:|https?:|ftp:|git:|git@|github:|gitlab:|bitbucket:|gist:|ssh:)"
)
_INDEX = names(
    "-i --index-url --extra-index-url --index --default-index --registry --find-links -f -c --channel --source --git --package -p --from --spec --with"
)
_REGISTRY = re.compile(
    r"https?://(?:[\w.-]+@)?(?:pypi\.org|files\.pythonhosted\.org|test\.pypi\.org|download\.pytorch\.org|data\.pyg\.org"
    r"|registry\.npmjs\.org|registry\.yarnpkg\.com|registry\.npmmirror\.com|npm\.pkg\.github\.com|rubygems\.org|conda\.anaconda\.org"
    r"|pypi\.tuna\.tsinghua\.edu\.cn|mirrors\.aliyun\.com|pypi\.nvidia\.com)(?:[:/]|\Z)"
)
_SOURCES = names(
    "PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS UV_INDEX_URL UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL npm_config_registry NPM_CONFIG_REGISTRY YARN_REGISTRY GOPROXY"
)


def check(call: Invocation, case: Case) -> None:
    wanted = _SUBCOMMANDS.get(call.name)
    operands = [word.text for word in call.args if not word.is_option]
    if wanted is None or (wanted and not set(operands[:2]) & wanted):
        return
    for flag, value in pairwise([*call.args, Word("")]):
        name, equals, _ = flag.text.partition("=")
        if flag.is_option and name in _INDEX:
            _address(flag.cut(len(name) + 1) if equals else value, case)
        elif name in {"--prefix", "-C", "--dir", "--cwd", "--modules-folder"} and call.name in {
            "npm",
            "pnpm",
            "yarn",
            "bun",
        }:
            elsewhere(flag.cut(len(name) + 1) if equals else value, call, case)
    for word in call.args:
        if not word.is_option:
            _address(word, case)


def _address(word: Word, case: Case) -> None:
    if not _ADDRESS.match(word.text) or _REGISTRY.match(word.text):
        return
    host = re.match(r".*?://(?:[^/@]*@)?([^/:]+)", word.text)
    if host and is_loopback(host.group(1)):
        return
    case.findings.at_least(Effect.NETWORK)
    case.findings.hazard("exec.remote", f"installs code from an address, no registry: {word.shown}")


def sources(simple: Simple, case: Case) -> None:
    """Variables that say where installers take packages from."""
    for name, value in simple.assigns:
        if name not in _SOURCES or not _ADDRESS.match(value.text) or _REGISTRY.match(value.text):
            continue
        if name != "GOPROXY" or not re.match(
            r"https://(proxy\.golang\.org|goproxy\.(io|cn))", value.text
        ):
            case.findings.hazard("exec.remote", f"takes packages from another place: {value.shown}")
