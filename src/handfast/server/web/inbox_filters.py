"""What a reader wants to see of the queue: the filters of the inbox, as a form and as an address."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import urlencode

from handfast.server.web.inbox_view import NEEDS
from handfast.server.web.reading import Record, text
from handfast.server.web.wording import KINDS, RISKS

MAX_TEXT = 100
HELD = {"": "anybody's", "me": "held by me", "nobody": "held by nobody"}
_CHOICES: Mapping[str, frozenset[str]] = {
    "need": frozenset(NEEDS),
    "risk": frozenset(RISKS),
    "kind": frozenset(KINDS),
    "held": frozenset(HELD),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty fields do not filter. `q` is a part of the ask, `agent` and `repo` a part of the name."""

    q: str = ""
    need: str = ""
    risk: str = ""
    kind: str = ""
    agent: str = ""
    repo: str = ""
    held: str = ""

    @property
    def any(self) -> bool:
        return self != EVERYTHING

    @property
    def of_text(self) -> bool:
        """Whether the content of a case must be read to know if it fits."""
        return bool(self.q or self.repo)

    @property
    def address(self) -> str:
        """The query of the inbox's address, '' for no filter. Stable: the same filters give the same text."""
        return urlencode({f.name: v for f in fields(self) if (v := str(getattr(self, f.name)))})

    def takes(self, record: Record) -> bool:
        """Whether a row of the queue fits what only its content tells."""
        if self.repo and self.repo.casefold() not in text(record, "repository").casefold():
            return False
        return not self.q or self.q.casefold() in text(record, "ask").casefold()


EVERYTHING = Filters()


def read_filters(given: Mapping[str, str]) -> Filters:
    """From an address or a form; a choice that is not offered counts as none, texts are cut."""
    found = {}
    for field in fields(Filters):
        value = given.get(field.name, "").strip()[:MAX_TEXT]
        if field.name in _CHOICES and value not in _CHOICES[field.name]:
            value = ""
        found[field.name] = value
    return Filters(**found)
