"""What the pages around the inbox say, and that they say no more than is known."""

import re
from html.parser import HTMLParser

import pytest

from handfast.core.domain.inert import is_hidden
from handfast.server.web import policy_view
from handfast.server.web.frame import PLACES
from handfast.server.web.inbox_filters import Filters, read_filters
from handfast.server.web.inbox_page import Around
from handfast.server.web.inbox_view import grouped, minutes_needed
from handfast.server.web.render import environment
from tests import web_fixtures as fx
from tests import web_hostile as hostile
from tests import web_places as wp


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


@pytest.mark.parametrize("name", wp.PAGES)
def test_every_page_leads_to_every_other_and_marks_one_place(name: str) -> None:
    html = wp.PAGES[name]()
    nav = html[html.index('<nav aria-label="Main"') : html.index("</nav>")]
    for place in PLACES:
        # Checkpoints have a place where they are used, and nobody here does.
        assert (f'href="{place.path}"' in nav) == (place.name != "checkpoints")
    assert nav.count('aria-current="page"') == 1


class _Skeleton(HTMLParser):
    """Tags with the names of their attributes, in order. How code is coloured and set depends on the code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if tag not in ("span", "code") or not set(names) <= {"class"}:
            self.tags.append(" ".join([tag, *names]))

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("span", "code"):
            self.tags.append(f"/{tag}")


def skeleton(html: str) -> list[str]:
    reader = _Skeleton()
    reader.feed(html)
    reader.close()
    return reader.tags


@pytest.mark.parametrize("name", hostile.PAGES)
def test_what_others_wrote_is_shown_and_stays_text(name: str) -> None:
    page = hostile.PAGES[name]
    html = page.html(hostile.hostile)
    framed = hostile.FRAME if page.template != "_state.html" else frozenset()
    assert page.shows | framed <= hostile.shown(html)
    assert hostile.loose(html) == []
    assert {char for char in html if is_hidden(char)} <= {"\n", "\t"}
    assert skeleton(html) == skeleton(page.html(hostile.harmless))


def test_every_template_is_looked_at_with_hostile_text() -> None:
    names = {name.removesuffix(".html") for name in environment().list_templates(["html"])}
    looked_at = {page.template.removesuffix(".html") for page in hostile.PAGES.values()}
    assert names == looked_at | hostile.PARTS


def test_below_enough_decisions_there_is_no_track_record() -> None:
    page = words(wp.agent_html(wp.record(19)))
    assert "No track record: 19 decisions by people so far" in page
    assert "%" not in page
    known = words(wp.agent_html(wp.record(36)))
    assert "35 of 36 decisions by people approved its work unchanged" in known
    assert "%" not in known


def test_a_count_says_how_far_it_looked() -> None:
    page = words(wp.agent_html(wp.record(36, all_seen=False, looked_at=2000, by_machine=1)))
    assert "Among the newest 2,000 handoffs" in page
    assert "1 more was let through by a machine" in page


def test_a_log_that_is_not_what_was_signed_is_told_first() -> None:
    html = wp.audit_html(wp.entry(), check=wp.CHECK | {"wrong": [7]})
    assert "Not intact" in html
    assert "not what was signed" in html
    unsigned = wp.audit_html(wp.entry(), check=wp.CHECK | {"signed": False})
    assert "Not intact" in unsigned
    assert "Intact as far as it was checked" in wp.audit_html(wp.entry())


def test_an_entry_that_does_not_hash_to_its_leaf_is_marked() -> None:
    assert "not what was signed" in wp.audit_html(wp.entry(intact=False))


def test_only_who_may_export_is_offered_it() -> None:
    assert "/audit/export" in wp.audit_html(wp.entry())
    assert "/audit/export" not in wp.audit_html(wp.entry(), may_export=False)


def test_an_explanation_puts_then_beside_now() -> None:
    page = words(wp.PAGES["policy explained"]())
    assert "A person decides" in page
    assert "Allowed" in page
    assert "The answer would be another one now. What was decided stays decided." in page


def test_an_explanation_is_the_same_when_only_the_reasons_are_told_otherwise() -> None:
    now: fx.Json = {
        **wp.EXPLAINED,
        "rules": [{**rule, "why": ""} for rule in wp.RULES],
        "takes": "1 approval",
    }
    found: fx.Json = {**wp.EXPLAINED, "now": now}
    said = policy_view.explain_page(found, "x", shell=wp.SHELL, now=fx.NOW)
    assert said["same"] is True
    worse: fx.Json = {**found, "now": {**now, "risk": "critical"}}
    assert policy_view.explain_page(worse, "x", shell=wp.SHELL, now=fx.NOW)["same"] is False


def test_a_run_then_says_where_it_stood_and_leads_on() -> None:
    html = wp.PAGES["run then"]()
    assert "As it was after event 5 of 9" in words(html)
    assert "?at=4" in html
    assert "?at=6" in html
    assert "waiting for a person" in words(html)


# The inbox


def test_a_row_says_how_long_it_may_take_and_what_else_waits_of_its_run() -> None:
    low, high = fx.approval_low(), fx.approval_high()
    rows = {r.handoff_id: r for g in grouped([low, high], fx.NOW) for r in g.rows}
    assert rows[low["handoff_id"]].minutes == 1
    assert rows[high["handoff_id"]].minutes == 6
    assert rows[low["handoff_id"]].siblings == 1
    assert minutes_needed({"risk": "medium", "changed_lines": 81}, "judge") == 6
    assert minutes_needed({"risk": "critical"}, "blocked") == 0


def test_only_what_one_look_is_enough_for_can_be_marked() -> None:
    html = wp.inbox_html(*fx.waiting(), around=Around())
    marked = set(re.findall(r'name="pick\.([^"]+)"', html))
    stamps = {h["handoff_id"] for h in fx.waiting() if h["need"] == "stamp"}
    assert marked == stamps
    assert stamps


def test_collisions_stand_above_the_queue() -> None:
    html = wp.PAGES["inbox, narrowed"]()
    assert html.index("Agents changed the same files") < html.index('id="need-judge"')


def test_filters_are_an_address_and_come_back_from_it() -> None:
    filters = read_filters({"risk": "high", "q": " rm ", "need": "nonsense", "held": "me"})
    assert filters == Filters(q="rm", risk="high", held="me")
    assert filters.address == "q=rm&risk=high&held=me"
    assert not Filters().address
    assert filters.takes({"ask": "deletes: RM -r"})
    assert not filters.takes({"ask": "pushes"})


def test_a_saved_view_that_is_shown_is_marked_as_the_current_one() -> None:
    html = wp.PAGES["inbox, narrowed"]()
    views = html[html.index('aria-label="Saved views"') :]
    assert 'href="/?need=judge" aria-current="page"' in views
    assert 'href="/?held=me">Mine' in views
