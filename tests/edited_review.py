"""A review of finished work whose files can be edited, handed over through the API as a runner does."""

import json
from collections.abc import Mapping

from handfast.core.domain.brief import Brief
from handfast.engine.runs import NewRun
from handfast.engine.tasks import NewTask
from handfast.observe.text_diff import text_diff
from tests.served import OPERATOR, Json, Served

HEAD, BASE, TREE = "b" * 40, "a" * 40, "c" * 40
FILES = {
    "src/rates.py": ("VAT = 19\n", "VAT = 20\nREDUCED = 7\n"),
    "docs/notes.txt": ("", "one\r\ntwo\r\n"),
    "run.sh": ("#!/bin/sh\n", "#!/bin/sh\necho hi"),
}


def reviewed(
    served: Served, files: Mapping[str, tuple[str, str]] = FILES, left_out: Mapping[str, str] = {}
) -> Json:
    """The handoff of it."""
    task = served.engine.tasks.create(
        OPERATOR, NewTask(Brief("Set the rates"), "/srv/shop", "main", BASE)
    )
    new = NewRun(str(task["task_id"]), served.agent_id, "none", ("agent", "go"))
    run_id = str(served.engine.runs.create(OPERATOR, new)["run_id"])
    runner = served.client("runner")
    leased = runner.post("/v1/leases", json={"runner_id": "r1", "host": "h"}).json()
    assert leased["run_id"] == run_id
    body = {
        "tree": TREE,
        "files": [
            {"path": path, "mode": mode(path), "old": old, "new": new}
            for path, (old, new) in files.items()
        ],
        "left_out": [{"path": path, "why": why} for path, why in left_out.items()],
    }
    stored = runner.post(
        "/v1/bodies",
        content=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    diff = "".join(
        f"diff --git a/{path} b/{path}\n{text_diff(path, old, new)}"
        for path, (old, new) in files.items()
    )
    changes = [
        {
            "path": path,
            "status": "M" if old else "A",
            "old_mode": mode(path),
            "new_mode": mode(path),
        }
        for path, (old, _) in files.items()
    ]
    asked = {
        "epoch": leased["epoch"], "base_commit": BASE, "head_commit": HEAD, "target_branch": "main", "diff": diff,
        "files": list(files), "changes": changes, "insertions": 4, "deletions": 1,
        "agent_says": "The rates are set.", "files_body_id": stored.json()["body_id"],
    }  # fmt: skip
    opened = runner.post(f"/v1/runs/{run_id}/reviews", json=asked)
    assert opened.status_code == 201, opened.text
    shown = served.client("operator").get(f"/v1/handoffs/{opened.json()['handoff_id']}")
    found: Json = shown.json()
    return found


def mode(path: str) -> str:
    return "100755" if path.endswith(".sh") else "100644"
