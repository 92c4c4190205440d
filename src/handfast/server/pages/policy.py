"""What the rules are, what they were, and why a recorded action was stopped. Nothing is changed here."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Query
from starlette.responses import Response

from handfast.core.domain import events_policy as e
from handfast.core.domain.errors import HandfastError, NotFound, StorageError
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_work import BodyRef
from handfast.engine.explaining import explain
from handfast.engine.kernel import Result
from handfast.engine.policies import policy_id
from handfast.server.pages.reader import Reader, ReaderDep, page
from handfast.server.web.policy_view import explain_page, policy_page, versions_page

router = APIRouter(prefix="/policy")
VERSIONS = 200
Scope = Annotated[str, Query(max_length=4096)]
HandoffId = Annotated[str, Query(alias="handoff", max_length=80)]


@router.get("")
def show_policy(reader: ReaderDep) -> Response:
    return page("policy.html", policy_page(_scopes(reader), shell=reader.shell(), now=_now(reader)))


@router.get("/versions")
def show_versions(reader: ReaderDep, scope: Scope) -> Response:
    """What was proposed, published and declined for one scope, newest first. Raises NotFound."""
    reader.knows_policy(scope)
    stream = f"policy/{policy_id(scope)}"
    row = reader.engine.kernel.store.load(stream)
    if row is None:
        raise NotFound(f"no policy was ever proposed for `{scope[:200]}`")
    after = max(0, row.version - VERSIONS)
    rows = reader.engine.kernel.store.events(stream=stream, after=after, limit=VERSIONS)
    entries = [_entry(reader, each.data) for each in reversed(rows)]
    return page(
        "policy_versions.html",
        versions_page(scope, entries, shell=reader.shell(), now=_now(reader)),
    )


@router.get("/explain")
def show_explanation(reader: ReaderDep, handoff_id: HandoffId = "") -> Response:
    """Why the action of a handoff was stopped, and what the policy of now says. Refused, the form again."""
    engine, given = reader.engine, handoff_id.strip().rpartition("/")[2]
    try:
        reader.knows("handoff", given)
        found = explain(engine.kernel, engine.policies, given)
        ask = str(engine.views.handoff(given)["ask"])
    except HandfastError as error:
        if isinstance(error, StorageError):
            raise
        problem = reader.problem(error)
        context = policy_page(
            _scopes(reader),
            shell=reader.shell(),
            now=_now(reader),
            error=f"{problem.detail[:1].upper()}{problem.detail[1:]}. {problem.hint}".strip(),
            typed=given,
        )
        return page("policy.html", context, problem.status)
    return page(
        "policy_explain.html", explain_page(found, ask, shell=reader.shell(), now=_now(reader))
    )


def _now(reader: Reader) -> datetime:
    return reader.engine.kernel.clock.now()


def _scopes(reader: Reader) -> list[Result]:
    policies, sight = reader.engine.policies, reader.sight
    found = []
    for scope in policies.list():
        name = str(scope["scope"])
        if not reader.engine.knowing.sees_policy(sight, name):
            continue
        approver = str(scope["approver"])
        found.append(
            {
                **scope,
                "approver_name": reader.engine.people.name(approver) if approver else "",
                "in_force": _text(reader, scope["in_force"], policies.text(name)),
                "proposed": _text(reader, scope["proposed"], policies.text(name, proposed=True)),
            }
        )
    return found


def _text(reader: Reader, found: object, text: str) -> Result:
    if not isinstance(found, Mapping):
        return {}
    author = str(found["author"])
    return {**found, "author_name": reader.engine.people.name(author), "text": text}


def _entry(reader: Reader, data: bytes) -> Result:
    recorded = from_bytes(data)
    event = cast("e.PolicyProposed | e.PolicyPublished | e.PolicyDeclined", recorded.event)
    body = event.text if isinstance(event, e.PolicyProposed) else None
    return {
        "at": recorded.at,
        "type": recorded.type,
        "who": reader.engine.people.name(recorded.actor.id) if recorded.actor.id else "",
        "digest": event.digest,
        "text": _opened(reader, body),
        "reason": _opened(reader, None if isinstance(event, e.PolicyPublished) else event.reason),
    }


def _opened(reader: Reader, ref: BodyRef | None) -> str:
    return reader.engine.views.text(ref)
