"""What the hook answers Claude Code, always in words it cannot mistake for 'no opinion'.

An empty object, an empty body or an unknown word would let the call run. Every PreToolUse therefore gets
an explicit decision; the reason goes to the model, so it says what to do next.
"""

from dataclasses import dataclass
from typing import Any, Final

from handfast.core.domain.inert import inert
from handfast.runner.hooks.payload import PRE_TOOL_USE

MAX_REASON: Final = 6_000
NOTHING_TO_SAY: Final[dict[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Decision:
    """`word` is allow, deny or defer."""

    word: str
    reason: str = ""

    def body(self) -> dict[str, Any]:
        said: dict[str, Any] = {"hookEventName": PRE_TOOL_USE, "permissionDecision": self.word}
        if self.reason:
            said["permissionDecisionReason"] = inert(self.reason, MAX_REASON)
        return {"hookSpecificOutput": said}


def allow(reason: str = "") -> Decision:
    return Decision("allow", reason)


def deny(reason: str) -> Decision:
    return Decision("deny", reason)


def defer(reason: str) -> Decision:
    return Decision("defer", reason)


def refused(reason: str, handoff_id: str) -> Decision:
    """Policy or a person said no."""
    about = f" (handoff `{handoff_id}`)" if handoff_id else ""
    return deny(
        f"Handfast denies this call{about}: {reason.rstrip('.')}. It was not run. Do not retry it or look "
        "for another way to the same effect; go on with other work or ask the user."
    )


def edited(handoff_id: str, tool: str, command: str, content: str = "") -> Decision:
    """Approved with edits: only the edited call may run, and the agent must issue it itself.

    `content` is the text of an edited file change, for which `command` names the file.
    """
    if content:
        part = "new_string" if tool == "Edit" else "content"
        return deny(
            f"A reviewer approved this only with edits (handoff `{handoff_id}`). The original was not run. "
            f"Issue exactly this {tool} for `{command}`: everything as before, with this `{part}` and nothing "
            f"else:\n{content}"
        )
    return deny(
        f"A reviewer approved this only with edits (handoff `{handoff_id}`). The original was not run. "
        f"Issue exactly this {tool} command, in the same folder and without any change:\n{command}"
    )


def words(said: str, handoff_id: str) -> Decision:
    """A person let the run go on, and has something to say to the agent first."""
    return deny(
        f"A person looked at this run (handoff `{handoff_id}`), lets it go on, and says:\n{said}\n"
        "The call was not run. Take these words into account, then go on; make the call again if it still "
        "fits."
    )


def waiting(handoff_id: str, link: str, later: str = "") -> Decision:
    """`later` says that it waits for a checkpoint: then nobody was asked yet, and the agent need not stop."""
    if later:
        return deny(
            f"Nobody was asked yet about this call: it is handoff `{handoff_id}` ({link}). {later} It was not run. Tell "
            "the user that it waits, and issue the same call again, unchanged, once they say it is decided. Do not look "
            "for another way to the same effect."
        )
    return deny(
        f"Nobody has decided yet: this call waits for a person as handoff `{handoff_id}` ({link}). "
        "It was not run. Stop here, tell the user that you wait for this decision, and issue the same call "
        "again, unchanged, once they say it is decided. Do not look for another way to the same effect."
    )


def waits_in_subagent(handoff_id: str, link: str, later: str = "") -> Decision:
    said = f" {later}" if later else ""
    return deny(
        f"This call waits for a person as handoff `{handoff_id}` ({link}).{said} It was not run. Finish what you can "
        "do without it, and report to the agent that started you that this call waits and must be issued "
        "again, unchanged, after the decision."
    )


def behind_another(handoff_id: str, link: str) -> Decision:
    return deny(
        f"An earlier call of this turn waits for a person as handoff `{handoff_id}` ({link}). Until then nothing "
        "with an effect runs. This call was not run; issue it again after that decision."
    )


def not_in_plan_mode(reason: str) -> Decision:
    return deny(
        f"This call needs a person's approval ({reason.rstrip('.')}), and in plan mode it would not run even "
        "when approved. It was not run, and nobody was asked. Put it into the plan."
    )


def control_lost(why: str) -> Decision:
    return deny(
        f"Handfast cannot check this call: {why.rstrip('.')}. Without a check nothing with an effect runs; reading "
        "goes on. It was not run. Tell the user (`handfast doctor` shows what is wrong), then issue the same "
        "call again, unchanged."
    )
