"""Which policy is in force, and how a new one comes into force: proposed, approved by another, published.

Every gate check reads which texts are in force in its own transaction, so a published change holds from
the next call on, on every server, without a restart. Compiled texts are kept by digest.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache, reduce

from handfast.core.domain import publication
from handfast.core.domain.action import Call, Facts, Judgement
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import IntegrityError, NotPermitted, UsageError
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_policy import PolicyProposed
from handfast.core.domain.ids import PersonId
from handfast.core.domain.person import Person
from handfast.core.domain.publication import ORGANISATION, PolicyText, Publication
from handfast.core.domain.run import Run
from handfast.core.policy.carrying import CarryOver
from handfast.core.policy.chat import ChatDecides
from handfast.core.policy.directory import Roster
from handfast.core.policy.judging import Rulebook, digest_of, judge
from handfast.core.policy.kinds import ActionKind, together
from handfast.core.policy.limits import Limits
from handfast.core.policy.subject import Subject
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.paging import every
from handfast.engine.projections import KINDS, load
from handfast.engine.proofs import present
from handfast.engine.subjects import subject_of
from handfast.storage.api import Query

PUBLISHERS = frozenset({"operator", "admin"})
MAX_REASON = 2_000
_KEPT = 64


@dataclass(frozen=True, slots=True)
class InForce:
    """The published policies that hold for one repository, the organisation's first."""

    books: tuple[Rulebook, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.books)

    @property
    def roster(self) -> Roster:
        """Who is who. What the organisation defines, a repository's policy does not change."""
        rosters = [book.policy.roster for book in self.books]
        return (
            reduce(lambda stronger, weaker: weaker.under(stronger), rosters)
            if rosters
            else Roster()
        )

    def judge(self, facts: Facts, subject: Subject) -> Judgement:
        return judge(facts, subject, self.books)

    def kind(self, subject: Subject) -> ActionKind | None:
        """What the policies declare about actions like this one, together."""
        return together([kind for book in self.books for kind in book.kinds(subject)])

    @property
    def carry_over(self) -> frozenset[CarryOver]:
        """Changes after an approval that may be carried over. Only the organisation's policy says so."""
        return frozenset(c for book in self.books for c in book.policy.carry_over or ())

    @property
    def binds_target(self) -> bool:
        """Whether the approval of a merge is bound to where its target branch stood."""
        return any(book.policy.carry_over is not None for book in self.books)


