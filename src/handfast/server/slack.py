"""What Slack sends: buttons and `/handfast link CODE`. One address for both: `/slack`.

Nothing in a request is believed before Slack's signature and time stamp are checked, and each request is
taken once, on whichever server. Who pressed a button is the person who linked that account; an e-mail
address says nothing. A press decides only what policy lets be decided in a chat; the engine checks again.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response

from handfast.core.domain.errors import (
    AdapterError,
    HandfastError,
    InvalidTransition,
    NotPermitted,
    RejectedError,
    UsageError,
)
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.notice import Notice
from handfast.engine.channels import slack
from handfast.engine.chat import CHAT_AUTH
from handfast.engine.contacts import SLACK_ID
from handfast.engine.facade import Engine
from handfast.engine.handoffs import Decision
from handfast.engine.ids import new_secret
from handfast.engine.kernel import Result, Unit
from handfast.engine.outlets import SlackApp
from handfast.server.identity import EngineDep

router = APIRouter()
MAX_BODY = 200_000
log = logging.getLogger("handfast.slack")


@router.post("/slack")
async def take_slack(request: Request, engine: EngineDep) -> Response:
    """Answers within the three seconds that Slack waits. Refusals of the signature are 403 and recorded."""
    body = await request.body()
    stamp = request.headers.get("x-slack-request-timestamp", "")
    signature = request.headers.get("x-slack-signature", "")
    address = request.client.host if request.client else ""
    refused = partial(request.app.state.tries.take, f"slack {address}")
    return await to_thread.run_sync(_take, engine, body, (stamp, signature), refused)


def _take(
    engine: Engine, body: bytes, signed: tuple[str, str], refused: Callable[[], None]
) -> Response:
    """`refused` counts a refusal, so that nobody fills the log with them. Raises LimitExceeded for too many."""
    stamp, signature = signed
    app = engine.contacts.outlets().slack
    if app is None or len(body) > MAX_BODY:
        raise NotPermitted("Slack is not set up here", code="not_from_slack")
    try:
        now_s = engine.kernel.clock.now().timestamp()
        slack.check_signature(app.signing_secret, stamp, body, signature, now_s)
        _once(engine, signature)
    except RejectedError as e:
        refused()
        engine.access.refused(Actor("anonymous"), "take_slack", e.message)
        e.recorded = True
        raise
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if "payload" in form:
        return _pressed(engine, app, _json(form["payload"]))
    return _command(engine, app, form)


def _once(engine: Engine, signature: str) -> None:
    """A signature that was taken before is a replay, whichever server took it. Raises InvalidTransition."""
    mine = new_secret()
    key = "slack:" + hashlib.sha256(signature.encode("utf-8", "replace")).hexdigest()

    def work(_: Unit) -> Result:
        return {"by": mine}

    if engine.kernel.run(SYSTEM, work, key=key, command=[])["by"] != mine:
        raise InvalidTransition("this request of Slack was taken already", code="replayed")


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError("`payload` is not a JSON object")
    return found


# -- `/handfast link CODE`


def _command(engine: Engine, app: SlackApp, form: Mapping[str, str]) -> Response:
    team, user = _account(app, form.get("team_id"), form.get("user_id"))
    word, _, code = form.get("text", "").strip().partition(" ")
    if word != "link" or not code.strip():
        return _only_you("Use `/handfast link CODE`, with a code from Settings, Notifications.")
    try:
        person_id = engine.contacts.link_slack(code.strip()[:200], team, user)
    except RejectedError as e:
        engine.access.refused(Actor("anonymous"), "link_slack", e.message)
        return _only_you(f"{e.message}. {e.hint}")
    return _only_you(
        f"This Slack account is linked to {engine.people.name(person_id)} in Handfast."
    )


def _only_you(text: str) -> Response:
    """Slack shows it to the one who typed the command."""
    return JSONResponse({"response_type": "ephemeral", "text": slack.escaped(text)})


# -- buttons


def _pressed(engine: Engine, app: SlackApp, payload: Mapping[str, Any]) -> Response:
    """Decide, and tell only the one who pressed what came of it."""
    user, action = _of(payload, "user"), _first(payload.get("actions"))
    team = _of(payload, "team").get("id") or user.get("team_id")
    account = _account(app, team, user.get("id"))
    if payload.get("type") != "block_actions" or action.get("action_id") != slack.APPROVE:
        return Response(status_code=200)  # the button that opens the case, and what we do not offer
    said = _decide(engine, account, str(action.get("value", "")))
    channel = str(_of(payload, "container").get("channel_id", ""))
    # After the answer, for which Slack waits three seconds only.
    told = BackgroundTask(_tell, app, channel, account[1], said)
    return Response(status_code=200, background=told)


def _tell(app: SlackApp, channel: str, user: str, text: str) -> None:
    """What is decided stays decided, told or not; the message itself is changed by the relay."""
    try:
        slack.tell(app, channel, user, text)
    except (AdapterError, UsageError, OSError) as e:
        log.warning("Slack could not be told what came of a button: %s", e)


def _decide(engine: Engine, account: tuple[str, str], value: str) -> str:
    """What to tell who pressed the button."""
    person_id = engine.contacts.of_slack(*account)
    if not person_id:
        engine.access.refused(Actor("anonymous"), "decide_in_slack", "the account is not linked")
        return (
            "Nothing was decided: this Slack account is linked to nobody. In Handfast, get a code under "
            "Settings, Notifications, and type /handfast link CODE here."
        )
    actor = Actor("person", person_id, CHAT_AUTH)
    notice_id, _, digest = value.partition(" ")
    try:
        notice = engine.kernel.state(Notice, notice_id)
        if notice.person_id != person_id:
            raise NotPermitted("this message was sent to somebody else")
        decision = Decision(notice.handoff_id, DecisionKind.APPROVE, digest)
        done = engine.handoffs.decide(actor, decision)
    except HandfastError as e:
        engine.access.refused(actor, "decide_in_slack", e.message)
        return f"Nothing was decided: {e.message}. {e.hint}".strip()
    name = engine.people.name(person_id)
    if done["decided"]:
        return f"Approved by {name}, exactly as shown."
    return f"{name} approved. It takes more than one approval."


def _account(app: SlackApp, team: object, user: object) -> tuple[str, str]:
    """Raises NotPermitted for ids that are none, and for another workspace than the operator's."""
    found = (str(team or ""), str(user or ""))
    if not all(SLACK_ID.fullmatch(part) for part in found):
        raise NotPermitted("the request names no Slack account", code="not_from_slack")
    if app.team and found[0] != app.team:
        raise NotPermitted("the request is of another workspace", code="not_from_slack")
    return found


def _of(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = payload.get(name)
    return found if isinstance(found, dict) else {}


def _first(value: object) -> Mapping[str, Any]:
    item = value[0] if isinstance(value, list) and value else None
    return cast("Mapping[str, Any]", item) if isinstance(item, dict) else {}
