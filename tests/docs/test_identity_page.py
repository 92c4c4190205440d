"""What the page about identity shows is what the code takes."""

import re
from pathlib import Path

from handfast.core.domain.person import ROLES
from handfast.core.policy.directory import Roster
from handfast.policyfile.load import load
from handfast.server.oidc.settings import _NAMES, FILE, read_settings

PAGE = Path(__file__).parents[2] / "docs" / "identity.md"


def test_the_settings_shown_are_read_and_name_everything(tmp_path: Path) -> None:
    settings, policy = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "secret").write_text("a secret\n")
    (tmp_path / FILE).write_text(
        settings.replace("/etc/handfast/oidc.secret", str(tmp_path / "secret"))
    )
    found = read_settings(tmp_path)
    assert found is not None
    assert found.client_secret == "a secret"
    assert found.mapped.roles_of(["developers", "handfast-admins"]) == (
        "admin",
        "operator",
        "reviewer",
    )
    assert found.mapped.teams_of(["dba", "others"]) == ("dba",)
    assert all(f"\n  {name}:" in settings for name in _NAMES)
    (gate,) = load(policy, known=Roster()).policy.gates
    assert gate.require.passkey


def test_every_role_has_a_row() -> None:
    assert re.findall(r"^\| (\w+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)[1:] == list(
        ROLES
    )
