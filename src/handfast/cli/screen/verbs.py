"""What a person may do to the case before them: the verbs of the page, what each asks for, and the call it makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from handfast.cli.screen.asking import Field
from handfast.client import calls, grant_calls, review_calls
from handfast.client.request import Request
from handfast.core.domain.errors import UsageError
from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS
from handfast.server.web.decision_form import (
    DecisionForm,
    DecisionInput,
    FormProblem,
    Verb,
    decision_form,
    read_decision,
)

Handoff = dict[str, Any]
APPROVING: Final = ("approve", "approve_with_edits")
# Beside the decisions: key, word, what it asks for.
OTHERS: Final = {
    "h": ("acknowledge", "I have it"),
    "o": ("route", "Ask others"),
    "z": ("snooze", "Put off"),
}


@dataclass(frozen=True, slots=True)
class Offered:
    """A verb of a case as it was shown: its digest goes with the decision."""

    handoff: Handoff
    form: DecisionForm
    verb: Verb


def offered(handoff: Handoff, key: str) -> Offered | None:
    """The decision behind a key; None where it is not offered for this case."""
    form = decision_form(handoff)
    if form is None:
        return None
    edits_text = form.edit is not None and not form.edits_files  # files are edited on the page
    verbs = [*form.verbs, *([form.edit] if form.edit and edits_text else [])]
    found = next((v for v in verbs if (v.key or "e") == key), None)
    return Offered(handoff, form, found) if found else None


def instead(handoff: Handoff | None, key: str) -> str:
    """What to say where a key leads to no decision here."""
    if handoff and key == "e" and "approve_with_edits" in handoff["offered"]:
        return (
            f"Files are edited on the page of the case, /handoffs/{handoff['handoff_id']}, or with "
            "`handfast handoff approve --edit-file`."
        )
    return "That is not offered for this case."


def fields(o: Offered, login: str) -> tuple[Field, ...]:
    """What has to be typed, the same that the page asks for, and who decides with their PIN."""
    form, kind = o.form, o.verb.kind
    found: list[Field] = []
    if kind == "approve_with_edits":
        command = "" if form.command_is_hidden else form.command
        label, shown = "Command that may run instead", command
        if form.content:
            label, shown = form.content.label, form.content.text
        found.append(Field("edited_command", label, "text", shown))
    if kind == "answer" and not o.verb.answer:
        found.append(Field("answer", "Your answer", "text"))
    found.append(Field("reason", f"{form.reason_label} ({form.reason_need})", "text"))
    if form.unshown and kind in APPROVING:
        whole = f"`handfast handoff changes {o.handoff['handoff_id']}` prints all of it"
        choice = (("no", ""), ("yes, it covers them", "yes"))
        found.append(
            Field(
                "covers_unshown",
                f"{form.unshown} {whole}. Approve them, too?",
                "choice",
                "",
                choice,
            )
        )
    if form.target and kind in APPROVING:
        found.append(Field("typed_target", f"To approve, type {form.target}"))
    if form.may_give and kind == "approve":
        give = form.may_give
        hours = tuple((f"{h} h from now", str(h)) for h in give.hours)
        spans = tuple((words, value) for value, words in give.spans)
        found += [
            Field("scope_times", f"Times, {give.words}", "line", give.times),
            Field("scope_span", "For", "choice", give.span, spans),
            Field("scope_hours", "Until", "choice", "", (("the usual time", ""), *hours)),
        ]
    return (*found, *proof(login))


def proof(login: str) -> tuple[Field, ...]:
    return Field("person", "Login", "line", login), Field("pin", "PIN", "secret")


def decision(o: Offered, typed: Mapping[str, str]) -> Request[Any]:
    """Raises UsageError with what to correct: checked by the page's own rules, then again by the server."""
    form = {**typed, "kind": o.verb.value, "presented_digest": o.form.presented_digest}
    given = read_decision(o.handoff, form)
    if isinstance(given, FormProblem):
        raise UsageError(given.message)
    _check_proof(typed)
    return _call(o, given, typed)


def _call(o: Offered, given: DecisionInput, typed: Mapping[str, str]) -> Request[Any]:
    request = calls.decide(
        str(o.handoff["handoff_id"]),
        given.kind,
        given.presented_digest,
        reason=given.reason,
        edited_call=given.edited_command,
        answer=given.answer,
        person=typed["person"],
        pin=typed["pin"],
    )
    if given.covers_unshown:
        request = review_calls.with_unshown(request)
    if given.scope == AS_THE_RULE_SAYS:
        return request
    wanted = given.scope
    scope: dict[str, object] = {
        "times": wanted.times,
        "span": wanted.span,
        "within_s": wanted.within_s,
    }
    return grant_calls.with_scope(request, {k: v for k, v in scope.items() if v})


def other_fields(what: str, login: str) -> tuple[Field, ...]:
    asked: dict[str, tuple[Field, ...]] = {
        "route": (
            Field("to", "Ask: team:NAME, person:LOGIN, reviewers"),
            Field("reason", "Why (needed)", "text"),
        ),
        "snooze": (Field("minutes", "Minutes to hide it from my inbox", "line", "30"),),
    }
    return (*asked.get(what, ()), *proof(login))


def other(handoff: Handoff, what: str, typed: Mapping[str, str]) -> Request[Any]:
    """None of these decides. Raises UsageError."""
    _check_proof(typed)
    body: dict[str, object] = {"person": typed["person"], "pin": typed["pin"]}
    if what == "route":
        body |= {"to": typed["to"].replace(",", " ").split(), "reason": typed["reason"]}
    if what == "snooze":
        minutes = typed["minutes"].strip()
        if not (minutes.isascii() and minutes.isdigit() and int(minutes)):
            raise UsageError("the minutes are not a whole number")
        body["for_s"] = int(minutes) * 60
    return calls.about_handoff(str(handoff["handoff_id"]), what, body)


def _check_proof(typed: Mapping[str, str]) -> None:
    if not typed.get("person") or not typed.get("pin"):
        raise UsageError("login and PIN are needed: a token alone decides nothing")
