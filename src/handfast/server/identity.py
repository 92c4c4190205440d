"""From a request to its caller: a token or a session, checked against the table of permits."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from handfast.core.domain.checkpoint import Checkpoint
from handfast.core.domain.errors import NotFound, NotPermitted, StaleEpoch
from handfast.core.domain.events import Actor
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.person import Person
from handfast.core.domain.project import Sight
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.engine.access import Principal, PrincipalKind
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result
from handfast.engine.people import session_proof
from handfast.server.permits import PERMITS, Permit
from handfast.server.problems import UNAUTHENTICATED
from handfast.server.rates import count
from handfast.server.refusals import known_as
from handfast.server.sessions import COOKIE, SAFE_METHODS, check_origin, session_secret

# What the OpenAPI document says of credentials. The check itself is `caller`.
bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token of an agent (`hfa_`), of a runner (`hfr_`), of the operator (`hfo_`), or a person's own"
    " (`hfp_`).",
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
    request: Request

    @property
    def actor(self) -> Actor:
        return self.principal.actor

    @property
    def is_agent(self) -> bool:
        return self.principal.kind is PrincipalKind.AGENT

    @property
    def is_runner(self) -> bool:
        return self.principal.kind is PrincipalKind.RUNNER

    @property
    def person_id(self) -> str:
        """Of a person, whatever they came with; '' for everybody else."""
        return str(self.actor.person)

    @property
    def sight(self) -> Sight | None:
        """What a person may know of; None for everything, and for what is no person."""
        return self.engine.knowing.sight(self.person_id) if self.person_id else None

    def works_in(self, repository: str) -> str:
        """A repository that this caller may delegate work in. Raises NotPermitted."""
        sight = self.sight
        if sight is not None and not sight.covers(repository):
            self._refuse("work in a repository of no project of theirs")
            raise NotPermitted(
                "none of your projects has this repository", hint="Ask an admin to add you."
            ).told()
        return repository

    def run(self, run_id: str) -> Run:
        """A run this caller may see. Raises NotFound, for another agent's run too."""
        run = self.engine.kernel.state(Run, run_id)
        if self.is_agent and run.agent_id != self.principal.id:
            raise NotFound(f"there is no run `{run_id}`")
        self._knows(self.actor, "run", run_id)
        return run

    def task(self, task_id: str) -> str:
        """The id of a task this caller may see. Raises NotFound."""
        self.engine.kernel.state(Task, task_id)
        self._knows(self.actor, "task", task_id)
        return task_id

    def policy(self, scope: str) -> str:
        """A scope whose rules this caller may read, or '' for the organisation's alone. Raises NotFound."""
        if self.person_id and scope:
            try:
                self.engine.knowing.check_policy(self.person_id, scope)
            except NotFound:
                self._refuse(f"need to know of the policy of {scope[:200]}")
                raise
        return scope

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
        self._knows(self.actor, "handoff", handoff_id)
        return handoff

    def checkpoint(self, checkpoint_id: str, person: Actor | None = None) -> Result:
        """A checkpoint with those of its handoffs that this caller, or the person that was proven beside a
        token, may see. Raises NotFound without one."""
        actor = person or self.actor
        sight = self.engine.knowing.sight(actor.id) if actor.person else None
        self.engine.kernel.state(Checkpoint, checkpoint_id)
        try:
            return self.engine.checkpoint_views.checkpoint(checkpoint_id, sight)
        except NotFound:
            why = f"need to know of checkpoint {checkpoint_id}"
            self.engine.access.refused(actor, self.operation, why)
            raise

    def person(self, login: str, pin: str) -> Actor:
        """The person behind the call: of the session, or named and proven by PIN beside a token.

        Raises NotPermitted, LimitExceeded.
        """
        principal = self.principal
        if principal.kind is PrincipalKind.PERSON and not principal.by_token:
            return self.actor
        if not login or not pin:
            self._refuse("a token without a person's PIN")
            raise NotPermitted(
                "only a person can do this; a token alone cannot",
                hint="Send `person` and `pin`, or use the browser.",
            ).told()
        people = self.engine.people
        if principal.by_token and people.known_as(login) != principal.id:
            # Not even looked at: nobody guesses at others, or locks them, with a token of their own.
            self._refuse("a token and the PIN of somebody else")
            raise NotPermitted("the token is not of the person whose PIN this is").told()
        proven = people.with_pin(login, pin, f"{principal.kind.value} {principal.id}")
        known_as(self.request, proven)
        return proven

    def decider(self, login: str, pin: str, *handoffs: str) -> Actor:
        """As `person`, for somebody who may know of these handoffs. Raises NotFound too."""
        for handoff_id in handoffs:
            self.handoff(handoff_id)
        person = self.person(login, pin)
        for handoff_id in handoffs:
            self._knows(person, "handoff", handoff_id)
        return person

    def taker(self, login: str, pin: str, run_id: str) -> Actor:
        """As `person`, for somebody who may know of this run. Raises NotFound too."""
        self.run(run_id)
        person = self.person(login, pin)
        self._knows(person, "run", run_id)
        return person

    def keeper(self, login: str, pin: str, task_id: str) -> Actor:
        """As `person`, for somebody who may know of this task. Raises NotFound too."""
        self.task(task_id)
        person = self.person(login, pin)
        self._knows(person, "task", task_id)
        return person

    def _knows(self, actor: Actor, kind: str, item: str) -> None:
        """Raises NotFound for a person who may not know of it; the try is put into the audit trail."""
        if actor.type != PrincipalKind.PERSON.value:
            return
        try:
            self.engine.knowing.check(actor.id, kind, item)
        except NotFound:
            self.engine.access.refused(actor, self.operation, f"need to know of {kind} {item}")
            raise

    def key(self, key: str, person: Actor | None = None) -> str:
        """An idempotency key of this caller's own, and of the person that was proven beside a token: the keys of
        different callers and of different people never meet."""
        kind, of = self.principal.kind.value, self.operation
        by = f"{person.id}:" if person else ""
        return f"{kind}:{self.principal.id}:{of}:{by}{key}" if key else ""

    def _refuse(self, why: str) -> None:
        self.engine.access.refused(self.actor, self.operation, why)


