"""The twelve prepared cases on a real server, and the table of the docs that says where each fact stands."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from handfast.app import open_engine
from handfast.server.serving import ServerThread
from scripts.prepared_cases import prepare
from scripts.scene import PASSWORD
from tests.prepared import quick_hashes

DOCS = Path(__file__).parents[1] / "docs" / "reviewing.md"
EVERY = "every case that waits"
TAKEN = "a run in a person's hands"  # its page is the run's: nothing waits for an answer


@dataclass(frozen=True)
class Fact:
    """One row. `words` stand on the page below the heading `where`; `first`: on the first screen."""

    case: str
    kind: str
    asks: str
    words: str
    where: str
    first: bool


@dataclass(frozen=True)
class Prepared:
    """Case → address of its one page. `session` is the cookie of somebody who may decide."""

    url: str
    session: str
    pages: dict[str, str]


def table() -> list[Fact]:
    """Every row of the docs. A row without a case belongs to the case above it."""
    found: list[Fact] = []
    part = DOCS.read_text(encoding="utf-8").partition("## Where each fact stands")[2]
    case = kind = ""
    for row in re.findall(r"^\| (?!case |-)(.*) \|$", part.partition("\n## ")[0], re.MULTILINE):
        named, asks, words, where, first = (cell.strip() for cell in f" {row}".split(" | "))
        if named:
            case, _, kind = named.removesuffix(")").partition(" (")
        found.append(Fact(case, kind, asks, words.replace("`", ""), where, first == "yes"))
    return found


def facts_of(case: str) -> list[Fact]:
    """What must stand on the page of one case."""
    rows = table()
    common = [] if case == TAKEN else [row for row in rows if row.case == EVERY]
    return [*common, *(row for row in rows if row.case == case)]


@contextmanager
def prepared_pages(folder: Path) -> Iterator[Prepared]:
    with quick_hashes():
        engine = open_engine(f"sqlite:///{folder / 'p.db'}", folder / "home")
        pages = prepare(engine, folder)
        session = engine.people.sign_in("ana", PASSWORD).secret
    with ServerThread(engine, at_address=True) as server:
        yield Prepared(server.url, session, pages)
    engine.close()
