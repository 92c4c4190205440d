"""The canonical form of a Python call: what an approval is bound to, and what is refused."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from handfast import UsageError, gate
from handfast.adapters.python.arguments import Signature, plain
from handfast.adapters.python.operands import code_of, hashed


def deploy(service: str, version: str = "1.0", *, retries: int = 3, **more: object) -> None:
    """Nothing."""


def test_equal_calls_have_one_form_however_they_are_written() -> None:
    of = Signature(deploy).of
    expected = {"service": "web", "version": "1.0", "retries": 3, "more": {"zone": "a"}}
    assert of(("web",), {"zone": "a"}) == expected
    assert of(("web", "1.0"), {"retries": 3, "zone": "a"}) == expected
    assert of((), {"zone": "a", "version": "1.0", "service": "web"}) == expected


def test_fractions_are_text_and_sequences_are_lists() -> None:
    assert plain({"a": (0.1, [1, True, None])}, "x") == {"a": ["0.1", [1, True, None]]}


@pytest.mark.parametrize(
    "value",
    [
        b"x", {1}, object(), Path(), dt.date(2026, 1, 1), float("nan"), float("inf"), 2**53, {1: 2},
        "\ud800", [[object()]],
    ],
)  # fmt: skip
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(UsageError):
        Signature(deploy).of((value,), {})


def test_what_holds_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="nested"):
        Signature(deploy).of((endless,), {})


def test_the_function_itself_refuses_a_wrong_call() -> None:
    with pytest.raises(TypeError):
        Signature(deploy).of((), {})


def test_what_is_left_out_is_not_bound() -> None:
    of = Signature(deploy, exclude=("retries",)).of
    assert of(("web",), {"retries": 1}) == of(("web",), {"retries": 2})
    with pytest.raises(UsageError, match="retrys"):
        Signature(deploy, exclude=("retrys",))


def test_canonical_says_what_matters() -> None:
    of = Signature(deploy, canonical=lambda service, **_: {"id": str(service)}).of
    assert of((Path("web"),), {}) == {"id": "web"}
    with pytest.raises(UsageError, match="canonical"):
        Signature(deploy, canonical=lambda *_, **__: ["web"]).of(("web",), {})  # type: ignore[arg-type]  # on purpose


def test_a_receiver_is_its_name_or_its_fields_or_refused() -> None:
    @dataclass
    class Site:
        name: str

        def publish(self) -> None: ...

    class Opaque:
        def publish(self) -> None: ...

        @classmethod
        def make(cls) -> None: ...

    of = Signature(Site.publish).of
    assert of((Site("a"),), {}) != of((Site("b"),), {})
    assert "Opaque" in str(Signature(Opaque.make.__func__).of((Opaque,), {}))  # type: ignore[attr-defined]  # a class method
    with pytest.raises(UsageError, match="`self` is Opaque"):
        Signature(Opaque.publish).of((Opaque(),), {})


def test_operands_are_what_is_on_disk_now(tmp_path: Path) -> None:
    script, folder = tmp_path / "run.sh", tmp_path / "site"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "page").write_text("one")
    script.write_text("one")
    before = hashed([script, folder])
    assert hashed([script, folder]) == before
    (folder / "a" / "page").write_text("two")
    after = hashed([script, folder])
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    (folder / "a" / "page").chmod(0o755)
    assert hashed([folder])[0] != after[1]
    (folder / "link").symlink_to("a")
    linked = hashed([folder])
    (folder / "link").unlink()
    (folder / "link").symlink_to("b")
    assert hashed([folder]) != linked
    script.unlink()
    assert hashed([script])[0].digest == "missing"
    assert hashed({"tag": "v1"}) != hashed({"tag": "v2"})
    for wrong in ("run.sh", {"n": 1}):
        with pytest.raises(UsageError):
            hashed(wrong)


def test_another_body_is_another_operand() -> None:
    one = code_of(lambda: 1)
    assert one != code_of(lambda: 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"approval_mode": "sometimes"}, "approval_mode"),
        ({"approval_mode": "never_require"}, "never_require"),
        ({"on_wait": "sleep"}, "on_wait"),
        ({"effect": "boom"}, "effect"),
        ({"hazards": "deploy"}, "hazards"),
        ({"exclude": ("nothing",)}, "exclude"),
    ],
)
def test_options_that_contradict_are_refused_where_they_are_written(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        gate(**options)(deploy)


def test_generators_and_async_parts_of_a_plain_function_are_refused() -> None:
    def pages() -> Any:
        yield 1

    async def later(*_: object) -> str:
        return ""

    with pytest.raises(UsageError, match="generator"):
        gate()(pages)
    for option in ("preview", "undo", "reconcile", "operands", "summary", "canonical"):
        given: dict[str, Any] = {option: later}
        with pytest.raises(UsageError, match=option):
            gate(**given)(deploy)


def test_the_function_looks_as_before() -> None:
    import inspect

    gated = gate(tool="x")(deploy)
    assert (gated.__name__, gated.__doc__) == ("deploy", "Nothing.")
    assert inspect.signature(gated) == inspect.signature(deploy)
    assert inspect.iscoroutinefunction(gate()(_soon))
    assert inspect.unwrap(gated) is gated  # what unwraps functions does not reach the one inside


async def _soon() -> None:
    """Nothing."""


def test_nothing_runs_without_a_credential_or_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from handfast.core.domain.errors import NotPermitted, Unavailable

    ran: list[int] = []
    act: Any = gate()(ran.append)
    with pytest.raises(NotPermitted, match="HANDFAST_TOKEN"):
        act(1)
    monkeypatch.setenv("HANDFAST_TOKEN", "hfa_x")
    with pytest.raises(Unavailable):
        act(1)
    monkeypatch.setenv("HANDFAST_URL", "http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        act(1)
    with pytest.raises(UsageError):  # before anything is asked
        act(object())
    assert ran == []
