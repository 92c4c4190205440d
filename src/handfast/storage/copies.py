"""Whole databases, table by table: for backups, moves and checks. No SQL crosses this line.

A row here is what a table holds, not what it means: a copy must keep what it does not understand.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Any, ...]
"""Values in the order of the columns. What each of them is the table's shape says."""
ColumnKind: TypeAlias = Literal["int", "real", "text", "bytes"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A table: its columns in order, and the columns of its key, which order its rows."""

    name: str
    columns: tuple[tuple[str, ColumnKind], ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


class Snapshot(Protocol):
    """One database at one moment, in bounded memory: what others write meanwhile is not seen.

    Every call may raise StorageError.
    """

    database: str
    """`sqlite` or `postgresql`."""
    schema: str
    shapes: tuple[Shape, ...]
    left_out: tuple[str, ...]
    """Tables beside ours that are not ours."""

    def rows(
        self,
        table: str,
        columns: Sequence[str] = (),
        order: Sequence[str] = (),
        equal: Mapping[str, int] | None = None,
    ) -> Iterator[Row]:
        """Rows in the order of the key, or of `order`; texts are ordered by their UTF-8 bytes.

        Several may be read at the same time.
        """
        ...

    def count(self, table: str) -> int: ...

    def pick(
        self, table: str, column: str, values: Sequence[str], columns: Sequence[str]
    ) -> list[Row]:
        """The rows with one of at most 500 values in `column`, in any order."""
        ...

    def counters(self) -> dict[str, int]:
        """The highest id that each table with ids of its own ever gave out."""
        ...

    def differences(self) -> list[str]:
        """What makes the tables differ from those of the newest schema, in words."""
        ...


class Filling(Protocol):
    """A database without entries that is filled in one transaction: a kill leaves it as it was."""

    name: str
    """Which database, for messages: without secrets."""

    def load(self, shape: Shape, rows: Iterable[Row]) -> None:
        """Put rows into a table of the schema that `at` brought about."""
        ...

    def count_on(self, counters: Mapping[str, int]) -> None:
        """Ids that tables give out go on after these."""
        ...

    def view(self) -> Snapshot:
        """What is loaded so far."""
        ...

    def upgrade(self) -> None:
        """To the newest schema."""
        ...

    def commit(self) -> None:
        """All of it at once. Without it nothing of the block stays."""
        ...