class Policies:
    """All calls are atomic. Compiled policies are shared between threads."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._compiled: OrderedDict[str, Rulebook] = OrderedDict()
        self._lock = threading.Lock()

    def in_force(self, unit: Unit, repository: str) -> InForce:
        """What holds for a call in `repository`, as this unit of work sees it.

        Raises IntegrityError when a published text is erased or no longer reads: the call is then not
        judged, so it does not run.
        """
        found = [self._at(unit, scope) for scope in _scopes(repository)]
        return InForce(tuple(book for book in found if book))

    def _at(self, unit: Unit, scope: str) -> Rulebook | None:
        found = unit.find(Publication, policy_id(scope))
        return self._book(found.in_force) if found and found.in_force else None

    def limits(self, unit: Unit, repository: str) -> tuple[Limits | None, Limits | None]:
        """The limits that the organisation's and the repository's policy set. Raises as `in_force` does."""
        organisation = self._at(unit, ORGANISATION)
        own = self._at(unit, repository) if repository else None
        return (
            organisation.policy.limits if organisation else None,
            own.policy.limits if own else None,
        )

    def judge(
        self,
        unit: Unit,
        run: Run,
        call: Call,
        facts: Facts,
        *,
        executor: str = "",
        subagent: str = "",
    ) -> Judgement:
        """The verdict of all that is in force for this run's repository. Raises as `in_force` does."""
        policy = self.in_force(unit, run.root)
        subject = subject_of(unit, run, call, facts, executor=executor, subagent=subagent)
        return policy.judge(facts, subject)

    def kind(self, unit: Unit, run: Run, call: Call, facts: Facts) -> ActionKind | None:
        """What is declared about actions like this one. Raises as `in_force` does."""
        policy = self.in_force(unit, run.root)
        if not any(book.policy.actions for book in policy.books):
            return None
        return policy.kind(subject_of(unit, run, call, facts))

    def propose(self, actor: Actor, scope: str, text: str, reason: str = "") -> Result:
        """Propose a policy for `organisation` or a repository. In force at once where the author is the
        only one who may publish; otherwise another person approves it. Result: scope, digest, status.

        Raises UsageError (`policy_invalid`, with line and column of each problem; a repository's policy
        may only tighten), NotPermitted, InvalidTransition.
        """
        check_scope(scope)
        book = _loaded(text, self._known(scope))
        if scope != ORGANISATION:
            _only_tightens(book)

        def work(unit: Unit) -> Result:
            person_id = publisher(unit, actor)
            state = unit.find(Publication, policy_id(scope))
            why = unit.put(reason.strip()[:MAX_REASON]) if reason.strip() else None
            body = unit.put(text, "application/yaml")
            proposed = PolicyProposed(scope, book.digest, body, person_id, why)
            events = publication.propose(state, proposed)
            after = unit.record(Publication, policy_id(scope), events)
            if self._only_publisher(unit, person_id):
                published = publication.publish(after, book.digest, person_id, only_one=True)
                after = unit.record(Publication, policy_id(scope), published)
            status = "proposed" if after.proposed else "in_force"
            return {"scope": scope, "digest": book.digest, "status": status}

        return self._kernel.run(actor, work)

    def approve(self, actor: Actor, scope: str, digest: str) -> Result:
        """Put a proposal into force. Raises NotPermitted for its author, StaleDecision, NotFound."""

        def work(unit: Unit) -> Result:
            person_id = publisher(unit, actor)
            state = unit.get(Publication, policy_id(scope))
            only = self._only_publisher(unit, person_id)
            events = publication.publish(state, digest, person_id, only_one=only)
            unit.record(Publication, policy_id(scope), events)
            return {"scope": scope, "digest": digest, "status": "in_force"}

        return self._kernel.run(actor, work)

    def decline(self, actor: Actor, scope: str, digest: str, reason: str = "") -> Result:
        """Refuse a proposal or take it back. Raises StaleDecision, NotPermitted, NotFound."""

        def work(unit: Unit) -> Result:
            person_id = publisher(unit, actor)
            state = unit.get(Publication, policy_id(scope))
            body = unit.put(reason.strip()[:MAX_REASON]) if reason.strip() else None
            events = publication.decline(state, digest, person_id, body)
            unit.record(Publication, policy_id(scope), events)
            return {"scope": scope, "digest": digest, "status": "declined"}

        return self._kernel.run(actor, work)

    def list(self) -> list[Result]:
        """Every scope with what is in force and what is proposed, the organisation's first."""
        rows = every(self._kernel.store, Query("policy"))
        states = [load(KINDS[Publication], row.doc) for row in rows]
        found = [s for s in states if isinstance(s, Publication)]
        found.sort(key=lambda s: (s.scope != ORGANISATION, s.scope))
        return [_shown(s) for s in found]

    def text(self, scope: str, *, proposed: bool = False) -> str:
        """The exact text in force (or proposed), '' when there is none. Raises UsageError for no scope."""
        check_scope(scope)
        row = self._kernel.store.load(f"policy/{policy_id(scope)}")
        state = load(KINDS[Publication], row.doc) if row else None
        if not isinstance(state, Publication):
            return ""
        wanted = state.proposed if proposed else state.in_force
        return self._opened(wanted) if wanted else ""

    def _opened(self, found: PolicyText) -> str:
        return self._kernel.vault.open(found.text.body_id).text

    def texts_in_force(self, repository: str) -> Result:
        """digest, and books (scope, digest, text): what a runner needs to judge reads by itself."""

        def work(unit: Unit) -> Result:
            policy = self.in_force(unit, repository)
            books = [
                {"scope": scope, "digest": p.in_force.digest, "text": self._opened(p.in_force)}
                for scope in _scopes(repository)
                if (p := unit.find(Publication, policy_id(scope))) and p.in_force
            ]
            return {"digest": policy.digest, "books": books}

        return self._kernel.run(SYSTEM, work)

    def _known(self, scope: str) -> Roster:
        """The teams and rotations that a policy for `scope` may name without defining them."""
        if scope == ORGANISATION:
            return Roster()
        row = self._kernel.store.load(f"policy/{ORGANISATION}")
        state = load(KINDS[Publication], row.doc) if row else None
        in_force = state.in_force if isinstance(state, Publication) else None
        return self._book(in_force).policy.roster if in_force else Roster()

    def _book(self, text: PolicyText) -> Rulebook:
        with self._lock:
            book = self._compiled.get(text.digest)
            if book is not None:
                self._compiled.move_to_end(text.digest)
                return book
        content = self._kernel.vault.open(text.text.body_id)
        try:
            book = _loaded(content.text)
        except UsageError as e:
            raise IntegrityError(
                f"the published policy `{text.digest[:19]}…` cannot be used: {e.message}",
                hint="Publish a policy that this version reads. Until then effects do not run.",
            ) from None
        if content.erased or book.digest != text.digest:
            raise IntegrityError(
                f"the text of the published policy `{text.digest[:19]}…` is not what was published",
                hint="Publish a policy again. Until then effects do not run.",
            )
        with self._lock:
            self._compiled[text.digest] = book
            while len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        return book

    def _only_publisher(self, unit: Unit, person_id: PersonId) -> bool:
        """Whether nobody else could approve. The people are part of what this decision rests on."""
        others = 0
        for row in every(self._kernel.store, Query("person")):
            other = unit.get(Person, row.stream.partition("/")[2])
            if other.person_id != person_id and PUBLISHERS & set(other.roles):
                unit.rely_on(Person, other.person_id)
                others += 1
        return others == 0


