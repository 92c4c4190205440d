"""The environment an agent is given: what programs need to work, and nothing of ours."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from handfast.core.domain.errors import UsageError

KEPT: Final = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TERM",
    "COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "CI",
    "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
    "[Hh][Tt][Tt][Pp]_[Pp][Rr][Oo][Xx][Yy]", "[Hh][Tt][Tt][Pp][Ss]_[Pp][Rr][Oo][Xx][Yy]",
    "[Aa][Ll][Ll]_[Pp][Rr][Oo][Xx][Yy]", "[Nn][Oo]_[Pp][Rr][Oo][Xx][Yy]",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "LD_LIBRARY_PATH", "MANPATH", "PKG_CONFIG_PATH",
    "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYENV_ROOT", "PYTHONUTF8", "PYTHONPATH",
    "NVM_DIR", "NVM_BIN", "VOLTA_HOME", "PNPM_HOME", "JAVA_HOME", "MAVEN_HOME", "GRADLE_USER_HOME",
    "GOPATH", "GOROOT", "GOCACHE", "GOFLAGS", "GOPROXY", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN",
    "GEM_HOME", "RBENV_ROOT", "DOTNET_ROOT", "ANDROID_HOME", "NIX_PATH", "NIX_PROFILES",
)  # fmt: skip
_OURS: Final = "HANDFAST_"
# Credentials of the operator and of the runner, by their printed form.
_OUR_SECRET: Final = re.compile(r"\bhf[or]_\w")


def scrubbed_environment(
    base: Mapping[str, str], keep: Iterable[str] = (), extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The part of `base` an agent may have, and `extra`.

    Kept are the names in `KEPT` and in `keep` (patterns as in a shell). Everything else goes: keys of
    clouds and forges, agent sockets, steering variables of git. Our own variables and any value with an
    operator's or runner's token never pass, whatever `keep` says. `extra` may set our variables, an
    agent's token among them. Raises UsageError for an operator's or runner's token in `extra`.
    """
    patterns = (*KEPT, *keep)
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith(_OURS)
        and any(fnmatchcase(name, pattern) for pattern in patterns)
        and not _OUR_SECRET.search(value)
    }
    for name, value in (extra or {}).items():
        if _OUR_SECRET.search(value):
            raise UsageError(
                f"the variable `{name}` would hand a token of the operator or the runner to an agent",
                code="secret_for_agent",
                hint="Pass an agent token (`hfa_…`).",
                details={"field": name},
            )
        kept[name] = value
    return kept
