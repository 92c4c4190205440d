"""Clients that fetch, put or call over a network, beside curl and wget."""

import re

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.network import SENDING_METHODS, check_url
from handfast.observe.unknown import elsewhere
from handfast.observe.words import Word

_NAMES_OUTPUT = {
    "aria2c": ("-d", "-o", "--dir", "--out", "-l", "--log"),
    "axel": ("-o", "--output"),
    "fetch": ("-o",),
    "lynx": ("-cfg",),
}


def fetcher(call: Invocation, case: Case) -> None:
    """aria2c, axel, lynx: what they fetch is written here."""
    case.findings.at_least(Effect.NETWORK)
    case.downloads = True
    for word in call.args:
        check_url(word.text, case) if "://" in word.text else None
    for flag, value in zip(call.args, [*call.args[1:], Word("")], strict=False):
        name, equals, _ = flag.text.partition("=")
        if name in _NAMES_OUTPUT.get(call.name, ()):
            elsewhere(flag.cut(len(name) + 1) if equals else value, call, case)
    case.findings.headline(f"fetches: `{call.shown}`")


def perl_client(call: Invocation, case: Case) -> None:
    """libwww-perl's programs: named after a method, or told one by `-m`."""
    fetcher(call, case)
    texts = call.texts
    method = texts[texts.index("-m") + 1] if "-m" in texts[:-1] else call.name
    _sends(call, case, sends=method.upper() in SENDING_METHODS)


def caller(call: Invocation, case: Case) -> None:
    """grpcurl and its like: a call that is no question about what there is."""
    case.findings.at_least(Effect.NETWORK)
    _sends(call, case, sends=not {"list", "describe", "--help", "-help"} & set(call.texts))


def _sends(call: Invocation, case: Case, *, sends: bool) -> None:
    hosts = [word.text for word in call.args if re.search(r"://|:\d+\Z", word.text)]
    local = bool(hosts) and all(check_url(each, case)[1] for each in hosts)
    if sends and not local:
        case.findings.hazard("net.send", f"sends data to another host: `{call.shown}`")


def session(call: Invocation, case: Case) -> None:
    """ftp, lftp: what a session does is told by its script, and most of it changes the other side."""
    case.findings.at_least(Effect.NETWORK)
    if call.texts not in (["--version"], ["--help"]):
        case.findings.hazard("net.send", f"works on another host: `{call.shown}`")


HANDLERS = {
    **dict.fromkeys(("aria2c", "axel", "lynx", "w3m", "links", "fetch", "GET"), fetcher),
    **dict.fromkeys(("POST", "PUT", "DELETE", "HEAD", "lwp-request"), perl_client),
    **dict.fromkeys(("grpcurl", "evans", "buf-curl", "wscat"), caller),
    **dict.fromkeys(("ftp", "lftp", "tnftp", "ncftp"), session),
}
