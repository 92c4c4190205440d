"""Programs and code that print what the environment holds, tokens included."""

import re

from handfast.observe.case import Case, Invocation
from handfast.observe.control import SECRET_NAME
from handfast.observe.words import DYNAMIC, Word

_NAMED = r"\w*(?:TOKEN|SECRET|PASSW(?:OR)?D|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL)\w*"
# By language: the whole environment, or a variable of it whose name says that it is a secret.
_CODE = {
    "python": rf"\benviron\b(?!\s*(?:\[|\.\s*(?:get|setdefault|pop|update|clear|copy)\b))"
    rf"|\b(?:environ(?:\.get)?|getenv)\s*[\[(]\s*['\"]{_NAMED}['\"]",
    "node": rf"process\s*\[\s*['\"]env|\{{\s*env\b[^}}]*\}}\s*=\s*process\b|process\.env\b(?!\s*(?:\.\s*\w|\[))|process\.env\s*(?:\.\s*|\[\s*['\"]){_NAMED}",
    "ruby": rf"\bENV\b(?!\s*(?:\[|\.(?:fetch|key\?|include\?|has_key\?)\b))|\bENV(?:\[|\.fetch\(?)\s*['\"]{_NAMED}",
    "php": rf"\$_ENV\b(?!\s*\[)|\$_SERVER\b(?!\s*\[)|getenv\(\s*\)|phpinfo|(?:getenv\(|\$_(?:ENV|SERVER)\[)\s*['\"]{_NAMED}",
    "perl": rf"[%@]ENV\b|\$ENV\{{['\"]?{_NAMED}",
    "lua": rf"os\.getenv\s*\(?\s*['\"]{_NAMED}",
    "r": rf"Sys\.getenv\(\s*\)|Sys\.getenv\(\s*['\"]{_NAMED}",
    "jq": rf"(?:\$ENV|(?<![.\w\"$@])env)\b(?!\s*[:.(\w\"])|(?:\$ENV|\benv)\s*\.\s*\"?{_NAMED}|\b(?:str)?env\({_NAMED}\)",
    "awk": rf"\bin\s+ENVIRON\b|ENVIRON\[\s*\"{_NAMED}",
}
_PATTERNS = {language: re.compile(pattern) for language, pattern in _CODE.items()}
_SHOWS = re.compile(r"print|write|dump|log|send|post|puts|\bp\b|echo|say|cat\(")
_NO_PRINT_NEEDED = frozenset({"jq", "node", "r", "awk", "ruby"})


def by_code(language: str, code: str) -> bool:
    """Whether inline code shows the environment. Code that prints nothing only uses it."""
    pattern = _PATTERNS.get(language)
    if pattern is None or not pattern.search(code):
        return False
    return language in _NO_PRINT_NEEDED or bool(_SHOWS.search(code))


def secrets(call: Invocation, case: Case) -> None:
    """What a program that only looks shows of the environment."""
    shown = ""
    if call.name in {"jq", "yq"}:
        shown = next((text for text in call.texts if by_code("jq", text)), "")
    elif call.name in {"awk", "gawk", "mawk", "nawk"}:
        shown = next((text for text in call.texts if by_code("awk", text)), "")
    elif call.name == "ps" and any(
        re.match(r"[a-zA-Z]*e[a-zA-Z]*\Z|-\w*E", t) for t in call.texts[:1]
    ):
        shown = "the environment of processes"
    elif call.name == "getent" and {"shadow", "gshadow"} & set(call.texts):
        shown = "password hashes"
    elif call.name in {"declare", "typeset"}:
        shown = next((text for text in call.texts if SECRET_NAME.fullmatch("$" + text)), "")
    elif call.name == "envsubst" and call.simple.stdin is not None:
        found = SECRET_NAME.search(call.simple.stdin.text)
        shown = found.group(0) if found else ""
    if shown:
        case.findings.hazard("secret.access", f"prints {shown[:60]}", undo=True)
    if call.simple.stdin is not None:
        _given(call.simple.stdin, case)


def _given(word: Word, case: Case) -> None:
    for source in word.sources:
        if SECRET_NAME.fullmatch(source) and DYNAMIC in word.raw:
            case.findings.hazard("secret.access", f"prints {source}", undo=True)
