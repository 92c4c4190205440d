"""What a reviewer may decide on a case, how much scrutiny that takes, and the form that comes back.

The form and its check are one table: what a page asks for, the server demands.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Wanted
from handfast.core.domain.handoff_votes import (
    DOUBT_ANSWERS,
    MUST_GIVE_REASON,
    REASON_FOR_RISK,
)
from handfast.core.domain.inert import inert
from handfast.core.policy.editing import MAX_CONTENT
from handfast.server.web.content_edit import ContentEdit, content_edit
from handfast.server.web.reading import Record, flag, mapping, records, text, texts
from handfast.server.web.scope_choice import ScopeChoice, read_scope, scope_choice, still_missing
from handfast.server.web.wording import WAITING

MAX_REASON = 10_000
MAX_COMMAND = 16_384
_APPROVING = frozenset({"approve", "approve_with_edits"})
CHANGED = "The case changed since this page was shown. It is now as below: look again, then decide."
_REASON_MISSING = {
    "request_changes": "Write what should change; the text goes to the agent.",
    "reject": "Write why you refuse; the agent and the record get it.",
}


@dataclass(frozen=True, slots=True)
class Verb:
    """One button. `following` says what happens next; `scrutinised` verbs check the form first."""

    kind: str
    label: str
    key: str
    tone: str
    following: str
    scrutinised: bool = False
    answer: str = ""

    @property
    def value(self) -> str:
        """What the button sends as `kind`; a fixed answer rides along after a colon."""
        return f"{self.kind}:{self.answer}" if self.answer else self.kind


@dataclass(frozen=True, slots=True)
class DecisionForm:
    """Everything the form shows. Empty `verbs` means that nothing is offered to this reader. `edits_files`: `edit` is
    of files of the change, which the page opens one by one. `unshown` says what an approval has to cover unseen,
    `content` the text of a file change that can be written anew."""

    handoff_id: str
    presented_digest: str
    verbs: tuple[Verb, ...]
    edit: Verb | None
    command: str
    command_is_hidden: bool
    asks_answer: bool
    reason_label: str
    reason_required: bool
    reason_need: str
    target: str
    reason: str = ""
    answer: str = ""
    edited_command: str = ""
    error: str = ""
    may_give: ScopeChoice | None = None
    passkey: bool = False
    edits_files: bool = False
    unshown: str = ""
    covers_unshown: bool = False
    content: ContentEdit | None = None


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """A checked form, ready for the engine. `edited_command` is None unless the verb is an edit of a command or of
    the text of a file change;
    `edits_files` says that it is one of files."""

    kind: str
    presented_digest: str
    reason: str
    answer: str
    edited_command: str | None
    scope: Wanted = AS_THE_RULE_SAYS
    edits_files: bool = False
    covers_unshown: bool = False


@dataclass(frozen=True, slots=True)
class FormProblem:
    """The form cannot be taken; `message` says what to do. What was typed is to be shown again."""

    message: str


def decision_form(
    handoff: Record, typed: Mapping[str, str] | None = None, error: str = ""
) -> DecisionForm | None:
    """The form of a waiting handoff; None when it is not waiting, frozen, or nothing is offered.

    `typed` (a form that was refused) fills the fields again. Where it was made for another form of the case, that
    is what the form says, whatever else was wrong with it: it now carries the digest of what is shown.
    """
    typed = typed or {}
    error = CHANGED if moved(handoff, typed) else error
    digest = text(handoff, "presented_digest")
    if text(handoff, "status") not in WAITING or not digest or flag(handoff, "frozen"):
        return None
    verbs = [_verb(handoff, kind) for kind in texts(handoff, "offered")]
    plain = [verb for verb in verbs if verb and verb.kind != "approve_with_edits"]
    if (
        text(handoff, "kind") == "escalation"
    ):  # an answer does there what changes do: one field is enough
        plain = [verb for verb in plain if verb.kind != "answer"]
    if text(handoff, "kind") == "doubt":
        plain = [*_doubt_verbs(), *(verb for verb in plain if verb.kind != "answer")]
    edit = next((verb for verb in verbs if verb and verb.kind == "approve_with_edits"), None)
    if not plain and edit is None:
        return None
    command, files = _command(handoff), edit is not None and text(handoff, "kind") == "review"
    content = content_edit(handoff) if edit and not files else None
    return DecisionForm(
        handoff_id=text(handoff, "handoff_id"),
        presented_digest=digest,
        verbs=tuple(plain),
        edit=edit if command or files or content else None,
        content=content,
        edits_files=files,
        command=command,
        command_is_hidden=inert(command, len(command)) != command,
        asks_answer=any(verb.kind == "answer" and not verb.answer for verb in plain),
        reason_label=_reason_label(handoff),
        reason_required=reason_required(handoff),
        reason_need=_reason_need(handoff, plain),
        target=typed_target(handoff),
        passkey=flag(mapping(handoff, "takes"), "passkey") is True,
        reason=typed.get("reason", ""),
        answer=typed.get("answer", ""),
        edited_command=typed.get("edited_command", ""),
        error=error,
        may_give=scope_choice(handoff, typed),
        unshown=unshown_words(handoff),
        covers_unshown=typed.get("covers_unshown") == "yes",
    )


def moved(handoff: Record, form: Mapping[str, str]) -> bool:
    """Whether the form was made for what the case is not any more. Asked before anything else of a form."""
    seen = form.get("presented_digest", "")
    return bool(seen) and seen != text(handoff, "presented_digest")


def reason_required(handoff: Record) -> bool:
    """Whether every decision on this case needs a written reason, and not only a refusal."""
    return text(handoff, "risk") in REASON_FOR_RISK and text(handoff, "kind") != "doubt"


def unshown_words(handoff: Record) -> str:
    """What of the change is too large to be shown with it, '' for nothing: an approval says that it covers that."""
    names = [text(item, "path") for item in records(mapping(handoff, "package"), "unshown", 20_000)]
    if not names:
        return ""
    first = ", ".join(inert(name, 100, multiline=False) for name in names[:2])
    more = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
    return f"Not shown whole with this case: {first}{more}."


def typed_target(handoff: Record) -> str:
    """What must be typed to approve a critical case; empty below critical.

    The named target of the action, else the branch it merges into, else the repository, else the first
    eight characters of the digest: always something that differs between cases.
    """
    if text(handoff, "risk") != "critical":
        return ""
    package = mapping(handoff, "package")
    review = mapping(package, "review")
    digest = text(handoff, "presented_digest").removeprefix("sha256:")[:8]
    named = text(mapping(package, "what_will_happen"), "target") or text(review, "target_branch")
    found = named or text(handoff, "repository").rstrip("/").rpartition("/")[2]
    return digest if not found or inert(found, 80, multiline=False) != found else found


def read_decision(handoff: Record, form: Mapping[str, str]) -> DecisionInput | FormProblem:
    """The submitted form, checked against the case as it is now.

    Line ends are made `\\n` again (browsers send CR LF). The engine checks the digest again, and who may decide.
    """
    if moved(handoff, form):
        return FormProblem(CHANGED)
    kind, _, fixed_answer = form.get("kind", "").partition(":")
    if kind not in texts(handoff, "offered"):
        return FormProblem("That decision is not offered for this case. Choose one of the buttons.")
    reason = _lines(form.get("reason", ""))
    answer = fixed_answer or _lines(form.get("answer", ""))
    problem = _problem(handoff, form, kind, reason, answer)
    if problem:
        return FormProblem(problem)
    edited = None
    files = kind == "approve_with_edits" and text(handoff, "kind") == "review"
    if kind == "approve_with_edits" and not files:
        edited, problem = _edited(handoff, form.get("edited_command", ""))
        if problem:
            return FormProblem(problem)
    scope = read_scope(handoff, form) if kind == "approve" else AS_THE_RULE_SAYS
    if isinstance(scope, str):
        return FormProblem(scope)
    seen = form.get("presented_digest", "")
    covers = form.get("covers_unshown") == "yes" and kind in _APPROVING
    return DecisionInput(kind, seen, reason, answer, edited, scope, files, covers)


def _problem(
    handoff: Record, form: Mapping[str, str], kind: str, reason: str, answer: str
) -> str | None:
    if not form.get("presented_digest"):
        return "The form lacks the digest of what was shown. Load the page again and decide there."
    if said := _too_long(handoff, form, reason, answer):
        return said
    if kind == "answer" and (missing := _answer_problem(handoff, answer)):
        return missing
    if kind in MUST_GIVE_REASON and not reason:
        return _REASON_MISSING[kind]
    if reason_required(handoff) and not reason:
        return f"This case has {text(handoff, 'risk')} risk. Write the reason for your decision."
    if (
        kind in _APPROVING
        and form.get("covers_unshown") != "yes"
        and (said := unshown_words(handoff))
    ):
        return f"{said} Read all changes; then say that your approval covers them, too."
    target = typed_target(handoff)
    if target and kind in _APPROVING and form.get("typed_target", "").strip() != target:
        return f"To approve a critical case, type `{target}` exactly as shown."
    return None


def _too_long(handoff: Record, form: Mapping[str, str], reason: str, answer: str) -> str:
    if len(reason) > MAX_REASON or len(answer) > MAX_REASON:
        return f"The text is too long: at most {MAX_REASON:,} characters."
    most = MAX_CONTENT if content_edit(handoff) else MAX_COMMAND
    if len(form.get("edited_command", "").replace("\r\n", "\n")) > most:
        return f"The edit is too long: at most {most:,} characters."
    return ""


def _edited(handoff: Record, typed: str) -> tuple[str, str]:
    """The command or the text as it should be, and what is wrong with it. Every character of a file counts."""
    content = content_edit(handoff)
    edited = typed.replace("\r\n", "\n") if content else _lines(typed)
    word = "text" if content else "command"
    if not edited.strip():
        return (
            edited,
            "Write the text instead." if content else "Write the command that may run instead.",
        )
    if edited == (content.text if content else _command(handoff)):
        return edited, f"The {word} is unchanged. Change it, or approve it as it is."
    return edited, ""


def _answer_problem(handoff: Record, answer: str) -> str | None:
    if text(handoff, "kind") == "doubt" and answer not in DOUBT_ANSWERS:
        return "Say whether it ran or did not run."
    return None if answer else "Write the answer; it goes to the agent."


def _lines(value: str) -> str:
    return value.replace("\r\n", "\n").strip()


def _command(handoff: Record) -> str:
    will = mapping(mapping(handoff, "package"), "what_will_happen")
    return text(will, "text") if text(will, "kind") == "command" else ""


def _reason_label(handoff: Record) -> str:
    match text(handoff, "kind"):
        case "review":
            return "Your note"
        case "doubt" | "question":
            return "How you know"
        case "escalation":
            return "Your words, for the agent and the record"
        case _:
            return "Your reason"


def _reason_need(handoff: Record, verbs: list[Verb]) -> str:
    if reason_required(handoff):
        return "needed"
    refusing = [verb.label.lower() for verb in verbs if verb.kind in MUST_GIVE_REASON]
    return f"needed to {' or '.join(refusing)}" if refusing else "optional"


def _doubt_verbs() -> list[Verb]:
    words = {
        "it_ran": ("It ran", "y", "Recorded as done. It is not repeated."),
        "it_did_not_run": (
            "It did not run",
            "n",
            "Recorded as not done. The agent may ask again; nothing runs by itself.",
        ),
    }
    return [
        Verb("answer", label, key, "plain", following, answer=answer)
        for answer, (label, key, following) in ((known, words[known]) for known in DOUBT_ANSWERS)
    ]


# what a person may say to a run that met a limit: label, key, tone, what follows
_LIMIT_VERBS = {
    "approve": ("Let it go on", "a", "good", "The run goes on, with the room stated on this page."),
    "request_changes": (
        "Go on with words",
        "c",
        "plain",
        "The agent gets your words first, and the run goes on.",
    ),
    "reject": (
        "Stop the run",
        "r",
        "bad",
        "Its calls with an effect are denied. What it did so far stays as it is.",
    ),
    "take_over": ("Take over", "t", "plain", "The agent stops. The worktree is yours."),
}


def _verb(handoff: Record, kind: str) -> Verb | None:
    if text(handoff, "kind") == "escalation":
        return Verb(kind, *_LIMIT_VERBS[kind]) if kind in _LIMIT_VERBS else None
    review = text(handoff, "kind") == "review"
    if review and text(handoff, "about") and kind in ("approve", "reject"):
        return _overridden(kind)
    match kind:
        case "approve":
            return _merge(handoff) if review else _approve(handoff)
        case "approve_with_edits" if review:
            return _merge_edited(handoff)
        case "approve_with_edits":
            after = "Your version is judged again by policy. Then only it may run, once."
            return Verb(kind, "Approve my version", "", "good", after, scrutinised=True)
        case "answer":
            return Verb(kind, "Send answer", "s", "good", "The agent goes on with your answer.")
        case "request_changes":
            nothing = "Nothing is merged" if review else "Nothing runs"
            after = f"{nothing}. Your text goes to the agent, which works on in the same session."
            return Verb(kind, "Request changes", "c", "plain", after)
        case "reject":
            after = (
                "Nothing is merged. The repository stays as it is."
                if review
                else "Nothing runs. The agent is told no, with your reason."
            )
            return Verb(kind, "Reject", "r", "bad", after)
        case "take_over":
            return Verb(kind, "Take over", "t", "plain", "The agent stops. The worktree is yours.")
        case _:
            return None


def _approve(handoff: Record) -> Verb:
    after = "Exactly this runs, once. Anything changed needs a new approval."
    if still_missing(handoff) > 1:
        after = "One of the approvals it takes. With the last one exactly this runs, once."
    return Verb("approve", "Approve", "a", "good", after, scrutinised=True)


def _overridden(kind: str) -> Verb:
    """A second person's word on an override: it runs nothing and undoes nothing."""
    after = "Recorded. Nothing runs."
    if kind == "approve":
        return Verb(kind, "It was right", "a", "good", after, scrutinised=True)
    return Verb(kind, "It was wrong", "r", "bad", f"{after} What was done is not undone.")


def _merge(handoff: Record) -> Verb:
    review = mapping(mapping(handoff, "package"), "review")
    commit, branch = text(review, "head_commit")[:12], text(review, "target_branch")
    if not commit or not branch:
        after = "Merges exactly the commit named on this page."
        return Verb("approve", "Approve and merge", "a", "good", after, scrutinised=True)
    after = f"Merges exactly commit {commit} into {branch}. Later commits are not covered."
    return Verb("approve", f"Merge into {branch}", "a", "good", after, scrutinised=True)


def _merge_edited(handoff: Record) -> Verb:
    review = mapping(mapping(handoff, "package"), "review")
    commit, branch = text(review, "head_commit")[:12], text(review, "target_branch")
    after = f"Your edit is judged by policy, committed in your name on top of {commit}, and merged into {branch}."
    return Verb("approve_with_edits", "Approve with edits", "e", "good", after, scrutinised=True)
