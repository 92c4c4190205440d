"""Finds credentials in text and blanks them. Applied before anything is stored, shown or logged.

The rules look for the published shapes of tokens and for assignments to names that mean a secret. They
are linear: every repetition is bounded, so hostile text cannot make them slow.
"""

import re

_ASSIGNMENT = (
    r"(?i:(?<![a-z])(?:[a-z0-9]{1,30}[_-]){0,4}(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|credentials?)(?:[_-][a-z0-9]{1,20}){0,2}[\"']?\s{0,3}[=:]\s{0,3}[\"']?"
    r"(?P<value>(?![$({<\[])[^\s\"',;&|)]{6,500}))"
)
_RULES: tuple[tuple[str, str], ...] = (
    (
        "private-key",
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{0,20000}?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
    ),
    ("handfast-token", r"\bhf[aro]_[A-Za-z0-9_-]{16,200}"),
    ("aws-key-id", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    ("github-token", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{40,255})"),
    ("gitlab-token", r"\bgl(?:pat|dt|rt|cbt|ptt|ft)-[A-Za-z0-9_-]{20,100}"),
    ("slack-token", r"\bxox[abeprs]-[A-Za-z0-9-]{10,250}"),
    ("slack-hook", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,200}"),
    ("stripe-key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,200}"),
    ("anthropic-key", r"\bsk-ant-[A-Za-z0-9_-]{20,200}"),
    ("openai-key", r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{20,200}"),
    ("google-key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("google-oauth", r"\bya29\.[A-Za-z0-9_-]{20,400}"),
    ("npm-token", r"\bnpm_[A-Za-z0-9]{36}"),
    ("pypi-token", r"\bpypi-[A-Za-z0-9_-]{50,300}"),
    ("sendgrid-key", r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}"),
    ("hugging-face", r"\bhf_[A-Za-z0-9]{30,100}"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,1000}"),
    (
        "authorization",
        r"(?i:(?<=authorization: )(?:bearer|basic|token) [A-Za-z0-9._~+/=-]{8,2000})",
    ),
    ("bearer", r"(?<=\bBearer )[A-Za-z0-9._~+/=-]{16,2000}"),
    ("url-password", r"(?<=://)[^\s/:@'\"]{0,100}:[^\s/@'\"]{3,200}(?=@)"),
    (
        "assignment",
        _ASSIGNMENT,
    ),
)
_PATTERN = re.compile("|".join(f"(?P<r{i}>{rule})" for i, (_, rule) in enumerate(_RULES)))
# A cheap test first: most text holds none of these.
_WORTH = re.compile(
    r"(?i)passw|passphrase|secret|token|key|credential|bearer|authorization|gh[pousr]_|github_pat|glpat|xox|akia|asia"
    r"|aiza|sk[-_]|npm_|pypi-|sg\.|hf[_aro]|eyj|ya29|://[^\s]{1,300}@|gl[dcrpf]|rk_|hooks\.slack|ab?cca|abia"
)
_HARMLESS = re.compile(
    r"(?i)^(?:none|null|true|false|undefined|string|required|optional|os\.\w.*|self\.\w.*|str\b.*|[a-z_][\w.]*[\[(].*)$"
)


def redact(text: str) -> tuple[str, int]:
    """The text with each credential replaced by `[redacted <rule>]`, and how many were replaced.

    Linear in the text. Not proof that nothing is left: a secret of no known shape passes.
    """
    if not _WORTH.search(text):
        return text, 0
    count = 0

    def blank(match: re.Match[str]) -> str:
        nonlocal count
        index = next(i for i in range(len(_RULES)) if match.group(f"r{i}") is not None)
        value = match.group("value")
        if value is None:
            count += 1
            return f"[redacted {_RULES[index][0]}]"
        if _HARMLESS.match(value):
            return match.group(0)
        count += 1
        start = match.start("value") - match.start()
        return match.group(0)[:start] + f"[redacted {_RULES[index][0]}]"

    return _PATTERN.sub(blank, text), count
