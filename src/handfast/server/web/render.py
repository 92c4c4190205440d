"""The Jinja environment: everything escaped, everything inert, no name undefined.

`finalize` makes every text that a template prints inert, so a template cannot forget it. Markup made
here (coloured code) was made inert before.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from handfast.core.domain.inert import inert
from handfast.server.web import times

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def render(template: str, context: Mapping[str, Any]) -> str:
    """The page. Raises jinja2.UndefinedError when the context lacks a name the template uses."""
    return environment().get_template(template).render(context)


@cache
def environment() -> Environment:
    """The one environment; templates are compiled once a process."""
    env = Environment(
        loader=PackageLoader("handfast.server.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    env.filters.update(
        inert=shown,
        exact=exact,
        one_line=one_line,
        prose=prose,
        ago=times.ago,
        clock=times.clock,
        iso=times.iso,
        short_id=short_id,
        digest_short=digest_short,
    )
    return env


def shown(value: str, limit: int = 20_000) -> Markup:
    """Text over several lines, inert, cut after `limit` characters."""
    return escape(inert(value, limit))


def one_line(value: str, limit: int = 300) -> Markup:
    """Text in one line, inert, cut after `limit` characters."""
    return escape(inert(value, limit, multiline=False))


def prose(value: str, limit: int = 300) -> Markup:
    """One line in which `names in backticks` are set as code."""
    parts = inert(value, limit, multiline=False).split("`")
    if len(parts) % 2 == 0:  # an odd number of backticks pairs none with certainty
        return escape("`".join(parts))
    code = Markup("<code>{}</code>")
    return Markup("").join(
        code.format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


def exact(value: str) -> Markup:
    """Text for a form field that must come back unchanged: escaped, not marked and not cut."""
    return escape(value)


def short_id(value: str) -> Markup:
    """`ho_01J…9XKQ`: the prefix and the end, which differ between ids of one moment."""
    if len(value) <= 14:
        return one_line(value)
    prefix, _, rest = value.rpartition("_")
    return one_line(f"{prefix}_…{rest[-6:]}" if prefix else f"…{rest[-6:]}")


def digest_short(value: str) -> Markup:
    """The first twelve hexadecimal digits of a digest, without its algorithm."""
    return one_line(value.rpartition(":")[2][:12])


def _finalize(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Markup):
        return inert(value)
    if isinstance(value, datetime):
        return times.iso(value)
    return value
