"""What of a call a reviewer may edit, and whether the edited action asks for more than the one it came from, so that
its editor cannot wave it through."""

from collections.abc import Mapping

from handfast.core.domain.action import Judgement, Risk, Verdict
from handfast.core.domain.requirement import Requirement, covers

# What of a file change may be edited. Its canonical form holds a digest of it, so the text is kept apart.
CONTENT = {"Write": "content", "Edit": "new_string"}
MAX_CONTENT = 60_000
_RISKS = [risk.value for risk in Risk]


def asks_more(risk: str, requirement: Requirement, edited: Judgement, takes: Requirement) -> bool:
    """Whether the approval of an action of this `risk` and `requirement` is not enough for the edited one,
    of which policy asks what it `takes`, owners by name.

    It is enough when policy allows the edited action by itself, or when whoever may approve the original
    together may also approve the edited one together.
    """
    if edited.verdict is Verdict.ALLOW:
        return False
    if edited.verdict is Verdict.DENY or risk not in _RISKS:
        return True
    if _RISKS.index(edited.risk.value) > _RISKS.index(risk):
        return True
    return not covers(requirement, takes)


def edited_part(tool: str, arguments: Mapping[str, object]) -> str:
    """The argument of a call that a reviewer may write anew: its command, or the text of a file change; '' where it
    has none."""
    part = "command" if "command" in arguments else CONTENT.get(tool, "")
    return part if isinstance(arguments.get(part), str) else ""
