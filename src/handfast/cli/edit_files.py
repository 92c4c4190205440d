"""Files of finished work that a reviewer edited on their own machine, for an approval with edits."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from handfast.cli.control import Json
from handfast.cli.output import cell
from handfast.core.domain.errors import UsageError
from handfast.core.domain.reviewed_files import MAX_FILE_BYTES
from handfast.observe.text_diff import text_diff


def read_edits(given: Iterable[str]) -> dict[str, str]:
    """`PATH=FILE` each: the file of the change, and the one here that holds what it should be, byte for byte.

    Raises UsageError for a file that cannot be read, is no UTF-8 text, or is named twice.
    """
    texts: dict[str, str] = {}
    for item in given:
        path, _, here = item.partition("=")
        if not path or not here or path in texts:
            raise UsageError(
                f"`--edit-file` is `{item}`", hint="Write PATH=FILE, once for each file."
            )
        texts[path] = _text(Path(here))
    return texts


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(
            f"`{file}` cannot be read: {error.strerror}", hint="Check the path."
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"`{file}` is no UTF-8 text") from None
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"`{file}` is larger than {MAX_FILE_BYTES:,} bytes")
    return text


def edit_lines(files: Iterable[Json], texts: dict[str, str]) -> Iterator[str]:
    """What differs from what the agent made, file by file. Raises UsageError for a file that cannot be edited."""
    known = {str(file["path"]): str(file["new"]) for file in files}
    for path, text in texts.items():
        if path not in known:
            raise UsageError(
                f"`{cell(path)}` is no file of this change that can be edited",
                hint=f"Those are: {', '.join(cell(each) for each in list(known)[:20])}.",
            )
        yield from text_diff(path, known[path], text).split("\n")[:-1]
