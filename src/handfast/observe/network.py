"""Programs that talk to other hosts: what is sent, where, and what is written here."""

import re
from urllib.parse import urlsplit

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.control import SECRET_NAME
from handfast.observe.options import Parsed, parse
from handfast.observe.words import Word

_LOOPBACK = re.compile(
    r"(?i)^(localhost(\.localdomain)?|127(\.\d+){1,3}|\[?::1\]?|0\.0\.0\.0|0|ip6-localhost|.*\.localhost)$"
)


def _long(words: str) -> frozenset[str]:
    return frozenset(f"--{word}" for word in words.split())


_CURL_SHORT = "AbCcdDeEFhHKmoPQrTtuUwxXyYz"
_CURL_LONG = _long(
    "data data-raw data-binary data-ascii data-urlencode json form form-string upload-file request header"
    " output user user-agent url config proxy cookie cookie-jar dump-header max-time connect-timeout"
    " cacert cert key write-out resolve connect-to retry retry-delay retry-max-time referer range"
    " limit-rate output-dir interface proxy-user oauth2-bearer trace trace-ascii stderr unix-socket socks5"
    " preproxy netrc-file quote engine libcurl hsts alt-svc etag-save etag-compare pass cert-type key-type"
    " ciphers max-filesize max-redirs time-cond url-query variable expand-data noproxy dns-servers"
    " aws-sigv4 proxy-header capath crlfile request-target ftp-port mail-from mail-rcpt mail-auth"
    " speed-limit speed-time tls-max continue-at login-options pinnedpubkey proto proto-default"
    " proto-redir service-name socks4 socks4a socks5-hostname abstract-unix-socket keepalive-time"
    " ipfs-gateway doh-url"
)
_WGET_LONG = _long(
    "post-data post-file body-data body-file method output-document directory-prefix header user password"
    " execute timeout tries input-file user-agent use-askpass output-file append-output base load-cookies"
    " save-cookies warc-file rejected-log referer limit-rate proxy-user wait"
)
SENDING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE", "MKCOL", "MOVE", "COPY"})
_LONG_QUERY = 256


def is_loopback(host: str) -> bool:
    return bool(_LOOPBACK.match(host))


