"""People who sign in at an identity provider. An account there is its issuer and its subject, nothing else:
an e-mail address or a name never leads to somebody who is known here already."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handfast.core.domain.errors import InvalidTransition, NotFound, NotPermitted
from handfast.core.domain.events import Actor, Event
from handfast.core.domain.events_control import RolesSet
from handfast.core.domain.events_identity import AccountLinked, AccountUnlinked, TeamsSet
from handfast.core.domain.events_org import AccessRefused, PersonAdded
from handfast.core.domain.ids import PersonId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.core.domain.person import ROLES, Person
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.people import OpenSession, People, digest_login, signed_in
from handfast.engine.sessions import Sessions
from handfast.storage.api import Credential, Query

KIND = "account"
METHOD = "oidc"
DISABLED = "its person is disabled here"
NO_ROLE, ASK_ADMIN = "none of its groups has a role here", "Ask an admin which group you need."


@dataclass(frozen=True, slots=True)
class Identity:
    """What a checked identity token says. `login` is what policies call the person; '' for none."""

    issuer: str
    subject: str
    name: str = ""
    login: str = ""
    groups: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        text = f"{len(self.issuer)}:{self.issuer}:{self.subject}"
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Mapped:
    """Which roles and teams the provider's groups lead to. A group that is not named leads to nothing."""

    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    teams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def roles_of(self, groups: Sequence[str]) -> tuple[str, ...]:
        found = {r for g in groups for r in self.roles.get(g, ())}
        return tuple(sorted(found & set(ROLES)))

    def teams_of(self, groups: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted({t for g in groups for t in self.teams.get(g, ())}))


