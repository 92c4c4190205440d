"""Whether bubblewrap works here: it is looked for, and really tried once.

User namespaces may be switched off by the kernel, by AppArmor, or by the container this runs in; only
trying tells.
"""

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import Final

from handfast.core.domain.inert import inert
from handfast.runner.proctable import LINUX

PROGRAM: Final = "bwrap"
NAMESPACES: Final = (
    "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
    "--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL",
)  # fmt: skip
# Without user namespaces of its own the agent reaches less of the kernel. Older versions lack it.
_STRICTER: Final = "--disable-userns"
_TRIED: Final = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp")  # noqa: S108 - inside
_TRY_S: Final = 20.0
_USERNS: Final = (
    "user namespaces are switched off here: see the sysctls `kernel.unprivileged_userns_clone`, "
    "`user.max_user_namespaces` and `kernel.apparmor_restrict_unprivileged_userns`, or the container's "
    "security profile"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """`program` is empty and `reason` says why when no sandbox can be made."""

    program: str = ""
    options: tuple[str, ...] = ()
    reason: str = ""

    @property
    def works(self) -> bool:
        return bool(self.program)


def probe(search_path: str) -> Probe:
    """Look on `search_path`, in the form of PATH. Each program found is tried once and the answer kept
    until this process ends."""
    if not LINUX:
        return Probe(reason="bubblewrap needs Linux")
    found = shutil.which(PROGRAM, path=search_path)
    if found is None:
        return Probe(reason="bubblewrap (`bwrap`) is not on PATH; install the package `bubblewrap`")
    return _tried(found)


@cache
def _tried(program: str) -> Probe:
    said = ""
    for options in ((*NAMESPACES, _STRICTER), NAMESPACES):
        command = [program, *options, *_TRIED, "--", "/bin/sh", "-c", ":"]
        try:
            ran = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_TRY_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Probe(reason=f"`{program}` could not be tried: {error}")
        if ran.returncode == 0:
            return Probe(program, options)
        said = inert(ran.stderr.decode("utf-8", "replace").strip(), 300, multiline=False)
    return Probe(reason=_words(program, said))


def _words(program: str, said: str) -> str:
    why = f"`{program}` was tried and failed: {said or 'no message'}"
    blocked = ("namespace", "uid map", "setting up", "RTM_NEWADDR", "Operation not permitted")
    return f"{why} ({_USERNS})" if any(word in said for word in blocked) else why