def caller(request: Request) -> Caller:
    """The authenticated and permitted caller. Every refusal is put into the audit trail.

    Raises NotPermitted: code `unauthenticated` (401), `cross_site`, `not_permitted`; LimitExceeded: code
    `rate_limited`.
    """
    engine = cast("Engine", request.app.state.engine)
    operation = request.scope["endpoint"].__name__
    principal = _principal(engine, request)
    known_as(request, principal.actor)
    count(request, principal)
    found = Caller(engine, principal, operation, request)
    permit = PERMITS.get(operation, Permit(frozenset()))
    problem = _against(engine, found.principal, permit, request.method)
    if problem:
        engine.access.refused(found.actor, operation, problem)
        raise NotPermitted(
            f"`{operation}` was refused: {problem}",
            hint="A decision is a person's: sign in with a browser, or use a terminal with your PIN."
            if permit.by_person
            else "Use a credential that may do this.",
        ).told()
    return found


def still_known(request: Request) -> bool:
    """Whether the credential that a request came with is good now."""
    try:
        _principal(cast("Engine", request.app.state.engine), request)
    except NotPermitted:
        return False
    return True


CallerDep = Annotated[Caller, Depends(caller)]


def _against(engine: Engine, principal: Principal, permit: Permit, method: str) -> str:
    """Why this caller may not; '' when it may."""
    kind = principal.kind
    if kind not in permit.kinds:
        return "a person has no part in it" if kind is PrincipalKind.PERSON else _not_for(kind)
    if kind is PrincipalKind.AGENT and permit.scope not in principal.scopes:
        return f"the token lacks the scope {permit.scope or '(none is enough)'}"
    if principal.by_token and (problem := _of_own_token(principal, permit, method)):
        return problem
    if permit.roles and kind is PrincipalKind.PERSON:
        roles = set(engine.kernel.state(Person, principal.id).roles)
        needed = ", ".join(sorted(permit.roles))
        return "" if roles & permit.roles else f"your roles do not include it: it takes {needed}"
    return ""


def _of_own_token(principal: Principal, permit: Permit, method: str) -> str:
    """A person's own token reads, or writes; what takes the person themselves it never does."""
    if permit.in_browser:
        return "a token cannot do this; a signed-in person can"
    needed = "read" if method in SAFE_METHODS else "write"
    return "" if needed in principal.scopes else f"the token lacks the scope {needed}"


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
    principal = Principal(PrincipalKind.PERSON, person_id, proof=session_proof(secret))
    known_as(request, principal.actor)
    check_origin(request)
    return principal


def _unknown(message: str) -> NotPermitted:
    return NotPermitted(
        message,
        code=UNAUTHENTICATED,
        hint="Send `Authorization: Bearer …` with a current token, or sign in.",
    )
