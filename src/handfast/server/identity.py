"""From a request to its caller: a token or a session, checked against the table of permits."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from handfast.core.domain.errors import NotFound, NotPermitted, StaleEpoch
from handfast.core.domain.events import Actor
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.person import Person
from handfast.core.domain.run import Run
from handfast.engine.access import Principal, PrincipalKind
from handfast.engine.facade import Engine
from handfast.server.permits import PERMITS, Permit
from handfast.server.problems import UNAUTHENTICATED
from handfast.server.sessions import COOKIE, check_origin, session_secret

MANAGERS = frozenset({"operator", "admin"})
# What the OpenAPI document says of credentials. The check itself is `caller`.
bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token of an agent (`hfa_`), of a runner (`hfr_`) or of the operator (`hfo_`).",
)
cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="session", description="A signed-in person."
)
SCHEMES = {each.scheme_name: each.model for each in (bearer, cookie)}


async def engine_of(request: Request) -> Engine:
    return cast("Engine", request.app.state.engine)


EngineDep = Annotated[Engine, Depends(engine_of)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and the checks that depend on what the call is about."""

    engine: Engine
    principal: Principal
    operation: str

    @property
    def actor(self) -> Actor:
        return self.principal.actor

    @property
    def is_agent(self) -> bool:
        return self.principal.kind is PrincipalKind.AGENT

    @property
    def is_runner(self) -> bool:
        return self.principal.kind is PrincipalKind.RUNNER

    def run(self, run_id: str) -> Run:
        """A run this caller may see. Raises NotFound, for another agent's run too."""
        run = self.engine.kernel.state(Run, run_id)
        if self.is_agent and run.agent_id != self.principal.id:
            raise NotFound(f"there is no run `{run_id}`")
        return run

    def holds(self, run_id: str) -> str:
        """The run's id, for the runner that holds it. Raises StaleEpoch for another registered runner; one
        with the data folder's own token proves itself by the epoch alone."""
        runner_id = self.principal.runner_id
        run = self.run(run_id)
        if runner_id and run.command is not None and run.runner_id != runner_id:
            raise StaleEpoch(
                f"run `{run_id}` is not held by this runner",
                hint="Another runner has it: stop the agent and let go of the run.",
                details={"epoch": run.epoch},
            )
        return run_id

    def handoff(self, handoff_id: str) -> Handoff:
        """A handoff this caller may see. Raises NotFound, for another agent's handoff too."""
        handoff = self.engine.kernel.state(Handoff, handoff_id)
        if self.is_agent and handoff.agent_id != self.principal.id:
            raise NotFound(f"there is no handoff `{handoff_id}`")
        return handoff

    def person(self, login: str, pin: str) -> Actor:
        """The person behind the call: of the session, or named and proven by PIN beside a token.

        Raises NotPermitted, LimitExceeded.
        """
        if self.principal.kind is PrincipalKind.PERSON:
            return self.actor
        if not login or not pin:
            self._refuse("a token without a person's PIN")
            raise NotPermitted(
                "only a person can do this; a token alone cannot",
                hint="Send `person` and `pin`, or use the browser.",
            )
        return self.engine.people.with_pin(login, pin)

    def key(self, key: str) -> str:
        """An idempotency key of this caller's own, so that keys of different callers never meet."""
        kind = self.principal.kind.value
        return f"{kind}:{self.principal.id}:{self.operation}:{key}" if key else ""

    def _refuse(self, why: str) -> None:
        self.engine.access.refused(self.actor, self.operation, why)


def caller(request: Request) -> Caller:
    """The authenticated and permitted caller. Every refusal is put into the audit trail.

    Raises NotPermitted: code `unauthenticated` (401), `cross_site`, `not_permitted`.
    """
    engine = cast("Engine", request.app.state.engine)
    operation = request.scope["endpoint"].__name__
    found = Caller(engine, _principal(engine, request), operation)
    permit = PERMITS.get(operation, Permit(frozenset()))
    problem = _against(engine, found.principal, permit)
    if problem:
        engine.access.refused(found.actor, operation, problem)
        raise NotPermitted(
            f"`{operation}` was refused: {problem}",
            hint="A decision is a person's: sign in with a browser, or use a terminal with your PIN."
            if permit.by_person
            else "Use a credential that may do this.",
        )
    return found


CallerDep = Annotated[Caller, Depends(caller)]


def _against(engine: Engine, principal: Principal, permit: Permit) -> str:
    """Why this caller may not; '' when it may."""
    kind = principal.kind
    if kind not in permit.kinds:
        return "a person has no part in it" if kind is PrincipalKind.PERSON else _not_for(kind)
    if kind is PrincipalKind.AGENT and permit.scope not in principal.scopes:
        return f"the token lacks the scope {permit.scope or '(none is enough)'}"
    if permit.manages and kind is PrincipalKind.PERSON:
        roles = set(engine.kernel.state(Person, principal.id).roles)
        return "" if roles & MANAGERS else "your roles do not include managing agents"
    return ""


def _not_for(kind: PrincipalKind) -> str:
    return f"the {kind.value}'s token does not permit it"


def _principal(engine: Engine, request: Request) -> Principal:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not token.strip():
            raise _unknown("the Authorization header is not `Bearer` and a token")
        return engine.access.principal(token.strip())
    secret = session_secret(request)
    person_id = engine.people.of_session(secret) if secret else ""
    if not person_id:
        raise _unknown("no valid credential came with the request")
    check_origin(request)
    return Principal(PrincipalKind.PERSON, person_id)


def _unknown(message: str) -> NotPermitted:
    return NotPermitted(
        message,
        code=UNAUTHENTICATED,
        hint="Send `Authorization: Bearer …` with a current token, or sign in.",
    )
