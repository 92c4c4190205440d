"""People, their secrets and their sessions. Secrets are credentials beside the log, hashed."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from handfast.core.domain.errors import InvalidTransition, NotPermitted, UsageError
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_org import (
    AccessRefused,
    CredentialSet,
    PersonAdded,
    PersonInvited,
    SignedIn,
    SignedOut,
)
from handfast.core.domain.ids import PersonId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.core.domain.person import ROLES, Person
from handfast.engine.ids import hash_secret, new_id, new_secret
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.passwords import hash_password, matches, never
from handfast.engine.proofs import Proof, Proven, check_proof, present
from handfast.engine.tries import Tries
from handfast.storage.api import Credential, Lease, Query

SETUP, INVITE = "setup", "invite:"
FIRST_ROLES = ("reviewer", "operator", "admin", "auditor")
SETUP_TTL = timedelta(hours=24)
MIN_PASSWORD, MIN_PIN = 10, 6


@dataclass(frozen=True, slots=True)
class NewPerson:
    name: str
    login: str
    password: str
    pin: str


@dataclass(frozen=True, slots=True)
class OpenSession:
    """`secret` goes into the cookie; only its hash is stored."""

    secret: str
    person_id: str
    expires_at: datetime


class People:
    """All calls are atomic. Wrong secrets are recorded, and counted by `Tries`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.tries = Tries(kernel.clock.now)

    def any(self) -> bool:
        return bool(self._kernel.store.find(Query("person", limit=1)))

    def invite(self, server: str = "") -> str:
        """The secret of a one-time set-up link, valid for 24 hours. Only while nobody is set up.

        Each server has one, which its next one replaces: the first to use any of them is the first person.
        """
        if self.any():
            raise InvalidTransition("somebody is set up already", hint="Sign in.")
        secret = new_secret()

        def work(unit: Unit) -> Result:
            unit.put_credential(
                Credential(
                    f"{SETUP}:{server}",
                    SETUP,
                    "",
                    hash_secret(secret),
                    (),
                    unit.now + SETUP_TTL,
                )
            )
            return {}

        self._kernel.run(SYSTEM, work)
        return secret

    def invite_another(self, actor: Actor, roles: Sequence[str]) -> str:
        """The secret of a one-time link for one more person, valid for 24 hours.

        Raises NotPermitted for all but a signed-in admin, UsageError for an unknown role.
        """
        unknown = sorted(set(roles) - set(ROLES))
        if unknown or not roles:
            raise UsageError(
                f"`roles` has {', '.join(unknown) or 'no entry'}", hint=f"Of: {', '.join(ROLES)}."
            )
        secret = new_secret()

        def work(unit: Unit) -> Result:
            signed_in(unit, actor, frozenset({"admin"}))
            invited = PersonInvited(PersonId(actor.id), tuple(sorted(set(roles))))
            unit.record(Installation, INSTALLATION_ID, [invited])
            unit.put_credential(
                Credential(
                    _invitation_id(secret),
                    "invite",
                    actor.id,
                    hash_secret(secret),
                    invited.roles,
                    unit.now + SETUP_TTL,
                )
            )
            return {}

        self._kernel.run(actor, work)
        return secret

    def check_invitation(self, secret: str) -> Credential:
        """What the link permits. Raises NotPermitted for a link that is wrong, used or too old."""
        hashed = hash_secret(secret)
        if self.any():
            found = self._kernel.store.credential(_invitation_id(secret))
        else:
            links = self._kernel.store.credentials_of("", SETUP)
            found = next((c for c in links if hmac.compare_digest(c.secret, hashed)), None)
        if (
            found is None
            or found.revoked
            or found.expires_at is None
            or found.expires_at <= self._kernel.clock.now()
            or not hmac.compare_digest(found.secret, hashed)
        ):
            raise NotPermitted(
                "this set-up link is not valid any more",
                hint="Ask an admin for a new invitation; while nobody is set up, restart `handfast serve`.",
            )
        return found

    def set_up(self, secret: str, new: NewPerson) -> Result:
        """A person with the roles of the link; the first one has all. Uses up the link.

        Raises NotPermitted for the link, UsageError naming the field, also for a login that is taken.
        """
        invitation = self.check_invitation(secret)
        check_new(new)
        login_digest = digest_login(new.login)
        if self._by_login(login_digest):
            raise UsageError(f"the `login` `{new.login}` is taken", hint="Choose another.")
        password, pin = hash_password(new.password), hash_password(new.pin)

        def work(unit: Unit) -> Result:
            person_id = PersonId(new_id("pe"))
            first = invitation.kind == SETUP
            if first:
                self._be_first(unit)
            roles = FIRST_ROLES if first else invitation.scopes
            unit.record(
                Person,
                person_id,
                [
                    PersonAdded(person_id, unit.put(new.name.strip()), login_digest, roles),
                    CredentialSet(person_id, "password"),
                    CredentialSet(person_id, "pin"),
                ],
            )
            unit.put_credential(
                Credential(f"password:{person_id}", "password", person_id, password)
            )
            unit.put_credential(Credential(f"pin:{person_id}", "pin", person_id, pin))
            unit.put_credential(
                Credential(invitation.id, invitation.kind, "", "used", (), None, revoked=True)
            )
            return {"person_id": person_id}

        actor = Actor("person", "", "setup-link")
        return self._kernel.run(
            actor, work, key=f"setup:{hash_secret(secret)}", command=[login_digest]
        )

    def _be_first(self, unit: Unit) -> None:
        """The lease can be taken once, so of two links used at the same moment one is refused."""
        if self.any():
            raise NotPermitted(
                "somebody was set up in the meantime", hint="Ask an admin for an invitation."
            )
        unit.take_lease(Lease(SETUP, SETUP, 1, unit.now))

    def sign_in(self, login: str, password: str, place: str = "") -> OpenSession:
        """`place` is the network it comes from. Raises NotPermitted for a wrong pair, LimitExceeded while locked."""
        digest = digest_login(login)
        person_id = self._by_login(digest)
        proof = self._verify(digest, person_id, "password", password, place)
        return self.begin(person_id, "password", proof)

    def begin(self, person_id: str, method: str, proof: Proof | None = None) -> OpenSession:
        """A session of somebody who proved who they are, by `proof` where that is a secret of theirs here.
        Raises NotPermitted for who has no role, and for a proof that was changed meanwhile."""
        secret = new_secret()
        expires = self._kernel.clock.now() + timedelta(seconds=self._kernel.settings.session_s)
        self.open_session(person_id, secret, expires, method, proof)
        return OpenSession(secret, person_id, expires)

    def verify(self, person_id: str, kind: str, text: str) -> Proof:
        """Somebody who is signed in proves it again. Raises NotPermitted, LimitExceeded."""
        who = self._kernel.state(Person, person_id).login_digest
        return self._verify(who, person_id, kind, text, "signed in")

    def open_session(
        self,
        person_id: str,
        secret: str,
        expires: datetime,
        method: str = "password",
        proof: Proof | None = None,
    ) -> None:
        session_id = session_of(secret)

        def work(unit: Unit) -> Result:
            check_let_in(unit.get(Person, person_id))
            if proof is not None:
                check_proof(unit, person_id, proof)
            event = SignedIn(PersonId(person_id), method, session_id)
            unit.record(Person, person_id, [event])
            unit.put_credential(
                Credential(session_id, "session", person_id, hash_secret(secret), (), expires)
            )
            return {}

        self._kernel.run(Actor("person", person_id, "browser"), work)

    def sign_out(self, secret: str) -> None:
        """Idempotent. The session is revoked on the server, whatever the browser keeps."""
        session_id = session_of(secret)
        found = self._kernel.store.credential(session_id)
        if found is None or found.revoked:
            return

        def work(unit: Unit) -> Result:
            unit.record(Person, found.subject, [SignedOut(PersonId(found.subject), session_id)])
            unit.put_credential(
                Credential(session_id, "session", found.subject, "ended", (), None, revoked=True)
            )
            return {}

        self._kernel.run(Actor("person", found.subject, "browser"), work)

    def of_session(self, secret: str) -> str:
        """The person behind a session cookie, or ''."""
        found = self._kernel.store.credential(session_of(secret))
        if found is None or found.revoked or found.kind != "session":
            return ""
        if found.expires_at is None or found.expires_at <= self._kernel.clock.now():
            return ""
        if not hmac.compare_digest(found.secret, hash_secret(secret)):
            return ""
        return found.subject if self._kernel.state(Person, found.subject).roles else ""

    def known_as(self, login: str) -> str:
        """The id of who has this login, or this id; '' for nobody."""
        return self._by_login(digest_login(login)) or self._by_id(login.strip())

    def with_pin(self, login: str, pin: str, place: str = "") -> Actor:
        """A person at a terminal, by their login or their id: who came from an identity provider may not know
        what they are called there. `place` is what it came beside. Raises NotPermitted (`no_pin` for who never set one, `disabled`),
        LimitExceeded."""
        person_id = self.known_as(login)
        person = self._kernel.state(Person, person_id) if person_id else None
        if person is not None and not person.has_pin:
            raise NotPermitted(
                f"`{login.strip()[:64]}` has no PIN yet",
                code="no_pin",
                hint="Sign in with the browser and set one on the account page, at /account.",
            )
        who = person.login_digest if person else digest_login(login)
        proof = self._verify(who, person_id, "pin", pin, place)
        check_let_in(self._kernel.state(Person, person_id))
        return Proven("person", person_id, "pin", proof=proof)

    def name(self, person_id: str) -> str:
        """What to call a person on a page; an erased one is `a former member`."""
        row = self._kernel.store.load(f"person/{person_id}")
        if row is None:
            return person_id
        content = self._kernel.vault.open(self._kernel.state(Person, person_id).name.body_id)
        return "a former member" if content.erased else content.text

    def _by_login(self, digest: str) -> str:
        rows = self._kernel.store.find(Query("person", match=digest, limit=1))
        return rows[0].stream.partition("/")[2] if rows else ""

    def _by_id(self, text: str) -> str:
        known = text.startswith("pe_") and self._kernel.store.load(f"person/{text}") is not None
        return text if known else ""

    def _verify(self, who: str, person_id: str, kind: str, text: str, place: str) -> Proof:
        self.tries.take(kind, who, place)
        found = self._kernel.store.credential(f"{kind}:{person_id}") if person_id else None
        if matches(found.secret if found else never(), text) and found is not None:
            self.tries.right(kind, who, place)
            return Proof(found.id, found.secret)
        self._refused(kind, person_id)
        raise NotPermitted(f"the login or the {kind} is wrong", code="wrong_secret").told()

    def _refused(self, kind: str, person_id: str) -> None:
        def work(unit: Unit) -> Result:
            event = AccessRefused(
                what=f"sign in with {kind}", why="wrong secret", subject=person_id
            )
            unit.record(Installation, INSTALLATION_ID, [event])
            return {}

        self._kernel.run(Actor("anonymous"), work)


