"""Finished work that is too large to be shown: every file is named, all of it can be read, and nobody approves it
without saying that they mean what they were not shown."""

import re

import pytest

from handfast.client import calls, review_calls
from handfast.core.domain.canonical import sha256
from handfast.server.web.render import one_line
from tests.large_diff import large_diff, reviewed
from tests.served import PIN, Json, Served, decision

LINES = 8_000
FILES = {f"src/shop/module_{n}.py" for n in range(LINES // 100)}


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.fixture
def large(served: Served) -> Json:
    """More than 200,000 characters of diff."""
    assert len(large_diff(LINES)) > 400_000
    case = reviewed(served.engine, LINES)
    found: Json = served.client("operator").get(f"/v1/handoffs/{case}").json()
    return found


def test_what_is_not_shown_is_named_and_kept_whole(served: Served, large: Json) -> None:
    package = large["package"]
    shown = set(re.findall(r"^\+\+\+ b/(.+)$", package["what_will_happen"]["text"], re.MULTILINE))
    unshown = {each["path"] for each in package["unshown"]}
    assert shown
    assert unshown
    assert (shown | unshown, shown & unshown) == (FILES, set())
    assert all((each["added"], each["removed"]) == (50, 50) for each in package["unshown"])
    assert package["not_seen"][0].startswith("Too large to be shown here")
    whole = served.client("operator").get(f"/v1/handoffs/{large['handoff_id']}/changes")
    assert whole.text == large_diff(LINES)
    assert package["whole_digest"] == sha256(whole.content)


def test_a_plain_approval_is_refused_and_a_refusal_is_not(served: Served, large: Json) -> None:
    operator = served.client("operator")
    path = f"/v1/handoffs/{large['handoff_id']}/decisions"
    plain = operator.post(path, json=decision(large))
    assert (plain.status_code, plain.json()["code"]) == (422, "not_shown")
    covered = operator.post(path, json=decision(large, covers_unshown=True))
    assert covered.status_code == 201
    assert covered.json()["decision"]["kind"] == "approve"


def test_a_refusal_needs_no_word_on_it(served: Served, large: Json) -> None:
    path = f"/v1/handoffs/{large['handoff_id']}/decisions"
    assert served.client("operator").post(path, json=decision(large, "reject")).status_code == 201


def test_work_that_is_shown_whole_takes_no_word_on_it(served: Served) -> None:
    case = reviewed(served.engine, 3_000)
    operator = served.client("operator")
    found = operator.get(f"/v1/handoffs/{case}").json()
    assert found["package"]["unshown"] == []
    assert operator.get(f"/v1/handoffs/{case}/changes").text == large_diff(3_000)
    done = operator.post(f"/v1/handoffs/{case}/decisions", json=decision(found))
    assert done.status_code == 201


def test_the_page_lists_every_file_with_its_sums(served: Served, large: Json) -> None:
    page = served.browser().get(f"/handoffs/{large['handoff_id']}").text
    head = page[page.index('class="merge"') : page.index('id="why-h"')]
    assert set(re.findall(r"src/shop/module_\d+\.py", head)) == FILES
    assert head.count("+50") == len(FILES)
    said = words(head)
    assert f"80 files +{LINES // 2} \u2212{LINES // 2}" in said
    left = len(large["package"]["unshown"])
    assert f"{left} of the changed files are too large to be shown whole on this page" in said
    assert str(one_line(large["package"]["unshown"][0]["path"])) in words(
        page[page.index('id="unseen-h"') :]
    )


def test_the_page_takes_the_approval_with_the_box_only(served: Served, large: Json) -> None:
    browser = served.browser()
    path = f"/handoffs/{large['handoff_id']}"
    page = browser.get(path).text
    assert 'name="covers_unshown" value="yes" required' in page
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None
    form = {
        "csrf_token": token[1],
        "kind": "approve",
        "presented_digest": large["presented_digest"],
    }
    refused = browser.post(f"{path}/decide", data=form)
    assert refused.status_code == 422
    assert "say that your approval covers them" in refused.text
    taken = browser.post(f"{path}/decide", data={**form, "covers_unshown": "yes"})
    assert taken.status_code == 303
    after = served.client("operator").get(f"/v1{path}").json()
    assert after["decision"]["kind"] == "approve"


def test_the_pages_of_the_change_hold_all_of_it(served: Served, large: Json) -> None:
    browser = served.browser()
    path = f"/handoffs/{large['handoff_id']}/changes"
    first = browser.get(path).text
    found = re.search(r"Page 1 of (\d+)", first)
    assert found is not None
    pages = [browser.get(f"{path}?page={n}").text for n in range(1, int(found[1]) + 1)]
    heads = [re.findall(r'<summary><span class="path">([^<]+)</span>', page) for page in pages]
    assert {name for names in heads for name in names} == FILES
    rows = sum(page.count('<tr class="add">') for page in pages)
    assert rows == LINES // 2
    assert not any("not shown here" in page for page in pages)


def test_a_text_that_is_no_diff_is_on_the_page_to_its_end(served: Served) -> None:
    """What the parser does not understand is plain, and no shorter."""
    run = served.session_run()
    lines = "\n".join(f"line {n}" for n in range(9_000))
    body = {
        "key": "w",
        "call": {"tool": "Write", "arguments": {"file_path": "a.txt"}},
        "facts": {"effect": "write", "summary": "writes a.txt", "hazards": ["file.ci"]},
        "shown": {"kind": "diff", "text": f"no diff\n{lines}\nthe last line"},
        "require_approval": True,
    }
    asked = served.client("runner").post(f"/v1/runs/{run}/actions", json=body).json()
    page = served.browser().get(f"/handoffs/{asked['handoff_id']}").text
    assert "is shown as plain text" in page
    assert "line 3000" in page


def test_a_checkpoint_and_a_bulk_pass_do_not_approve_it(served: Served, large: Json) -> None:
    item = {"handoff_id": large["handoff_id"], "presented_digest": large["presented_digest"]}
    proof = {"person": "noor", "pin": PIN, "reason": "all fine"}
    done = served.client("operator").post("/v1/handoffs/decisions", json={"items": [item], **proof})
    assert done.json()["results"][0]["refused"]["code"] == "not_in_bulk"


def test_the_client_prints_and_covers_it(large: Json) -> None:
    call = calls.decide(large["handoff_id"], "approve", large["presented_digest"])
    assert (review_calls.with_unshown(call).body or {})["covers_unshown"] is True
