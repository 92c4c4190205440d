"""Finished work edited in its review, through the API and the page: what is offered, bound, refused and shown."""

import html
import re

import httpx
import pytest

from handfast.core.domain.canonical import digest, sha256
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.people import NewPerson
from handfast.server.sessions import COOKIE
from tests.edited_review import FILES, HEAD, TREE, reviewed
from tests.integration.test_api_sessions import token
from tests.served import LOGIN, PASSWORD, PIN, Json, Served, decision


def decide(served: Served, handoff: Json, texts: dict[str, str], **more: object) -> httpx.Response:
    files = [{"path": path, "text": text} for path, text in texts.items()]
    body = decision(handoff, "approve_with_edits", edited_files=files, **more)
    return served.client("operator").post(
        f"/v1/handoffs/{handoff['handoff_id']}/decisions", json=body
    )


def test_the_files_are_read_and_an_edit_binds_their_exact_digests(served: Served) -> None:
    handoff = reviewed(served, left_out={"logo.png": "it is no UTF-8 text"})
    assert handoff["offered"][:2] == ["approve", "approve_with_edits"]
    work = handoff["package"]["review"]
    assert [f["path"] for f in work["editable"]] == list(FILES)
    assert work["left_out"] == [{"path": "logo.png", "why": "it is no UTF-8 text"}]
    path = f"/v1/handoffs/{handoff['handoff_id']}/files"
    listed = served.client("runner").get(path).json()
    assert [(f["path"], f["old"], f["new"], f["edited"]) for f in listed["files"]] == [
        (name, old, new, None) for name, (old, new) in FILES.items()
    ]
    assert served.client("agent").get(path).status_code == 403

    done = decide(
        served, handoff, {"run.sh": "#!/bin/sh\necho é", "src/rates.py": FILES["src/rates.py"][1]}
    )
    assert done.status_code == 201, done.text
    after = done.json()
    call = after["decision"]["edited_call"]
    assert call["arguments"] == {
        **handoff["action"]["arguments"],
        "tree": TREE,
        "author": "Noor Haddad",
        "edits": [
            {
                "path": "run.sh",
                "mode": "100755",
                "before": sha256(FILES["run.sh"][1].encode()),
                "after": sha256("#!/bin/sh\necho é".encode()),
            }
        ],
    }
    assert call["arguments"]["commit"] == HEAD
    assert after["decision"]["edited_digest"] == after["grant"]["action_digest"] == digest(call)
    assert after["decision"]["edited_text"] == ""
    edited = {f["path"]: f["edited"] for f in served.client("operator").get(path).json()["files"]}
    assert edited == {"src/rates.py": None, "docs/notes.txt": None, "run.sh": "#!/bin/sh\necho é"}


@pytest.mark.parametrize(
    ("texts", "code", "said"),
    [
        ({}, "usage", "`edited_files` is empty"),
        ({"run.sh": FILES["run.sh"][1]}, "usage", "as the agent made them"),
        ({"new.py": "x"}, "edit_refused", "no file of this change"),
        ({"../run.sh": "x"}, "edit_refused", "no file of this change"),
        ({"RUN.sh": "x"}, "edit_refused", "no file of this change"),
        ({".git/config": "x"}, "edit_refused", "no file of this change"),
        ({"run.sh": "a\0b"}, "usage", "holds a NUL"),
        ({"run.sh": "é" * 60_000}, "usage", "larger than 100,000 bytes"),
    ],
)
def test_an_edit_that_is_none_is_refused(
    served: Served, texts: dict[str, str], code: str, said: str
) -> None:
    handoff = reviewed(served)
    answer = decide(served, handoff, texts)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == code
    assert said in answer.json()["detail"]
    shown = served.client("operator").get(f"/v1/handoffs/{handoff['handoff_id']}").json()
    assert shown["decision"] is None


def test_a_review_without_texts_offers_no_edit(served: Served) -> None:
    handoff = reviewed(served, files={})
    assert "approve_with_edits" not in handoff["offered"]
    refused = decide(served, handoff, {"run.sh": "x"})
    assert "has no files that can be edited" in refused.json()["detail"]
    path = f"/v1/handoffs/{handoff['handoff_id']}/files"
    assert served.client("operator").get(path).status_code == 422


