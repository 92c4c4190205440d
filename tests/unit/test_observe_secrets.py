"""Credentials are blanked; ordinary text is left alone; hostile text costs no time."""

import time

import pytest

from handfast.observe.findings import clean
from handfast.observe.secrets import redact

A36 = "a1B2" * 9

SECRETS = [
    "AKIAABCDEFGHIJKLMNOP",
    f"ghp_{A36}",
    f"github_pat_{A36}{A36}",
    f"glpat-{A36}",
    f"xoxb-{A36}",
    f"sk-ant-api03-{A36}",
    f"sk-proj-{A36}",
    f"npm_{A36}",
    f"hfo_{A36}",
    "AIza" + "a" * 35,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\nabc without an end",
    "Authorization: Bearer abcdefghijklmnop",
    "https://user:hunter22@example.org/x",
    "password=hunter22",
    'API_KEY: "abcdef123456"',
    "DB_PASSWORD=correcthorse",
    "aws_secret_access_key = wJalrXUtnFEMIK7MDENG",
    "--token=abcdef123456",
]

PLAIN = [
    "the token is checked by the parser",
    "token = tokens[0]",
    "password: str",
    "def password(self): return self.password",
    "git push origin main",
    "key=value",
    "SECRET=$SECRET",
    "https://example.org:8080/path@x",
    "sha256:" + "a" * 64,
    "tokenize(text)",
]


@pytest.mark.parametrize("text", SECRETS)
def test_blanked(text: str) -> None:
    shown, count = redact(f"before {text} after")
    assert count == 1
    assert "[redacted" in shown
    assert shown.startswith("before ")
    for part in ("hunter22", "correcthorse", A36, "abcdef123456", "wJalr"):
        assert part not in shown


@pytest.mark.parametrize("text", PLAIN)
def test_left_alone(text: str) -> None:
    assert redact(text) == (text, 0)


def test_hostile_text_is_linear() -> None:
    for unit in ("token", "a_", "secret=", "eyJ", "://a:", "-----BEGIN ", "sk-", "password "):
        text = unit * (200_000 // len(unit))
        start = time.monotonic()
        redact(text)
        assert time.monotonic() - start < 10


def test_one_line_without_secrets_or_hidden_characters() -> None:
    shown = clean(f"a\nb\x1b[31m token=ghp_{A36} " + "x" * 500, 100)
    assert len(shown) <= 100
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert A36 not in shown
