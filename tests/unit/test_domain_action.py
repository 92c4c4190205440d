"""What an approval is bound to."""

from dataclasses import replace

import pytest

from handfast.core.domain.action import MISSING, Call, Operand
from handfast.core.domain.canonical import digest

CALL = Call("Bash", {"command": "make deploy"}, "app", (Operand("deploy.sh", "sha256:aa"),))


@pytest.mark.parametrize(
    "other",
    [
        replace(CALL, tool="Write"),
        replace(CALL, arguments={"command": "make deploy "}),
        replace(CALL, arguments={"command": "make deploy", "background": True}),
        replace(CALL, cwd="."),
        replace(CALL, operands=()),
        replace(CALL, operands=(Operand("deploy.sh", "sha256:bb"),)),
        replace(CALL, operands=(Operand("deploy.sh", MISSING),)),
        replace(CALL, operands=(Operand("./deploy.sh", "sha256:aa"),)),
    ],
)
def test_any_other_part_is_another_action(other: Call) -> None:
    """R3."""
    assert other.digest != CALL.digest


def test_the_order_of_parts_does_not_matter() -> None:
    operands = (Operand("a", "sha256:1"), Operand("b", "sha256:2"), Operand("a", "sha256:0"))
    one = Call("Bash", {"command": "x", "z": 1, "a": None}, ".", operands)
    other = Call("Bash", {"a": None, "z": 1, "command": "x"}, ".", tuple(reversed(operands)))
    assert one.digest == other.digest


def test_the_digest_is_over_the_documented_form() -> None:
    form = {
        "tool": "Bash",
        "arguments": {"command": "make deploy"},
        "cwd": "app",
        "operands": [{"path": "deploy.sh", "digest": "sha256:aa"}],
    }
    assert CALL.canonical() == form
    assert CALL.digest == digest(form)