def test_a_runner_may_not_hand_over_files_outside_the_change(served: Served) -> None:
    with pytest.raises(AssertionError, match="plain"):
        reviewed(served, files={"../x": ("", "y")})


# -- the page


def area(page: str, path: str) -> str:
    """The text in the editor of a file."""
    found = re.search(rf'name="edit:{re.escape(path)}"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert found is not None, f"no editor of {path}"
    return html.unescape(found[1])


def fields(browser: httpx.Client, path: str, **more: str) -> dict[str, str]:
    page = browser.get(path).text
    seen = re.search(r'name="presented_digest" value="([^"]+)"', page)
    assert seen is not None
    return {"csrf_token": token(page), "presented_digest": seen[1], **more}


def shown_of(page: str) -> str:
    found = re.search(r'name="edits_shown" value="([^"]+)"', page)
    return found[1] if found else ""


def test_the_page_opens_files_one_by_one_and_keeps_what_was_typed(served: Served) -> None:
    handoff = reviewed(served, left_out={"logo.png": "it is no UTF-8 text"})
    path, browser = f"/handoffs/{handoff['handoff_id']}", served.browser()
    page = browser.get(path).text
    assert "<textarea form" not in page
    assert page.count(">Edit this file</button>") == 3
    assert "1 changed file cannot be edited here" in page
    assert "logo.png" in page
    opened = browser.get(path, params={"edit": ["run.sh", "nothing.txt"]}).text
    assert area(opened, "run.sh") == FILES["run.sh"][1]
    assert opened.count("<textarea form") == 1

    typed = fields(browser, path, reason="half a rea", open="docs/notes.txt")
    typed["edit:run.sh"] = "#!/bin/sh\r\necho typed\r\n"
    again = browser.post(f"{path}/edit", data=typed)
    assert again.status_code == 200
    assert area(again.text, "run.sh") == "#!/bin/sh\necho typed\n"
    assert area(again.text, "docs/notes.txt") == FILES["docs/notes.txt"][1]
    assert "half a rea" in again.text
    assert 'id="own-h">Your edit<' in again.text
    assert browser.get(f"{path}/edit").headers["location"] == path
    assert served.engine.views.handoff(handoff["handoff_id"])["decision"] is None


def test_an_edit_is_decided_on_only_when_exactly_it_was_shown(served: Served) -> None:
    handoff = reviewed(served)
    path, browser = f"/handoffs/{handoff['handoff_id']}", served.browser()
    given = fields(browser, path, kind="approve_with_edits")
    nothing = browser.post(f"{path}/decide", data=given)
    assert nothing.status_code == 422
    assert "Nothing is edited" in nothing.text
    given["edit:docs/notes.txt"] = "one\r\nTWO\r\n"
    first = browser.post(f"{path}/decide", data=given)
    assert first.status_code == 422
    assert "this is what you would approve" in first.text
    assert served.engine.views.handoff(handoff["handoff_id"])["decision"] is None
    given["edits_shown"] = shown_of(first.text)
    plain = browser.post(f"{path}/decide", data={**given, "kind": "approve"})
    assert "this approval would leave that out" in plain.text
    assert area(plain.text, "docs/notes.txt") == "one\nTWO\n".replace("\n", "\r\n")
    other = browser.post(f"{path}/decide", data={**given, "edit:docs/notes.txt": "else"})
    assert "this is what you would approve" in other.text
    done = browser.post(f"{path}/decide", data=given)
    assert done.status_code == 303, done.text
    listed = served.client("operator").get(f"/v1{path}/files").json()["files"]
    assert [f["edited"] for f in listed] == [None, "one\r\nTWO\r\n", None]
    receipt = browser.get(path).text
    assert "Approved with edits by Noor Haddad" in receipt
    assert "with 1 file as edited by Noor Haddad" in receipt
    assert 'id="own-h">Edited by Noor Haddad<' in receipt
    assert "<textarea form" not in receipt


def test_the_line_ends_of_the_file_come_back_whatever_a_browser_sends(served: Served) -> None:
    files = {"crlf.txt": ("", "a\r\nb"), "lf.txt": ("", "a\nb\n"), "one.txt": ("", "a")}
    handoff = reviewed(served, files=files)
    path, browser = f"/handoffs/{handoff['handoff_id']}", served.browser()
    given = fields(browser, path, kind="approve_with_edits")
    given |= {f"edit:{name}": "\r\n x\r\ny" for name in files}
    given["edits_shown"] = shown_of(browser.post(f"{path}/edit", data=given).text)
    assert browser.post(f"{path}/decide", data=given).status_code == 303
    listed = served.client("operator").get(f"/v1{path}/files").json()["files"]
    assert [f["edited"] for f in listed] == ["\r\n x\r\ny", "\n x\ny", "\n x\ny"]


@pytest.mark.parametrize("text", ["a\r\nb\n", "a\rb\n", "a\u202eb\n", "\ufeffa\n", "a\u200bb\n"])
def test_what_a_form_cannot_carry_is_edited_elsewhere(served: Served, text: str) -> None:
    handoff = reviewed(served, files={"odd.txt": ("", text)})
    path, browser = f"/handoffs/{handoff['handoff_id']}", served.browser()
    page = browser.get(path, params={"edit": "odd.txt"}).text
    assert "It cannot be edited here" in page
    assert "<textarea form" not in page
    given = fields(browser, path, kind="approve_with_edits") | {"edit:odd.txt": "x"}
    given["edits_shown"] = shown_of(browser.post(f"{path}/edit", data=given).text)
    assert browser.post(f"{path}/decide", data=given).status_code == 422
    assert decide(served, handoff, {"odd.txt": text + "more"}).status_code == 201


def test_what_the_agent_wrote_is_inert_in_the_editor(served: Served) -> None:
    evil = "</textarea><script>alert(1)</script>\n<b>Approved by Ana</b>\n"
    handoff = reviewed(served, files={"x.html": ("", evil)})
    path, browser = f"/handoffs/{handoff['handoff_id']}", served.browser()
    page = browser.get(path, params={"edit": "x.html"}).text
    assert "<script>alert" not in page
    assert area(page, "x.html") == evil


def test_a_page_with_an_open_file_stays_small(served: Served) -> None:
    files = {f"src/{n}.py": ("", f"x = {n}\n" * 10_000) for n in range(3)}
    handoff = reviewed(served, files=files)
    page = (
        served.browser().get(f"/handoffs/{handoff['handoff_id']}", params={"edit": "src/0.py"}).text
    )
    without = re.sub(r'<details class="file".*?</details>', "", page, flags=re.DOTALL)
    assert len(without) < 200_000


PAIR = """\
version: 1
gates:
  - id: pair
    when: call.tool == "git.merge"
    require: {approvals: 2}
"""


def test_the_others_see_the_edit_and_approve_it_as_it_is(served: Served) -> None:
    engine = served.engine
    noor = engine.people.with_pin(LOGIN, PIN)
    for login in ("bo", "cy"):
        secret = engine.people.invite_another(noor, ("reviewer",))
        engine.people.set_up(secret, NewPerson(login.title(), login, PASSWORD, PIN))
    engine.policies.propose(noor, ORGANISATION, PAIR)
    handoff = reviewed(served)
    assert decide(served, handoff, {"src/rates.py": "VAT = 21\n"}).json()["decision"] is None
    path = f"/handoffs/{handoff['handoff_id']}"

    bo = served.client(Origin=served.url, Accept="text/html")
    bo.cookies.set(COOKIE, engine.people.sign_in("bo", PASSWORD).secret)
    page = bo.get(path).text
    assert "Edited by Noor Haddad. On approval the commit is merged with" in page
    assert 'id="own-h">Edited by Noor Haddad<' in page
    assert area(page, "src/rates.py") == "VAT = 21\n"
    given = fields(bo, path, kind="approve") | {"edit:src/rates.py": "VAT = 22\r\n"}
    assert "this approval would leave that out" in bo.post(f"{path}/decide", data=given).text
    given["edit:src/rates.py"] = "VAT = 21\r\n"
    assert bo.post(f"{path}/decide", data=given).status_code == 303
    now = engine.views.handoff(handoff["handoff_id"])
    assert now["decision"] is None
    seen = decision(now, person="cy")
    done = served.client("operator").post(f"/v1{path}/decisions", json=seen)
    assert done.json()["decision"]["kind"] == "approve_with_edits"
    edits = done.json()["decision"]["edited_call"]["arguments"]["edits"]
    assert [e["after"] for e in edits] == [sha256(b"VAT = 21\n")]