class Federation:
    """All calls are atomic; each sign-in and each refusal is in the audit trail."""

    def __init__(self, kernel: Kernel, people: People, sessions: Sessions) -> None:
        self._kernel = kernel
        self._people = people
        self._sessions = sessions

    def sign_in(self, identity: Identity, mapped: Mapped) -> OpenSession:
        """A session of the person behind this account. One that is new here becomes a person when a group
        of it leads to a role.

        Raises NotPermitted. Who lost all roles at the provider loses them here, and with them everything that
        acted in their name.
        """
        roles, teams = mapped.roles_of(identity.groups), mapped.teams_of(identity.groups)
        actor = Actor("provider", identity.issuer[:200], METHOD)
        found = self._kernel.store.credential(_credential_id(identity))
        if found is None or found.revoked:
            person_id = self._provision(actor, identity, roles, teams)
        else:
            person_id = found.subject
            if self._kernel.state(Person, person_id).disabled_at is not None:
                raise self._refused(actor, DISABLED, "Ask an admin to enable you.", person_id)
            self._sync(actor, person_id, identity, roles, teams)
        return self._people.begin(person_id, METHOD)

    def link(self, actor: Actor, identity: Identity) -> Result:
        """Let this account sign the caller in from now on. Their roles stay what they are here.

        Raises InvalidTransition for an account that signs somebody else in, and for a caller whose roles an
        account says already: a second one would let them in when that one does not.
        """

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            found = self._kernel.store.credential(_credential_id(identity))
            if found is not None and not found.revoked:
                if found.subject == person.person_id:
                    return {"account": identity.account}
                raise InvalidTransition("that account signs in somebody else")
            if any(a.manages for a in person.accounts):
                raise InvalidTransition(
                    "an account at your identity provider says what you may do here: no other one is linked",
                    hint="Sign in with the account that you came with.",
                )
            event = AccountLinked(person.person_id, identity.issuer, identity.account)
            unit.record(Person, person.person_id, [event])
            unit.put_credential(_credential(identity, person.person_id))
            return {"account": identity.account}

        return self._kernel.run(actor, work)

    def unlink(self, actor: Actor, account: str) -> Result:
        """One of the caller's own. Raises NotFound, and InvalidTransition where it is their only way in."""

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            found = next((a for a in person.accounts if a.account == account), None)
            if found is None:
                raise NotFound(f"you have no account `{account[:64]}`")
            if found.manages:
                raise InvalidTransition("without this account you could not sign in")
            gone = AccountUnlinked(person.person_id, account, person.person_id)
            unit.record(Person, person.person_id, [gone])
            unit.put_credential(
                Credential(f"{KIND}:{account}", KIND, person.person_id, "gone", revoked=True)
            )
            return {"account": account}

        return self._kernel.run(actor, work)

    def _provision(
        self, actor: Actor, identity: Identity, roles: tuple[str, ...], teams: tuple[str, ...]
    ) -> str:
        login = identity.login or identity.account[:32]
        if not self._people.any():
            raise self._refused(
                actor, "nobody is set up", "Use the set-up link of the server first."
            )
        if not roles:
            raise self._refused(actor, NO_ROLE, ASK_ADMIN)
        if not re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", login) or self._taken(login):
            raise self._refused(
                actor,
                "its login is taken or no login",
                "If it is yours, sign in with your password and link the account on your account page.",
            )

        def work(unit: Unit) -> Result:
            person_id = PersonId(new_id("pe"))
            name = unit.put(identity.name.strip()[:100] or login)
            events: list[Event] = [
                PersonAdded(person_id, name, digest_login(login), roles),
                AccountLinked(person_id, identity.issuer, identity.account, manages=True),
            ]
            if teams:
                events.append(TeamsSet(person_id, teams))
            unit.record(Person, person_id, events)
            unit.put_credential(_credential(identity, person_id))
            return {"person_id": person_id}

        # Two first sign-ins at once: the second gets the person that the first one made.
        key = f"account:{identity.account}"
        return str(self._kernel.run(actor, work, key=key, command=identity.account)["person_id"])

    def _sync(
        self,
        actor: Actor,
        person_id: str,
        identity: Identity,
        roles: tuple[str, ...],
        teams: tuple[str, ...],
    ) -> None:
        """Where the provider manages the person, their groups now say what they may. Raises NotPermitted."""
        person = self._kernel.state(Person, person_id)
        managing = [a.account for a in person.accounts if a.manages]
        if not managing:
            return
        if identity.account not in managing:
            raise self._refused(
                actor,
                "another one says what its person may do here",
                "Sign in with the account that you first came with.",
            )

        def work(unit: Unit) -> Result:
            now = unit.get(Person, person_id)
            events: list[Event] = []
            if now.roles != roles:
                events.append(RolesSet(now.person_id, roles, PersonId("")))
            if now.teams != (kept := teams if roles else ()):
                events.append(TeamsSet(now.person_id, kept))
            unit.record(Person, person_id, events)
            if not roles:
                self._sessions.cut(unit, now, PersonId(""))
                unit.record(Installation, INSTALLATION_ID, [_refusal(NO_ROLE, person_id)])
            return {}

        self._kernel.run(actor, work)
        if not roles:
            raise _not_let_in(NO_ROLE, ASK_ADMIN)

    def _taken(self, login: str) -> bool:
        return bool(self._kernel.store.find(Query("person", match=digest_login(login), limit=1)))

    def _refused(self, actor: Actor, why: str, hint: str, person_id: str = "") -> NotPermitted:
        def work(unit: Unit) -> Result:
            unit.record(Installation, INSTALLATION_ID, [_refusal(why, person_id)])
            return {}

        self._kernel.run(actor, work)
        return _not_let_in(why, hint)


def _refusal(why: str, person_id: str = "") -> AccessRefused:
    return AccessRefused(what="sign in with oidc", why=why, subject=person_id)


def _not_let_in(why: str, hint: str) -> NotPermitted:
    return NotPermitted(f"this account cannot sign in: {why}", hint=hint).told()


def _credential_id(identity: Identity) -> str:
    return f"{KIND}:{identity.account}"


def _credential(identity: Identity, person_id: str) -> Credential:
    return Credential(_credential_id(identity), KIND, person_id, identity.account)
