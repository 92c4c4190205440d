"""The page about `@gate`: its code runs against a real server, and it names every option and error."""

import contextlib
import io
import re
import threading
from pathlib import Path

import pytest

from handfast.adapters.python.options import Options
from tests.gate_bench import GateBench
from tests.served import Served
from tests.served import prepared as prepared
from tests.served import served as served

PAGE = (Path(__file__).parents[2] / "docs" / "gate.md").read_text("utf-8")


def test_the_code_runs_as_it_is_shown(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFAST_URL", served.url)
    monkeypatch.setenv("HANDFAST_TOKEN", served.tokens["agent"])
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    bench = GateBench(served)
    person = threading.Thread(target=bench.decide_next)
    person.start()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n".join(blocks), "gate.md", "exec"), {"__name__": "shown"})  # noqa: S102 - the page's own code
    person.join()
    assert printed.getvalue() == "web is at 1.4.2\n"
    assert bench.all()[0]["effect"]["outcome"] == "verified"


@pytest.mark.parametrize("name", sorted(Options.__annotations__))
def test_every_option_is_named(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE), f"`{name}` is not on the page"