@lru_cache(maxsize=1024)
def policy_id(scope: str) -> str:
    """The stream id of a scope: repositories are named by a hash, because a path is no id."""
    if scope == ORGANISATION:
        return ORGANISATION
    return "repository-" + hashlib.sha256(scope.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _scopes(repository: str) -> list[str]:
    return [ORGANISATION, *([repository] if repository else [])]


def check_scope(scope: str) -> None:
    if scope != ORGANISATION and not (scope.startswith("/") and len(scope) <= 4096):
        raise UsageError(
            f"`scope` is {scope[:60]!r}", hint="`organisation`, or the path of a repository's root."
        )


def publisher(unit: Unit, actor: Actor) -> PersonId:
    """The person behind a change of rules. Raises NotPermitted for everybody and everything else."""
    refused = NotPermitted(
        "only a signed-in person can change policy; a token cannot",
        hint="Use a terminal with your PIN, or the browser.",
    )
    person = present(unit, actor, refused)
    if not PUBLISHERS & set(person.roles):
        raise NotPermitted(
            "your roles do not include changing policy",
            hint="Ask somebody with the operator or admin role.",
        )
    return person.person_id


def _only_tightens(book: Rulebook) -> None:
    policy = book.policy
    loose: dict[str, object] = {
        "builtin.off": policy.off,
        "limits: … off": policy.limits.off,
        "carry_over": policy.carry_over is not None,
        "owners": bool(policy.roster.owners),
        "chat: decide: low": policy.chat is ChatDecides.LOW,
        **{f"actions: {kind.id}": kind.loosens for kind in policy.actions},
    }
    for name, given in loose.items():
        if given:
            raise UsageError(
                f"`{name}` is for the organisation's policy; a repository may only tighten",
                hint="Remove it, or ask for a change of the organisation's policy.",
            )


def _loaded(text: str, known: Roster | None = None) -> Rulebook:
    from handfast.policyfile.load import load as load_policy  # noqa: PLC0415 - brings the CEL library

    return load_policy(text, known=known)


def _shown(state: Publication) -> Result:
    def text(found: PolicyText | None) -> Result | None:
        if found is None:
            return None
        return {"digest": found.digest, "author": found.author, "at": format_time(found.at)}

    return {
        "scope": state.scope,
        "version": state.version,
        "in_force": text(state.in_force),
        "proposed": text(state.proposed),
        "approver": state.approver,
        "published_at": format_time(state.published_at) if state.published_at else "",
    }
