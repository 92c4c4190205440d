"""The page about notifications: its settings load, its policy holds, its receiver verifies, its words are all there."""

import re
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import yaml

from handfast.cli.catalogue import COMMANDS
from handfast.core.domain.events import WIRE
from handfast.core.domain.reach import Takes
from handfast.core.policy.chat import ChatDecides
from handfast.engine.channels import webhook
from handfast.engine.contacts import new_webhook_secret
from handfast.engine.outlets import read_outlets
from handfast.policyfile.load import check, load
from handfast.server.web.notices_view import STATUSES

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
BLOCKS = [
    (kind, textwrap.dedent(text))
    for kind, text in re.findall(r"^ *```(\w+)\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)
]


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCKS if found == kind]


def test_the_settings_load_and_every_entry_is_used(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(new_webhook_secret())
    text = re.sub(r"/etc/handfast/[a-z.]+", str(secret), blocks("yaml")[0])
    outlets = read_outlets(yaml.safe_load(text), {})
    assert outlets.smtp is not None
    assert outlets.smtp.port == 587
    assert outlets.channels == ("email", "slack", "webhook", "service:phone")
    assert [h.name for h in outlets.hooks] == ["chatops"]
    assert outlets.private_hosts == {"hooks.internal"}


def test_the_policy_lets_low_risk_be_decided_in_a_chat() -> None:
    text = blocks("yaml")[1]
    assert check(text) == []
    assert load(text).policy.chat is ChatDecides.LOW


def test_the_receiver_takes_ours_and_refuses_what_was_changed() -> None:
    names: dict[str, object] = {}
    exec(compile(blocks("python")[0], "docs/notifications.md", "exec"), names)  # noqa: S102 - the page's own
    genuine = cast("Callable[[str, dict[str, str], bytes], bool]", names["genuine"])
    old, new = new_webhook_secret(), new_webhook_secret()
    headers = webhook.headers([new, old], "msg_1", b"{}", datetime.now(UTC))
    assert genuine(old, headers, b"{}")
    assert genuine(new, headers, b"{}")
    assert not genuine(old, headers, b"{ }")
    assert not genuine(new_webhook_secret(), headers, b"{}")


def test_every_command_state_and_event_is_on_the_page() -> None:
    known = {entry.words for entry in COMMANDS}
    shown = re.findall(r"^handfast (notify \w+)", blocks("sh")[0], re.MULTILINE)
    assert shown
    assert set(shown) <= known
    for word in (*STATUSES, *(t.value for t in Takes)):
        assert f"| `{word}` |" in PAGE, word
    for name in (name for name in WIRE if name.startswith("notice.")):
        assert f"`{name}`" in PAGE, name