def check_url(text: str, case: Case) -> tuple[str, bool]:
    """The host of a URL and whether it is this machine. Our own ports are control plane."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if port in case.places.scope.protected_ports:
        case.findings.hazard("control-plane", f"talks to Handfast's own port {port}")
    return host, is_loopback(host)


_CURL_KEEPS = ("--libcurl", "--hsts", "--alt-svc", "--etag-save")
_METADATA = re.compile(
    r"169\.254\.(169\.254|170\.2)|100\.100\.100\.200|metadata\.(google|azure|goog)\b.*|\[?fd00:ec2::254\]?"
)


def curl(call: Invocation, case: Case) -> None:
    parsed = parse(call.args, _CURL_SHORT, _CURL_LONG)
    case.findings.at_least(Effect.NETWORK)
    for value in _values(
        parsed,
        "-o",
        "--output",
        "-D",
        "--dump-header",
        "-c",
        "--cookie-jar",
        "--trace",
        "--trace-ascii",
        "--stderr",
        *_CURL_KEEPS,
    ):
        if value.text != "-":
            case.writes(value, call.simple.cwds)
            case.downloads = True
    if parsed.has("-O", "--remote-name"):
        case.writes(parsed.value("--output-dir") or Word("."), call.simple.cwds, "downloads into")
        case.downloads = True
    for value in _values(parsed, "-w", "--write-out"):
        for name in re.findall(r"%output\{>?>?([^}]*)\}", value.text):
            case.writes(Word(name), call.simple.cwds)
    if parsed.has("-K", "--config"):
        case.findings.opaque("config-file", "reads its options from a file")
    if parsed.has("", "--unix-socket") or parsed.has("", "--abstract-unix-socket"):
        case.findings.opaque("config-file", "talks through a local socket")
    sent = _values(
        parsed, "-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode", "--json", "-F",
        "--form", "--form-string", "-T", "--upload-file"
    )  # fmt: skip
    method = next((value.text.upper() for value in _values(parsed, "-X", "--request")), "")
    sends = method in SENDING_METHODS or (bool(sent) and not parsed.has("-G", "--get"))
    sends = sends or bool(_values(parsed, "-Q", "--quote", "--mail-rcpt"))
    sends = sends or any(value.text.startswith("@") for value in _values(parsed, "-H", "--header"))
    sends = sends or any(value.dynamic for value in _values(parsed, "-X", "--request"))
    urls = parsed.operands + parsed.all_values("--url")
    _requests(
        "curl",
        urls,
        call,
        case,
        sends=sends,
        carried=sent + _values(parsed, "-H", "--header", "-u", "--user", "-b", "--cookie"),
    )


def wget(call: Invocation, case: Case) -> None:
    parsed = parse(call.args, "OoaPietTUQlADIRXBw", _WGET_LONG)
    case.findings.at_least(Effect.NETWORK)
    case.downloads = True
    target = parsed.value("-O", "--output-document")
    if target is None:
        case.writes(
            parsed.value("-P", "--directory-prefix") or Word("."),
            call.simple.cwds,
            "downloads into",
        )
    elif target.text != "-":
        case.writes(target, call.simple.cwds)
    for value in _values(parsed, "-o", "-a", "--output-file", "--append-output", "--save-cookies"):
        case.writes(value, call.simple.cwds)
    if (
        parsed.has("-e", "--execute")
        or parsed.has("", "--use-askpass")
        or parsed.has("", "--config")
    ):
        case.findings.opaque(
            "config-file", f"gives wget settings that may run a program: `{call.shown}`"
        )
    sent = _values(parsed, "--post-data", "--post-file", "--body-data", "--body-file")
    method = next((value.text.upper() for value in _values(parsed, "--method")), "")
    _requests(
        "wget",
        parsed.operands,
        call,
        case,
        sends=bool(sent) or method in SENDING_METHODS,
        carried=sent,
    )


def httpie(call: Invocation, case: Case) -> None:
    operands = parse(call.args, "oapA", frozenset({"--output", "--auth", "--session"})).operands
    case.findings.at_least(Effect.NETWORK)
    method = operands[0].text.upper() if operands else ""
    urls = operands[1:2] if method in SENDING_METHODS | {"GET", "HEAD", "OPTIONS"} else operands[:1]
    items = operands[2:] if urls == operands[1:2] else operands[1:]
    sends = method in SENDING_METHODS or any(re.search(r"[^=:]=|:=|@", word.text) for word in items)
    _requests(call.name, urls, call, case, sends=sends, carried=items)
    for flag, value in zip(call.args, call.args[1:], strict=False):
        if flag.text in {"-o", "--output"}:
            case.writes(value, call.simple.cwds)


def _values(parsed: Parsed, *names: str) -> list[Word]:
    return [value for name in names for value in parsed.all_values(name)]


def _requests(
    name: str, urls: list[Word], call: Invocation, case: Case, *, sends: bool, carried: list[Word]
) -> None:
    found = case.findings
    for word in carried:
        at = word.text.find("@")
        if 0 <= at < len(word.text) - 1 and (at == 0 or word.text[at - 1] == "="):
            case.reads(word.cut(at + 1), call.simple.cwds)
    for word in urls:
        _request(name, word, call, case, sends=sends)
    if not urls and not any(flag in {"-V", "--version", "-h", "--help"} for flag in call.texts):
        found.detail(f"{name} without an address")


def _request(name: str, word: Word, call: Invocation, case: Case, *, sends: bool) -> None:
    found = case.findings
    if word.text.startswith("file:"):
        case.reads(Word(word.raw.removeprefix("file:").removeprefix("//")), call.simple.cwds)
        return
    if re.match(r"(gopher|dict|telnet)s?://", word.text):
        found.hazard("net.send", f"speaks to a service in its own protocol: {word.shown}")
    if (
        re.match(
            r"(telnet|gopher|dict|smtp|smtps|ftp|tftp|ldap|mqtt|imap|scp|sftp|rtsp)s?://", word.text
        )
        and sends
    ):
        found.hazard("net.send", f"sends data to {word.shown}")
    host, local = check_url(word.text, case)
    shown = word.shown.split("?", 1)[0]
    if _METADATA.fullmatch(host):
        found.hazard("secret.access", f"asks the cloud for this machine's credentials: {shown}")
    if word.dynamic and not re.match(r"[a-z]+://[^/\ufdd0]+/", word.text):
        found.opaque(
            "dynamic-host", f"{name} talks to a host that is only known when it runs: {shown}"
        )
    elif word.dynamic and not local and _computed(word):
        found.hazard("net.send", f"puts the output of other commands into a request to {host}")
    if sends and not local:
        found.hazard("net.send", f"sends data to {shown}")
    found.headline(f"{'sends data to' if sends else 'fetches'} {shown}")
    found.detail(f"reaches {host or shown}")
    if len(word.text) - len(shown) > _LONG_QUERY:
        found.detail(f"the address carries {len(word.text) - len(shown)} characters of query")


def _computed(word: Word) -> bool:
    """Whether the output of a command, or a variable named like a secret, went into the word."""
    return any(
        not source.startswith("$") or SECRET_NAME.fullmatch(source) for source in word.sources
    )


def sockets(call: Invocation, case: Case) -> None:
    """nc, telnet, socat: raw connections."""
    case.findings.at_least(Effect.NETWORK)
    words = " ".join(call.texts)
    ports = set(case.places.scope.protected_ports)
    if any(int(number) in ports for number in re.findall(r"(?<!\d)\d{2,5}(?!\d)", words)):
        case.findings.hazard("control-plane", f"connects to Handfast's own port: `{call.shown}`")
    if re.search(r"(?i)(^|\s)(-[a-z]*[ec]\s|--(sh-)?exec)|EXEC:|SYSTEM:", words):
        case.findings.hazard(
            "exec.remote", f"gives a network peer a program to run: `{call.shown}`"
        )
    hosts = [word.text for word in parse(call.args, "wpsIOTXxiqm").operands]
    listening = any(re.match(r"-[a-z]*l", text) for text in call.texts)
    scan = any(re.match(r"-[a-z]*z", text) for text in call.texts)
    if (
        scan
        or (hosts and is_loopback(hosts[0]))
        or (listening and call.name in {"nc", "ncat", "netcat"})
    ):
        case.findings.headline(f"opens a local connection: `{call.shown}`")
    else:
        case.findings.hazard("net.send", f"opens a network connection: `{call.shown}`")


def remote_shell(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.NETWORK)
    if call.texts[:1] in (["-V"], ["-h"], ["--help"]):
        return
    case.findings.hazard("net.send", f"runs commands on another host: `{call.shown}`")
    words = call.args
    parsed = parse(words, "BbcDEeFIiJLlmOopQRSWw")
    for value in parsed.all_values("-o"):
        if re.match(r"(?i)\s*(proxycommand|localcommand|knownhostscommand|match)", value.text):
            case.findings.opaque("other-program", f"makes ssh run another program: `{call.shown}`")
    if any(str(port) in " ".join(call.texts) for port in case.places.scope.protected_ports):
        case.findings.hazard("control-plane", f"forwards Handfast's own port: `{call.shown}`")


def copies(call: Invocation, case: Case) -> None:
    """scp, rsync, sftp: to or from `host:path` is network, else a local copy."""
    parsed = parse(
        call.args,
        "cDFiJloPSXefTBM",
        frozenset(
            {
                "--rsh",
                "--exclude",
                "--include",
                "--filter",
                "--rsync-path",
                "--exclude-from",
                "--files-from",
            }
        ),
    )
    remote = [
        word
        for word in parsed.operands
        if re.match(r"([\w.@-]+::?|rsync://|scp://)", word.text)
        and "/" not in word.text.split(":")[0]
    ]
    if call.name == "rsync" and "--daemon" in call.texts:
        case.findings.hazard("net.send", f"opens folders to other hosts: `{call.shown}`")
    if call.name != "rsync" or remote:
        case.findings.at_least(Effect.NETWORK)
        if parsed.operands:
            case.findings.hazard("net.send", f"copies files between hosts: `{call.shown}`")
    shell = parsed.value("-e", "--rsh")
    if shell is not None:
        case.text(shell.text, call.simple.cwds)
    if any(flag.startswith("--remove-source") for flag in parsed.flags):
        case.deletes(parsed.operands[:-1], call.simple.cwds, recursive=True)
    for word in parsed.operands[:-1]:
        case.reads(word, call.simple.cwds)
    if parsed.operands and parsed.operands[-1] not in remote:
        if any(flag.startswith("--del") for flag in parsed.flags):
            case.deletes(parsed.operands[-1:], call.simple.cwds, recursive=True)
        case.writes(parsed.operands[-1], call.simple.cwds)


def names(call: Invocation, case: Case) -> None:
    """dig, ping: a name that is computed can carry data out."""
    case.findings.at_least(Effect.NETWORK)
    if any(word.dynamic and _computed(word) for word in call.args):
        case.findings.hazard(
            "net.send", f"puts the output of other commands into a name it asks for: `{call.shown}`"
        )


def mail(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.NETWORK)
    case.findings.hazard("net.send", f"sends mail: `{call.shown}`")


HANDLERS = {
    "curl": curl,
    "wget": wget,
    **dict.fromkeys(("http", "https", "xh"), httpie),
    **dict.fromkeys(
        ("nc", "ncat", "netcat", "telnet", "socat", "openssl-s_client", "websocat"), sockets
    ),
    **dict.fromkeys(("ssh", "mosh", "autossh", "sshpass"), remote_shell),
    **dict.fromkeys(("scp", "rsync", "sftp"), copies),
    **dict.fromkeys(("dig", "nslookup", "host", "ping", "ping6", "traceroute", "drill"), names),
    **dict.fromkeys(("mail", "mailx", "sendmail", "mutt", "msmtp"), mail),
}
