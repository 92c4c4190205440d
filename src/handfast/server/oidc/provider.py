"""Talks to the identity provider: its addresses and keys, a code for an identity token, and what makes such
a token good: signed with a key of the provider, for us, from it, now, and for this very attempt."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from handfast.core.domain.errors import AdapterError, NotPermitted
from handfast.engine.federation import Identity
from handfast.server.oidc.attempt import Attempt
from handfast.server.oidc.settings import ProviderSettings
from handfast.server.site import LOOPBACK_NAMES

# No symmetric ones: a provider's public key must never be good as a shared secret, and `none` is none.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
TIMEOUT_S, LEEWAY_S = 10.0, 30
KEPT_S, ASKED_AGAIN_S = 3600.0, 5.0
MAX_BYTES = 1_000_000


class Provider:
    """Shared between threads. Everything that is wrong with an answer of the provider refuses the sign-in."""

    def __init__(
        self, settings: ProviderSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._renewed: dict[str, float] = {}

    def begin(
        self, redirect_uri: str, next_path: str, link: str, now: float
    ) -> tuple[str, Attempt]:
        """Where to send the browser, and what it must bring back. Raises AdapterError."""
        verifier = generate_token(64)
        made = Attempt(
            state=generate_token(40),
            nonce=generate_token(40),
            verifier=verifier,
            next_path=next_path,
            link=link,
            made_at=int(now),
        )
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": made.state,
            "nonce": made.nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        address = self._address("authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}", made

    def finish(self, attempt: Attempt, code: str, redirect_uri: str, now: float) -> Identity:
        """Who signed in. Raises NotPermitted for a token that is not good, AdapterError when the provider
        cannot be asked."""
        data = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self.settings.client_id,
            "code_verifier": attempt.verifier,
        }
        if self.settings.client_secret:
            data["client_secret"] = self.settings.client_secret
        address = self._address("token_endpoint")
        answer = self._ask(lambda c: c.post(address, data=data), "the code")
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > 100_000:
            raise _not_good("it gave no identity token")
        return self._identity(self._claims(token, attempt, now))

    def _claims(self, token: str, attempt: Attempt, now: float) -> Mapping[str, Any]:
        try:
            decoded = self._decoded(token)
            options = {
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
                "sub": {"essential": True},
            }
            params = {"nonce": attempt.nonce, "client_id": self.settings.client_id}
            claims = CodeIDToken(decoded.claims, decoded.header, options, params)
            claims.validate(int(now), LEEWAY_S)
        except (JoseError, AuthlibBaseError, ValueError, TypeError, KeyError) as e:
            raise _not_good(f"its identity token was refused ({type(e).__name__})") from None
        if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
            raise _not_good("its identity token has no subject")
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and "azp" not in claims:
            raise _not_good(
                "its identity token is for several, and does not say by whom it was asked"
            )
        return cast("Mapping[str, Any]", claims)

    def _decoded(self, token: str) -> jwt.Token:
        """Checked with a key of the provider. One that is not known yet is asked for, a moment later at most."""
        wanted = jws.extract_compact(token.encode()).headers().get("kid")
        keys = self._keys()
        if wanted is not None and all(key.kid != wanted for key in keys.keys):
            keys = self._keys(fresh=True)
            if all(key.kid != wanted for key in keys.keys):
                raise ValueError("an unknown key")
        return jwt.decode(token, keys, algorithms=list(ALGORITHMS))

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        groups = claims.get(self.settings.groups_claim)
        named = self.settings.login_claim
        login = claims.get(named) if named else claims["sub"]
        name = claims.get("name") or claims.get("preferred_username")
        return Identity(
            issuer=self.settings.issuer,
            subject=claims["sub"],
            name=name if isinstance(name, str) and name.isprintable() else "",
            login=login if isinstance(login, str) else "",
            groups=tuple(g for g in groups if isinstance(g, str))
            if isinstance(groups, list)
            else (),
        )

    def _address(self, name: str) -> str:
        found = self._document(
            self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration", "its addresses"
        )
        if found.get("issuer") != self.settings.issuer:
            raise _unusable("it calls itself by another name than `issuer`")
        address = str(found.get(name, ""))
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK_NAMES:
            raise _unusable(f"its `{name}` is no https address")
        return address

    def _keys(self, *, fresh: bool = False) -> KeySet:
        found = self._document(self._address("jwks_uri"), "its keys", fresh=fresh)
        return KeySet.import_key_set(cast("Any", {"keys": found.get("keys", [])}))

    def _document(self, address: str, what: str, *, fresh: bool = False) -> Mapping[str, Any]:
        """Kept for an hour. `fresh` asks again, but not every few seconds: invented key ids would do that."""
        now = self._clock()
        with self._lock:
            known = self._kept.get(address)
            if fresh and now - self._renewed.get(address, -ASKED_AGAIN_S) >= ASKED_AGAIN_S:
                self._renewed[address] = now
                known = None
        if known is not None and now - known[0] < KEPT_S:
            return known[1]
        found = self._ask(lambda c: c.get(address), what)
        with self._lock:
            self._kept[address] = (now, found)
        return found

    def _ask(self, call: Callable[[httpx.Client], httpx.Response], what: str) -> Mapping[str, Any]:
        try:
            with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client:
                answer = call(client)
            found = answer.json() if len(answer.content) <= MAX_BYTES else None
        except (httpx.HTTPError, ValueError) as e:
            raise _unusable(f"it could not be asked for {what} ({type(e).__name__})") from None
        if answer.status_code in (400, 401, 403):
            raise _not_good(f"it refused {what}")
        if answer.status_code != 200 or not isinstance(found, dict):
            raise _unusable(f"it answered {answer.status_code} when asked for {what}")
        return found


def _not_good(why: str) -> NotPermitted:
    return NotPermitted(
        f"the identity provider did not prove who you are: {why}", hint="Sign in again."
    )


def _unusable(why: str) -> AdapterError:
    return AdapterError(
        f"the identity provider cannot be used: {why}",
        code="provider_unavailable",
        hint="Try again, or sign in with a password. An admin finds the settings in `identity.yaml`.",
    )
