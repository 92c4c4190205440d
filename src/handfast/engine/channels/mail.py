"""E-mail over SMTP: a plain and an HTML part with the same words, and nothing in them that a reader's
program could follow but the links that we made."""

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path

from markupsafe import Markup, escape

from handfast.core.domain.errors import UsageError
from handfast.engine.channels.message import SAYS, Case, Message
from handfast.engine.outlets import Smtp

TIMEOUT_S = 20.0
_FOOT = (
    "Each link opens its case once, in a browser that is signed in to Handfast. Nothing is decided by "
    "opening it, and nothing is ever approved by waiting."
)
_TEST = "This is a test of your notifications. Nothing waits for you because of it."
_HTML = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
    '<body style="font:15px/1.5 system-ui,sans-serif;color:#1d2330;max-width:42em;margin:1.5em auto;'
    'padding:0 1em">{cases}<p style="color:#5b6475;font-size:13px">{foot}</p></body></html>'
)
_CASE = Markup(
    '<section style="border:1px solid #d5dae3;border-radius:8px;padding:1em 1.2em;margin:0 0 1em">'
    '<h1 style="font-size:18px;margin:0 0 .4em">{ask}</h1>'
    '<p style="color:#5b6475;margin:0 0 .8em">{about}</p>{call}{details}<p>{why}</p><p><b>{question}</b></p>'
    '<p><a href="{link}" style="display:inline-block;background:#1f5fbf;color:#fff;padding:.5em 1em;'
    'border-radius:6px;text-decoration:none">Open the case</a></p>{says}</section>'
)
_PRE = Markup(
    '<pre style="background:#f4f6f9;border-radius:6px;padding:.7em;white-space:pre-wrap;'
    'overflow-wrap:anywhere">{}</pre>'
)
_SAYS = Markup(
    '<blockquote style="border-left:3px solid #d5dae3;margin:1em 0 0;padding:0 0 0 .8em;color:#5b6475">'
    "<b>{}:</b><br>{}</blockquote>"
)


def send(smtp: Smtp, address: str, message: Message) -> str:
    """Hand the message to the mail server; gives its Message-ID, the same for every attempt.

    Raises UsageError where the server offers no encryption that was asked for, and what smtplib raises.
    """
    mail = compose(smtp, address, message)
    with _connected(smtp) as server:
        if smtp.username:
            server.login(smtp.username, smtp.password)
        server.send_message(mail)
    return str(mail["Message-ID"])


def compose(smtp: Smtp, address: str, message: Message) -> EmailMessage:
    name, sender = parseaddr(smtp.sender)
    user, _, domain = sender.rpartition("@")
    if not user or not domain:
        raise UsageError("`smtp.from` is not an e-mail address")
    mail = EmailMessage()
    mail["From"] = Address(name, user, domain)
    mail["To"] = address
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{message.key}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(plain(message))
    mail.add_alternative(html(message), subtype="html")
    return mail


def plain(message: Message) -> str:
    parts = [_plain_case(case) for case in message.cases] or [_TEST]
    return "\n\n-- \n\n".join(parts) + (f"\n\n{_FOOT}\n" if message.cases else "\n")


def html(message: Message) -> str:
    cases = Markup("").join(_html_case(case) for case in message.cases)
    foot = _FOOT if message.cases else _TEST
    return str(_HTML.format(title=message.subject, cases=cases, foot=foot))


def _plain_case(case: Case) -> str:
    lines = [case.ask, case.about(", "), ""]
    if case.call:
        lines += [f"    {line}" for line in case.call.split("\n")] + [""]
    lines += [f"- {detail}" for detail in case.details]
    lines += [case.why, case.question, "", f"Open the case: {case.link}"]
    if case.says:
        lines += ["", f"{SAYS}:", f"> {case.says}"]
    return "\n".join(lines)


def _html_case(case: Case) -> Markup:
    details = Markup("").join(Markup("<li>{}</li>").format(d) for d in case.details)
    return _CASE.format(
        ask=case.ask,
        about=case.about(", "),
        call=_PRE.format(case.call) if case.call else "",
        details=Markup("<ul>{}</ul>").format(details) if details else "",
        why=case.why,
        question=case.question,
        link=escape(case.link),
        says=_SAYS.format(SAYS, case.says) if case.says else "",
    )


def _connected(smtp: Smtp) -> smtplib.SMTP:
    if smtp.security == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=TIMEOUT_S, context=_tls(smtp))
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=TIMEOUT_S)
    if smtp.security == "none":
        return server
    try:
        server.starttls(context=_tls(smtp))
    except smtplib.SMTPNotSupportedError:
        server.close()
        raise UsageError(
            f"`{smtp.host}` does not offer STARTTLS; nothing was sent",
            hint="Set `smtp.security` to tls, or to none for a server on this machine.",
        ) from None
    except BaseException:
        server.close()
        raise
    return server


def _tls(smtp: Smtp) -> ssl.SSLContext:
    if smtp.ca_file and not Path(smtp.ca_file).is_file():
        raise UsageError(f"`smtp.ca_file` `{smtp.ca_file}` is not a file")
    return ssl.create_default_context(cafile=smtp.ca_file or None)
