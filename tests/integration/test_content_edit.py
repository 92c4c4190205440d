"""An approval of a file change is edited on the page as by the API and in the terminal: the same text, judged again."""

import re

import pytest

from handfast.cli.screen import verbs
from handfast.core.domain.canonical import sha256
from tests.integration.test_api_sessions import token
from tests.served import Json, Served

CONTENT = "on: push\njobs: {}\n"
DIFF = "--- /dev/null\n+++ b/ci.yml\n@@ -0,0 +1,2 @@\n+on: push\n+jobs: {}\n"


def ask(served: Served, tool: str, arguments: Json, diff: str = DIFF) -> Json:
    body = {
        "key": tool,
        "call": {"tool": tool, "arguments": {"file_path": "ci.yml", **arguments}},
        "facts": {"effect": "write", "summary": "writes ci.yml", "hazards": ["file.ci"]},
        "shown": {"kind": "diff", "text": diff},
        "require_approval": True,
    }
    run_id = served.session_run(tool)
    asked = served.client("runner").post(f"/v1/runs/{run_id}/actions", json=body).json()
    found: Json = served.client("operator").get(f"/v1/handoffs/{asked['handoff_id']}").json()
    return found


def field(page: str) -> str:
    found = re.search(r'<textarea id="edited_command"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_content_of_a_write_is_edited_on_its_page(served: Served) -> None:
    asked = ask(served, "Write", {"content": sha256(CONTENT.encode())})
    browser, path = served.browser(), f"/handoffs/{asked['handoff_id']}"
    page = browser.get(path).text
    assert field(page) == CONTENT
    form = {
        "csrf_token": token(page),
        "presented_digest": asked["presented_digest"],
        "kind": "approve_with_edits",
        "edited_command": CONTENT.replace("\n", "\r\n"),
    }
    unchanged = browser.post(f"{path}/decide", data=form)
    assert unchanged.status_code == 422
    assert "The text is unchanged" in unchanged.text
    mine = "  on: pull_request\r\n\r\n"
    assert browser.post(f"{path}/decide", data={**form, "edited_command": mine}).status_code == 303
    now = served.client("operator").get(f"/v1{path}").json()
    assert now["decision"]["kind"] == "approve_with_edits"
    assert now["decision"]["edited_text"] == "  on: pull_request\n\n"


@pytest.mark.parametrize(
    ("tool", "arguments", "label"),
    [
        ("Write", {"content": "sha256:" + "a" * 64}, "Content that the file gets instead"),
        (
            "Edit",
            {"old_string": "sha256:" + "b" * 64, "new_string": "sha256:" + "a" * 64},
            "Text that goes in instead",
        ),
    ],
)
def test_a_text_that_is_not_known_is_not_made_up(
    served: Served, tool: str, arguments: Json, label: str
) -> None:
    """The diff shows other lines than those of the digest: the field is empty and says why."""
    asked = ask(served, tool, arguments)
    page = served.browser().get(f"/handoffs/{asked['handoff_id']}").text
    assert field(page) == ""
    assert label in page
    assert "Only a digest of the agent's text is kept" in page
    edit = verbs.offered(asked, "e")
    assert edit is not None
    assert (verbs.fields(edit, "")[0].label, verbs.fields(edit, "")[0].value) == (label, "")
    typed = {"edited_command": "x\n", "person": "noor", "pin": "1"}
    assert (verbs.decision(edit, typed).body or {})["edited_call"] == "x\n"


def test_what_cannot_be_edited_does_not_offer_it(served: Served) -> None:
    asked = ask(served, "MultiEdit", {"edits": "sha256:" + "a" * 64})
    assert asked["offered"] == ["approve", "request_changes", "reject"]
    page = served.browser().get(f"/handoffs/{asked['handoff_id']}").text
    assert "approve_with_edits" not in page
    assert verbs.offered(asked, "e") is None
