"""A small OpenID provider on loopback: real HTTP, real signed tokens, PKCE demanded and checked.

It signs in whoever `account` says, at once. `spoil` lets a test make it lie in one point.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

CLIENT, SECRET = "handfast-test", "a client secret"


@dataclass
class Token:
    """What is about to be signed."""

    header: dict[str, Any]
    claims: dict[str, Any]
    key: RSAKey | OctKey


@dataclass
class OpenId:
    issuer: str
    keys: list[RSAKey]
    account: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "name": "Ida Ng"})
    spoil: Callable[[Token], None] = lambda _: None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def rotate(self) -> None:
        """A new key signs from now on; the old one is not published any more."""
        self.keys = [new_key()]

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        back = {"code": code, "state": query["state"], "iss": self.issuer}
        return f"{query['redirect_uri']}?{urlencode(back)}"

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """A code is good once, for who holds the verifier and the secret."""
        query = self.codes.pop(form.get("code", ""), None)
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).decode().rstrip("=")
        if (
            query is None
            or challenge != query["code_challenge"]
            or form["redirect_uri"] != query["redirect_uri"]
            or (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET)
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60}
        key = self.keys[0]
        token = Token(
            {"alg": "RS256", "kid": key.kid},
            {**claims, "nonce": query["nonce"], **self.account},
            key,
        )
        self.spoil(token)
        algorithms = [token.header["alg"]]
        signed = jwt.encode(token.header, token.claims, token.key, algorithms=algorithms)
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": signed}


def new_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})


def _handler(provider: OpenId) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            provider.asked.append(parts.path)
            if parts.path == "/.well-known/openid-configuration":
                base = provider.issuer
                self._json(
                    200,
                    {
                        "issuer": base,
                        "authorization_endpoint": f"{base}/authorize",
                        "token_endpoint": f"{base}/token",
                        "jwks_uri": f"{base}/keys",
                    },
                )
            elif parts.path == "/keys":
                self._json(200, KeySet(list(provider.keys)).as_dict(private=False))
            elif parts.path == "/authorize":
                query = {name: found[0] for name, found in parse_qs(parts.query).items()}
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.end_headers()
            else:
                self._json(404, {})

        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", "0"))
            form = parse_qs(self.rfile.read(size).decode())
            status, body = provider.token({name: found[0] for name, found in form.items()})
            self._json(status, body)

        def _json(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def open_id() -> Iterator[OpenId]:
    provider = OpenId("", [new_key()])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(provider))
    provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
