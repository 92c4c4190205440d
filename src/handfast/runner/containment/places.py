"""What of the file system an agent needs to see, and what it must not.

Everything can be read and nothing written, but:

- folders of programs' own state (`/run`, `/var`, `/tmp`) are empty ones, so no socket of a daemon is
  there: Docker, D-Bus, databases, keyrings, agents of ssh and gpg;
- in a home folder what begins with a dot is not there, unless it is a toolchain or a setting of git;
- the data folder, files with the runner's token, and known files with credentials are hidden.
"""

import os
import pwd
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from handfast.runner.containment.mounts import Mount, Seen

EMPTY: Final = ("/run", "/var", "/tmp")  # noqa: S108 - the sandbox's own
_BACK: Final = ("/var/lib/dpkg", "/run/current-system")
_SYSTEM_SECRETS: Final = (
    "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssh", "/etc/ssl/private",
    "/etc/krb5.keytab", "/etc/sudoers.d",
)  # fmt: skip
# Below a home folder: what programs are made of, and how git behaves.
_SHOWN: Final = (
    ".gitconfig", ".config/git", ".gitignore", ".gitignore_global", ".gitattributes", ".tool-versions",
    ".local/bin", ".local/lib", ".local/pipx", ".local/share/claude", ".local/share/fnm",
    ".local/share/mise", ".local/share/pipx", ".local/share/pnpm", ".local/share/uv",
    ".asdf", ".bun/bin", ".cargo", ".deno/bin", ".dotnet", ".nix-profile", ".nvm", ".pyenv", ".rbenv",
    ".rustup", ".rvm", ".sdkman", ".volta",
)  # fmt: skip
_STATE: Final = ("snap", "Library", "AppData")
# Hidden where a shown folder would hold them.
_SECRETS: Final = (
    ".ssh", ".aws", ".azure", ".config/gcloud", ".config/gh", ".config/hub", ".config/glab-cli", ".kube",
    ".docker", ".gnupg", ".netrc", ".git-credentials", ".config/git/credentials", ".npmrc", ".yarnrc.yml",
    ".pypirc", ".pgpass", ".my.cnf", ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials",
    ".m2/settings.xml", ".gradle/gradle.properties", ".terraform.d", ".vault-token", ".mozilla",
    ".config/google-chrome", ".config/chromium", ".local/share/keyrings", ".password-store",
    ".nuget/NuGet.Config",
)  # fmt: skip
# Variables that name folders or files of a toolchain.
_NAMED: Final = (
    "VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "NVM_DIR", "NVM_BIN", "VOLTA_HOME", "PNPM_HOME",
    "JAVA_HOME", "MAVEN_HOME", "GOROOT", "CARGO_HOME", "RUSTUP_HOME", "RBENV_ROOT", "DOTNET_ROOT",
    "ANDROID_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
)  # fmt: skip
_MAX_ENTRIES: Final = 1000
_PATHS: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "MANPATH")


def mounts(
    environment: Mapping[str, str], programs: Sequence[Path], hidden: Sequence[Path]
) -> list[Mount]:
    """From the weakest to the strongest. `programs` are files that must be there to be run, `hidden`
    what must not be seen wherever it lies."""
    homes = home_folders(environment)
    made = [Mount(Seen.READ, Path("/")), *(Mount(Seen.EMPTY, Path(name)) for name in EMPTY)]
    made += [mount for home in homes for mount in _home(home)]
    made += [Mount(Seen.READ, Path(name)) for name in _BACK if _there(Path(name))]
    made.append(Mount(Seen.EMPTY, Path("/var/tmp")))  # noqa: S108 - the sandbox's own
    emptied = [*homes, *map(Path, EMPTY)]
    for path in _toolchain(environment, programs):
        whole = any(each.is_relative_to(path) for each in emptied)
        if not whole and not _visible(path, made) and _there(path):
            made.append(Mount(Seen.READ, path))
    secrets = [home / name for home in homes for name in _SECRETS]
    known = [*secrets, *map(Path, _SYSTEM_SECRETS)]
    made += [Mount(Seen.HIDDEN, each) for each in known if _there(each) and _visible(each, made)]
    return [*made, *(Mount(Seen.HIDDEN, each.resolve()) for each in hidden if _there(each))]


def _visible(path: Path, made: Sequence[Mount]) -> bool:
    """Whether the deepest mount above it shows what is really there."""
    above = [mount for mount in made if path.is_relative_to(mount.path)]
    deepest = max(above, key=lambda mount: len(mount.path.parts))
    return deepest.seen in (Seen.READ, Seen.WRITE)


def home_folders(environment: Mapping[str, str]) -> list[Path]:
    """The agent's, the runner's and the account's; without `/`, which cannot be emptied."""
    named = (environment.get("HOME"), os.environ.get("HOME"), _account())
    found = {Path(name).resolve() for name in named if name}
    return sorted(path for path in found if path != Path("/") and path.is_dir())


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def _home(home: Path) -> Iterator[Mount]:
    yield Mount(Seen.EMPTY, home)
    named = [e for e in home.iterdir() if not e.name.startswith(".") and e.name not in _STATE]
    # Folders first: the command line of a sandbox is bounded.
    for entry in sorted(named, key=lambda e: (not e.is_dir(), e.name))[:_MAX_ENTRIES]:
        if entry.is_symlink():
            yield Mount(Seen.LINK, entry, entry.readlink())
        elif _there(entry) and (entry.is_dir() or entry.is_file()):
            yield Mount(Seen.READ, entry)
    for name in _SHOWN:
        if _there(home / name):
            yield Mount(Seen.READ, home / name)


def _toolchain(environment: Mapping[str, str], programs: Sequence[Path]) -> Iterator[Path]:
    for program in programs:
        yield from _around(program)
        yield from _around(program.resolve())
    for name in _NAMED:
        if environment.get(name):
            yield Path(environment[name])
    for name in _PATHS:
        yield from (Path(each) for each in environment.get(name, "").split(":") if each[:1] == "/")


def _around(program: Path) -> Iterator[Path]:
    """A virtual environment as a whole, else the folder the program is in; the program alone where that
    folder must stay hidden."""
    bin_folder = program.parent
    made = bin_folder.parent
    yield made if (made / "pyvenv.cfg").is_file() else bin_folder
    yield program


def program_file(name: str, environment: Mapping[str, str], cwd: Path) -> Path | None:
    """The file that is run for a command's first word."""
    if "/" in name:
        return cwd / name
    found = shutil.which(name, path=environment.get("PATH", os.defpath))
    return Path(found) if found else None


def _there(path: Path) -> bool:
    """Whether it exists and may be read by us; what we cannot read needs no hiding."""
    return os.access(path, os.R_OK)
