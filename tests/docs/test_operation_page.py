"""Every setting has a heading on the page about operation."""

from dataclasses import fields
from pathlib import Path

from handfast.engine.retention import Retain
from handfast.engine.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "operation.md"


def test_every_setting_has_a_heading_and_its_default() -> None:
    page = PAGE.read_text(encoding="utf-8")
    settings = [("HANDFAST_", f) for f in fields(Settings)]
    for prefix, f in [*settings, *(("HANDFAST_RETAIN_", f) for f in fields(Retain))]:
        name = f"{prefix}{f.name.upper()}"
        section = page.partition(f"### {name}\n")[2].partition("\n###")[0]
        assert section, f"{name} has no heading"
        assert f"Default {f.default}" in section, f"{name}: its default is {f.default}"
