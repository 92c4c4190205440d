"""Passkeys: added on the account page, and signing decisions where a rule demands it.

The library is loaded with the first passkey: most commands never need it.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from handfast.core.domain.assertion import Assertion, Signed
from handfast.core.domain.errors import (
    InvalidTransition,
    LimitExceeded,
    NotFound,
    NotPermitted,
    UsageError,
)
from handfast.core.domain.events import Actor
from handfast.core.domain.events_identity import PasskeyAdded, PasskeyRemoved
from handfast.core.domain.person import ROLES, Person
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.people import signed_in
from handfast.engine.proving import Proving

OFFERED_FOR_S, MAX_PASSKEYS, MAX_LABEL, MAX_BYTES = 300, 20, 80, 20_000
_PURPOSE = "passkey offer"


@dataclass(frozen=True, slots=True)
class Relying:
    """Whom a passkey is made for: a host name, and the whole origin its pages come from."""

    rp_id: str
    origin: str


class Passkeys:
    """Changes are a signed-in person's, and atomic."""

    def __init__(self, kernel: Kernel, proving: Proving) -> None:
        self._kernel = kernel
        self._proving = proving

    def offer(self, actor: Actor, to: Relying, *, secret: str, password: str = "") -> Result:
        """What the browser needs to make one (`options`), and the `ticket` to bring back within five minutes.

        For who proves themselves once more: nothing that was not offered is added. `secret` is of the session.
        Raises what `Proving.prove` does.
        """
        import webauthn
        from webauthn.helpers import base64url_to_bytes, structs

        self._proving.prove(actor, "a passkey", secret=secret, password=password)
        person = self._kernel.state(Person, actor.id)
        ticket = f"{int(self._kernel.clock.now().timestamp())}.{secrets.token_urlsafe(16)}"
        options = webauthn.generate_registration_options(
            rp_id=to.rp_id,
            rp_name="Handfast",
            user_name=person.person_id,
            user_id=person.person_id.encode(),
            challenge=self._challenge(person, ticket),
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                user_verification=structs.UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[
                structs.PublicKeyCredentialDescriptor(id=base64url_to_bytes(k.credential_id))
                for k in person.passkeys
            ],
        )
        return {"options": json.loads(webauthn.options_to_json(options)), "ticket": ticket}

    def add(
        self, actor: Actor, to: Relying, label: str, ticket: str, given: Mapping[str, object]
    ) -> Result:
        """Raises NotPermitted for an answer that does not fit the offer, UsageError, LimitExceeded."""
        import webauthn
        from webauthn.helpers import bytes_to_base64url
        from webauthn.helpers.exceptions import WebAuthnException

        label = label.strip()
        if not label or len(label) > MAX_LABEL or not label.isprintable():
            raise UsageError(f"`label` must be 1 to {MAX_LABEL} printable characters")
        self._check_age(ticket)
        challenge = self._challenge(self._kernel.state(Person, actor.id), ticket)
        try:
            made = webauthn.verify_registration_response(
                credential=dict(given),
                expected_challenge=challenge,
                expected_rp_id=to.rp_id,
                expected_origin=to.origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as e:
            raise _wrong(f"{type(e).__name__}") from None
        credential_id = bytes_to_base64url(made.credential_id)
        key = bytes_to_base64url(made.credential_public_key)
        if len(credential_id) + len(key) > MAX_BYTES:
            raise UsageError("the passkey is larger than any that is known")

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            if len(person.passkeys) >= MAX_PASSKEYS:
                raise LimitExceeded(f"you have {MAX_PASSKEYS} passkeys", hint="Remove one first.")
            if credential_id in [k.credential_id for k in person.passkeys]:
                raise InvalidTransition("you have this passkey already")
            event = PasskeyAdded(person.person_id, credential_id, key, unit.put(label))
            unit.record(Person, person.person_id, [event])
            return {"credential_id": credential_id}

        return self._kernel.run(actor, work)

    def remove(self, actor: Actor, credential_id: str) -> Result:
        """One of the caller's own. What it signed stays as good as it was. Raises NotFound."""

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            if credential_id not in [k.credential_id for k in person.passkeys]:
                raise NotFound("you have no such passkey")
            event = PasskeyRemoved(person.person_id, credential_id, person.person_id)
            unit.record(Person, person.person_id, [event])
            return {"credential_id": credential_id}

        return self._kernel.run(actor, work)

    def _challenge(self, person: Person, ticket: str) -> bytes:
        """Of this installation, this person and this ticket: nothing is kept between offer and answer."""
        return self._kernel.vault.stamp(_PURPOSE, f"{person.person_id}\n{ticket}".encode())

    def _check_age(self, ticket: str) -> None:
        made = ticket.partition(".")[0]
        now = int(self._kernel.clock.now().timestamp())
        if not (made.isascii() and made.isdigit()) or not 0 <= now - int(made) <= OFFERED_FOR_S:
            raise _wrong("it was offered too long ago")


def options_of(person: Person, to: Relying, signed: Signed) -> Result:
    """What the browser needs to sign a decision. Raises NotPermitted for a person without a passkey."""
    import webauthn
    from webauthn.helpers import base64url_to_bytes, structs

    if not person.passkeys:
        raise NotPermitted(
            "this decision is signed with a passkey, and you have none",
            code="passkey_needed",
            hint="Add one on your account page.",
        )
    options = webauthn.generate_authentication_options(
        rp_id=to.rp_id,
        challenge=signed.challenge(),
        allow_credentials=[
            structs.PublicKeyCredentialDescriptor(id=base64url_to_bytes(k.credential_id))
            for k in person.passkeys
        ],
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    return {"options": json.loads(webauthn.options_to_json(options))}


def check(person: Person, to: Relying, signed: Signed, given: str) -> Assertion:
    """The signature on exactly this decision, by a passkey of this person. Raises NotPermitted."""
    import webauthn
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        answer = json.loads(given[:MAX_BYTES])
        credential_id, response = str(answer["id"]), answer["response"]
        key = next((k for k in person.passkeys if k.credential_id == credential_id), None)
        if key is None:
            raise _wrong("it is none of your passkeys")
        webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=signed.challenge(),
            expected_rp_id=to.rp_id,
            expected_origin=to.origin,
            credential_public_key=base64url_to_bytes(key.public_key),
            # One decision wins, and the challenge is that decision: a repeat has nothing to repeat.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
        return Assertion(
            credential_id=credential_id,
            authenticator_data=str(response["authenticatorData"]),
            client_data=str(response["clientDataJSON"]),
            signature=str(response["signature"]),
            said=signed.said,
            scope=signed.scope,
            presented=signed.presented_digest,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as e:
        raise _wrong(type(e).__name__) from None


def _wrong(why: str) -> NotPermitted:
    return NotPermitted(
        f"the passkey's signature was refused: {why}",
        code="passkey_wrong",
        hint="Reload the page, look again at what it shows, and sign once more.",
    )
