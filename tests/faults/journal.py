"""Files that other processes append to, a line at a time."""

from pathlib import Path


def whole_lines(path: Path) -> list[str]:
    """Without one that is just being written. None while there is no file."""
    text = path.read_text() if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