def check_let_in(person: Person) -> None:
    """For who proved who they are. Raises NotPermitted for who has no role, as one who is disabled has none."""
    if person.disabled_at is not None:
        raise NotPermitted(
            "your account is disabled", code="disabled", hint="Ask an admin to enable it."
        )
    if not person.roles:
        raise NotPermitted(
            "you have no role here any more", hint="Ask an admin which one you need."
        )


def signed_in(unit: Unit, actor: Actor, roles: frozenset[str]) -> Person:
    """The signed-in person behind a command, part of what it rests on. Raises NotPermitted."""
    refused = NotPermitted(
        "only a signed-in person can do this; a token cannot",
        hint="Use a terminal with your PIN, or the browser.",
    )
    person = present(unit, actor, refused)
    if not roles & set(person.roles):
        raise NotPermitted(
            "your roles do not include this", hint=f"It takes one of: {', '.join(sorted(roles))}."
        )
    return person


def check_new(new: NewPerson) -> None:
    """Raises UsageError naming the field."""
    if not new.name.strip() or len(new.name) > 100 or not new.name.isprintable():
        raise UsageError("`name` must be 1 to 100 printable characters")
    if not re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", new.login):
        raise UsageError("`login` must be 1 to 64 letters, digits or . _ @ -")
    check_password(new.password)
    check_pin(new.pin)


def check_pin(pin: str) -> None:
    """Raises UsageError."""
    if not re.fullmatch(rf"[0-9]{{{MIN_PIN},32}}", pin):
        raise UsageError(f"`pin` must have at least {MIN_PIN} digits")


def check_password(password: str) -> None:
    """Raises UsageError."""
    if len(password) < MIN_PASSWORD or len(password) > 1000:
        raise UsageError(f"`password` must have at least {MIN_PASSWORD} characters")


def digest_login(login: str) -> str:
    return hashlib.sha256(
        b"login:" + login.strip().lower().encode(errors="surrogatepass")
    ).hexdigest()


def _invitation_id(secret: str) -> str:
    return INVITE + hash_secret("id:" + secret)[:24]


def session_proof(secret: str) -> Proof:
    """What a request with this session's secret proves itself with."""
    return Proof(session_of(secret), hash_secret(secret))


def session_of(secret: str) -> str:
    """A session's public id, which may stand in the log."""
    return "session:" + hash_secret("id:" + secret)[:24]
