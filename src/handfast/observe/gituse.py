"""One use of a git sub-command, and the configuration names that make git run something."""

import re
from dataclasses import dataclass

from handfast.observe.case import Case, Invocation
from handfast.observe.findings import Findings
from handfast.observe.options import Parsed

RUNS = re.compile(
    r"(?i)^(alias\.|core\.(pager|editor|sshcommand|hookspath|fsmonitor|askpass|gitproxy|alternaterefscommand|worktree)$"
    r"|diff\.|difftool\.|merge\.|mergetool\.|filter\.|credential\.|gpg\.|sequence\.|pager\.|protocol\.|include|remote\."
    r"|url\.|uploadpack\.|receive\.|browser\.|man\.|interactive\.|sendemail\.|submodule\.|http\..*proxy|init\.templatedir"
    r"|trailer\.|tar\.|instaweb\.|log\.showsignature|user\.signingkey)"
)


@dataclass(frozen=True, slots=True)
class GitUse:
    """`call.args` and `parsed` start after the sub-command `name`."""

    name: str
    call: Invocation
    parsed: Parsed
    case: Case

    @property
    def found(self) -> Findings:
        return self.case.findings

    @property
    def cwds(self) -> tuple[str, ...]:
        return self.call.simple.cwds
