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

HEX = "0f9e8d7c" * 8
MIXED = "aB3dE6gH9kL2" * 20

# Shapes as their makers publish them. The last is what must be gone from the text.
SHAPED = [
    ('{"SecretAccessKey": "' + MIXED[:40] + '"}', MIXED[:40]),
    ("aws_session_token = " + MIXED, MIXED),
    ("xapp-1-A0" + MIXED[:9] + "-123456789012-" + HEX, HEX),
    ("whsec_" + MIXED[:32], MIXED[:32]),
    ("GOCSPX-" + MIXED[:28], MIXED[:28]),
    ("//registry.example.org/:_authToken=" + MIXED[:36], MIXED[:36]),
    ("key-" + HEX[:32], HEX[:32]),
    ("SK" + HEX[:32], HEX[:32]),
    ("dop_v1_" + HEX, HEX),
    ("shpat_" + HEX[:32], HEX[:32]),
    ("123456789:AA" + MIXED[:33], MIXED[:33]),
    ("MTA" + MIXED[:23] + "." + MIXED[:6] + "." + MIXED[:38], MIXED[:38]),
    ("https://discord.com/api/webhooks/123456789012345678/" + MIXED[:68], MIXED[:68]),
    ("hvs." + MIXED[:90], MIXED[:90]),
    ("dapi" + HEX[:32], HEX[:32]),
    ("lin_api_" + MIXED[:40], MIXED[:40]),
    ("ntn_" + MIXED[:46], MIXED[:46]),
    ("dp.pt." + MIXED[:43], MIXED[:43]),
    ("NRAK-" + MIXED[:27].upper(), MIXED[:27].upper()),
    ("ATATT3xFfGF0" + MIXED[:180], MIXED[:180]),
    ("figd_" + MIXED[:40], MIXED[:40]),
    ("pscale_tkn_" + MIXED[:43], MIXED[:43]),
    (MIXED[:14] + ".atlasv1." + MIXED[:64], MIXED[:64]),
    ("AGE-SECRET-KEY-1" + MIXED[:58].upper(), MIXED[:58].upper()),
    ("AccountName=x;AccountKey=" + MIXED[:86] + "==;EndpointSuffix=x", MIXED[:86]),
    ("https://x.blob.example.org/c?sv=2022&sig=" + MIXED[:43] + "%3D", MIXED[:43]),
    ("redis://:hunter2hunter@cache:6379/0", "hunter2hunter"),
    ("X-Api-Key: " + MIXED[:32], MIXED[:32]),
    ("PRIVATE-TOKEN: " + MIXED[:20], MIXED[:20]),
    ("Set-Cookie: sessionid=" + MIXED[:32], MIXED[:32]),
    (f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{MIXED}\n-----END PGP PRIVATE KEY BLOCK-----", MIXED),
    ("mysql -u root -pS3cretPw99 shop", "S3cretPw99"),
    ("tool --password hunter2hunter2", "hunter2hunter2"),
    ("curl -u admin:S3cretPw99 https://x", "S3cretPw99"),
    ("PGPASSWORD=hunter22 psql", "hunter22"),
    ("sshpass -p 'hunter22' ssh x", "hunter22"),
    ("docker login -u x -p hunter22 registry", "hunter22"),
    ('dbPassword = "hunter22hunter"', "hunter22hunter"),
    ('"apiKey":"' + MIXED[:32] + '"', MIXED[:32]),
    ("secretKey: " + MIXED[:32], MIXED[:32]),
    ("machine x login y password hunter22", "hunter22"),
]

LOOK_ALIKES = [
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "id 123e4567-e89b-12d3-a456-426614174000",
    "<div class='sk-spinner-three-bounce-loading'>",
    "max_tokens: 4096",
    "token_count = 1234567",
    'secret_name = "db/creds"',
    "password_file: /run/secrets/db",
    'token_type: "bearer_token"',
    "self.token = request.token_value",
    "api_key=api_key",
    "password = new_password",
    'password: "********"',
    "API_KEY=your-api-key-here",
    "Authorization: Bearer $TOKEN",
    "Authorization: Bearer <token>",
    "Authorization: basic authentication",
    "postgres://app:${DB_PASSWORD}@db/x",
    "postgres://localhost:5432/db",
    "git@github.com:org/repo.git",
    "integrity sha512-" + "aB3" * 28 + "==",
    "secrets.token_hex(16)",
    "primary_key: true_value",
    "public_key = ssh-ed25519",
    "mysql -u root -p shop",
    "mysql --port 3306 -h db.example.org",
    "docker run -p 8080:80 nginx",
    "curl -u $USER:$PASS https://x",
    "--token-color: #ffffff",
    "token = parser.next_token",
    "ssh -p 2222 host",
    "password=os.environ['X']",
    "const token = getToken();",
    "Cookie: theme=dark",
    "https://x/?sig=1&b=2",
    "gr_01ARZ3NDEKTSV4RRFFQ69G5FAV",
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


@pytest.mark.parametrize(("text", "gone"), SHAPED, ids=[text[:24] for text, _ in SHAPED])
def test_published_shapes_are_blanked(text: str, gone: str) -> None:
    shown, count = redact(f"before {text} after")
    assert count >= 1
    assert gone not in shown


def test_a_secret_between_a_program_and_its_password_is_blanked_too() -> None:
    text = f"curl -H 'Authorization: Bearer {A36}' -u admin:S3cretPw99 https://x"
    shown, count = redact(text)
    assert count == 2
    assert A36 not in shown
    assert "S3cretPw99" not in shown


@pytest.mark.parametrize("text", SECRETS)
@pytest.mark.parametrize("before", [3_990, 4_000, 9_000])
def test_blanked_wherever_it_stands_in_a_long_text(text: str, before: int) -> None:
    filler = ("plain words here\n" * 600)[:before]
    shown, count = redact(f"{filler}\n{text}\n{filler}")
    assert count == 1
    assert shown.startswith(filler)
    assert shown.endswith(filler) or "without an end" in text


@pytest.mark.parametrize("text", [*PLAIN, *LOOK_ALIKES])
def test_left_alone(text: str) -> None:
    assert redact(text) == (text, 0)


def test_hostile_text_is_linear() -> None:
    for unit in (
        "token",
        "a_",
        "secret=",
        "eyJ",
        "://a:",
        "-----BEGIN ",
        "sk-",
        "password ",
        "mysql ",
        "curl ",
        "login ",
    ):
        text = unit * (200_000 // len(unit))
        start = time.process_time()  # others may be at work
        redact(text)
        assert time.process_time() - start < 10


def test_one_line_without_secrets_or_hidden_characters() -> None:
    shown = clean(f"a\nb\x1b[31m token=ghp_{A36} " + "x" * 500, 100)
    assert len(shown) <= 100
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert A36 not in shown
