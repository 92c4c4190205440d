"""Finds credentials in text and blanks them. Applied before anything is stored, shown or logged.

The rules look for the published shapes of tokens and for assignments to names that mean a secret. They
are linear: every repetition is bounded, so hostile text cannot make them slow.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

# A name that means a secret, unless it goes on to mean something about one: `token_count`, `password_file`.
_NAME = (
    r"(?<![a-z0-9])(?:[a-z0-9]{1,30}[_-]){0,4}[a-z0-9]{0,20}?"
    r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|credentials?)"
    r"(?![_-]?(?:name|path|file|dir|url|uri|endpoint|type|kind|field|label|count|length|size|limit|ttl|expir|age|policy"
    r"|header|prefix|suffix|regex|pattern|color|colour|class|index|reset|manager|store|budget|usage)s?)"
    r"(?:[_-][a-z0-9]{1,20}|key|access|value){0,2}"
)
_ASSIGNMENT = rf"(?i:{_NAME}[\"']?\s{{0,3}}[=:]\s{{0,3}}[\"']?(?P<assigned>(?![$({{<\[])[^\s\"',;&|)]{{6,500}}))"
_BLOCK = (
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----[\s\S]{0,20000}?"
    r"(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
# An option whose value is a secret, and programs whose short option takes one.
_OPTION = (
    r"(?i:(?<![\w-])--(?:password|passwd|pass|passphrase|token|secret|api-?key|access-?key|auth-?token|client-secret)"
    r"[ =][\"']?(?P<option>(?![$({<\[-])[^\s\"',;&|)]{6,500}))"
)
_SHORT = (
    r"\b(?:(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\n|;&]{0,200}? -p|(?:sshpass|(?:docker|podman|registry) login)\b"
    r"[^\n|;&]{0,200}? -p ?|(?:curl|wget|http)\b[^\n|;&]{0,300}? (?:-u|--user)[ =][\"']?[^\s:'\"$]{1,100}:)"
    r"[\"']?(?P<short>(?![$({<\[])[^\s\"']{4,200})"
)
_NETRC = r"\bmachine\s{1,9}\S{1,200}\s{1,9}login\s{1,9}\S{1,200}\s{1,9}password\s{1,9}(?P<netrc>\S{3,200})"
_COOKIE = r"(?i:\b(?:set-)?cookie:\s{0,3}[\w.-]{1,60}=(?P<cookie>[^\s;\"',]{16,2000}))"
_SIGNED = r"(?i:[?&;](?:sig|x-amz-signature|x-goog-signature)=(?P<signed>[a-z0-9%/+=_-]{20,700}))"
# Tokens that say whose they are by their first letters.
_VENDORS: tuple[tuple[str, tuple[str, ...], str], ...] = tuple(
    (name, begins, rf"\b{rule}\b")
    for name, begins, rule in (
        ("slack-token", ("xapp-",), r"xapp-\d-[A-Za-z0-9-]{20,250}"),
        ("stripe-key", ("whsec_",), r"whsec_[A-Za-z0-9+/]{20,100}"),
        ("google-oauth", ("gocspx-",), r"GOCSPX-[A-Za-z0-9_-]{20,60}"),
        ("digitalocean-token", ("_v1_",), r"do[opr]_v1_[a-f0-9]{40,80}"),
        ("shopify-token", ("shp",), r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
        ("vault-token", ("hvs.", "hvb.", "hvr."), r"hv[sbr]\.[A-Za-z0-9_-]{20,300}"),
        ("databricks-token", ("dapi",), r"dapi[a-f0-9]{32}"),
        ("linear-key", ("lin_",), r"lin_(?:api|oauth)_[A-Za-z0-9]{30,80}"),
        ("notion-token", ("ntn_", "secret_"), r"(?:ntn|secret)_[A-Za-z0-9]{40,60}"),
        ("doppler-token", ("dp.",), r"dp\.(?:pt|st|ct|sa)\.[A-Za-z0-9._-]{30,100}"),
        ("new-relic-key", ("nrak-",), r"NRAK-[A-Z0-9]{27}"),
        ("atlassian-token", ("atatt3",), r"ATATT3[A-Za-z0-9_=-]{50,300}"),
        ("figma-token", ("figd_",), r"figd_[A-Za-z0-9_-]{30,80}"),
        ("planetscale-token", ("pscale_",), r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{30,80}"),
        ("terraform-token", (".atlasv1.",), r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{50,100}"),
        ("age-key", ("age-secret-key",), r"AGE-SECRET-KEY-1[A-Z0-9]{50,70}"),
        ("mailgun-key", ("key-",), r"key-[a-f0-9]{32}"),
        ("twilio-key", ("sk",), r"SK[a-f0-9]{32}"),
        ("telegram-token", (":aa",), r"\d{8,10}:AA[A-Za-z0-9_-]{32,34}"),
        (
            "discord-token",
            (".",),
            r"[MNO][A-Za-z0-9_-]{22,26}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",
        ),
        ("grafana-token", ("glsa_",), r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}"),
        ("docker-token", ("dckr_pat_",), r"dckr_pat_[A-Za-z0-9_-]{20,60}"),
    )
)
_NAMES = (
    "passw",
    "passphrase",
    "secret",
    "token",
    "credential",
    *(
        f"{what}{dash}key"
        for what in ("api", "access", "account", "private")
        for dash in ("", "_", "-")
    ),
)
# Name, texts one of which must be there in small letters for the rule to be tried, and the rule.
_RULES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "private-key",
        ("private key",),
        _BLOCK,
    ),
    ("handfast-token", ("hfa_", "hfr_", "hfo_"), r"\bhf[aro]_[A-Za-z0-9_-]{16,200}"),
    ("aws-key-id", ("akia", "asia", "abia", "acca"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    (
        "github-token",
        ("gh", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{40,255})",
    ),
    ("gitlab-token", ("gl",), r"\bgl(?:pat|dt|rt|cbt|ptt|ft)-[A-Za-z0-9_.-]{20,100}"),
    ("slack-token", ("xox",), r"\bxox[abeprs]-[A-Za-z0-9-]{10,250}"),
    (
        "slack-hook",
        ("hooks.slack",),
        r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,200}",
    ),
    (
        "discord-hook",
        ("/api/webhooks/",),
        r"https://discord(?:app)?\.com/api/webhooks/\d{10,25}/[A-Za-z0-9_-]{30,100}",
    ),
    ("stripe-key", ("k_live_", "k_test_"), r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,200}"),
    ("anthropic-key", ("sk-ant-",), r"\bsk-ant-[A-Za-z0-9_-]{20,200}"),
    (
        "openai-key",
        ("sk-",),
        r"\bsk-(?=[A-Za-z0-9_-]{0,100}\d)(?=[A-Za-z0-9_-]{0,100}[A-Z])[A-Za-z0-9_-]{20,200}",
    ),
    ("google-key", ("aiza",), r"\bAIza[A-Za-z0-9_-]{35}"),
    ("google-oauth", ("ya29.",), r"\bya29\.[A-Za-z0-9_-]{20,400}"),
    ("npm-token", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}"),
    ("pypi-token", ("pypi-",), r"\bpypi-[A-Za-z0-9_-]{50,300}"),
    ("sendgrid-key", ("sg.",), r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}"),
    ("hugging-face", ("hf_",), r"\bhf_[A-Za-z0-9]{30,100}"),
    (
        "jwt",
        ("eyj",),
        r"\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,1000}",
    ),
    (
        "authorization",
        ("authorization: ",),
        r"(?i:(?<=authorization: )(?:bearer|basic|token) (?-i:(?=[a-z._~+/-]{0,100}[A-Z0-9=]))[A-Za-z0-9._~+/=-]{8,2000})",
    ),
    ("bearer", ("bearer ",), r"(?<=\bBearer )[A-Za-z0-9._~+/=-]{16,2000}"),
    (
        "url-password",
        ("://",),
        r"(?<=://)[^\s/:@'\"]{0,100}:(?![$<{*])[^\s/@'\"]{3,200}(?=@)",
    ),
    *_VENDORS,
    ("signature", ("sig=", "signature="), _SIGNED),
    ("cookie", ("cookie:",), _COOKIE),
    ("netrc", ("machine",), _NETRC),
    ("assignment", _NAMES, _ASSIGNMENT),
    (
        "option",
        ("--pass", "--token", "--secret", "--api", "--access", "--auth", "--client"),
        _OPTION,
    ),
    ("option", ("mysql", "mariadb", "sshpass", " login", "curl", "wget", "http "), _SHORT),
)
# Rules that keep the name and blank the value.
_VALUES = ("assigned", "option", "short", "netrc", "cookie", "signed")


_PIECE = 4_000
_END = re.compile(r"(?<![=:\s])[ \t\r]{0,20}\n(?!\s{0,9}(?:login|password))")


@lru_cache(maxsize=1024)
def _pattern(tried: tuple[int, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<r{index}>{_RULES[index][2]})" for index in tried))


# Values that name a secret, a type or a place for one.
_HARMLESS = re.compile(
    r"(?i)^(?:none|null|true|false|undefined|string|required|optional|os\.\w.*|self\.\w.*|str\b.*|[a-z_][\w.]*[\[(].*"
    r"|[a-z_]\w*(?:\.[a-z_]\w*)+|[*x.•-]+|\[?redacted.*|(?:your|my|some|the)[-_].*|%[\w(].*|#[0-9a-f]{3,8}"
    r"|[a-z_]*(?:passw|token|secret|key|credential)[a-z_]*)$"
)


def redact(text: str) -> tuple[str, int]:
    """The text with each credential replaced by `[redacted <rule>]`, and how many were replaced.

    Linear in the text. Not proof that nothing is left: a secret of no known shape passes.
    """
    if len(text) <= _PIECE:
        return _redact(text)
    # Keys span lines. Everything else stands on one, and few rules are worth trying on each piece.
    text, count = _redact(text, keys_only=True)
    parts = []
    for piece in _pieces(text):
        part, more = _redact(piece)
        parts.append(part)
        count += more
    return "".join(parts), count


def _pieces(text: str) -> Iterator[str]:
    """Cut at line ends, but not behind a name that waits for its value."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        cut = _END.search(text, end)
        end = cut.end() if cut and end < len(text) else len(text)
        yield text[start:end]
        start = end


def _redact(text: str, *, keys_only: bool = False) -> tuple[str, int]:
    small = text.lower()
    tried = tuple(
        index
        for index, (_, begins, _) in enumerate(_RULES[:1] if keys_only else _RULES)
        if any(begin in small for begin in begins)
    )
    if not tried:
        return text, 0
    count = 0

    def blank(match: re.Match[str]) -> str:
        nonlocal count
        index = next(i for i in tried if match.group(f"r{i}") is not None)
        found = match.groupdict()
        kept = next((name for name in _VALUES if found.get(name) is not None), None)
        mark = f"[redacted {_RULES[index][0]}]"
        if kept is None:
            count += 1
            return mark
        head, more = _redact(match.group(0)[: match.start(kept) - match.start()])
        count += more
        if _HARMLESS.match(match.group(kept)):
            return head + match.group(kept)
        count += 1
        return head + mark

    return _pattern(tried).sub(blank, text), count
