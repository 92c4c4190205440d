"""No fault point is without a test that kills a process there."""

from pathlib import Path

from handfast.core.domain.faults import POINTS


def test_every_point_is_struck() -> None:
    text = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [point for point in sorted(POINTS) if f"{point}:kill" not in text] == []
