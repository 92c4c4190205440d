"""The page about the HTTP API: its shell blocks run, in order, against a real server with real curl."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.served import LOGIN, PIN, Served
from tests.served import prepared as prepared
from tests.served import served as served

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here: apt-get install curl")
def test_the_cycle_runs_as_it_is_shown(served: Served, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    home = tmp_path / "home"
    (home / ".local/share/handfast").mkdir(parents=True)
    (home / ".local/share/handfast/operator.token").write_text(served.tokens["operator"])
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks) + "\necho $HANDOFF"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "URL": served.url,
            "PERSON": LOGIN,
            "PIN": PIN,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    *said, entries, handoff_id = ran.stdout.split()
    assert said == ["False", "approve", "deploying", "verified"]
    assert int(entries) > 10
    handoff = served.engine.views.handoff(handoff_id)
    will = handoff["package"]["what_will_happen"]  # type: ignore[index]  # JSON
    assert (will["preview"], will["undo"]) == (
        "would replace 1.4.1 on 3 hosts",
        "deploy 1.4.1 again",
    )
    assert will["undo_about"] == "declared with the call, not checked"
    assert served.engine.switch.status() == []
    assert handoff["status"] == "closed"
