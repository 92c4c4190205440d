"""The keys that belong to a database, as far as they are at hand."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from handfast.core.audit.note import VerifierKey, parse_verifier_key
from handfast.core.domain.errors import IntegrityError, StorageError
from handfast.engine.keys import SigningKey, load_data_key, load_signing_key, write_secret

SIGNING, PUBLIC, DATA = "signing.key", "signing.pub", "data.key"


@dataclass(frozen=True, slots=True)
class Secrets:
    """`verifier` is enough to check signatures, `data` to open bodies. None where it is not at hand."""

    verifier: VerifierKey | None = None
    signing: SigningKey | None = field(default=None, repr=False)
    data: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, home: Path) -> "Secrets":
        """From the data folder. Raises for a key that is damaged or that others may read."""
        folder = home / "keys"
        signing = load_signing_key(folder / SIGNING) if (folder / SIGNING).exists() else None
        verifier = signing.verifier if signing else None
        if verifier is None:
            with suppress(OSError):
                verifier = parse_verifier_key((folder / PUBLIC).read_text(encoding="utf-8"))
        data = load_data_key(folder / DATA) if (folder / DATA).exists() else None
        return cls(verifier, signing, data)


def contents(home: Path) -> dict[str, bytes]:
    """Both key files of a data folder. Raises StorageError when one is not there."""
    found = Secrets.of(home)
    if found.signing is None or found.data is None:
        raise StorageError(
            f"the keys are not in `{home / 'keys'}`",
            hint="Set HANDFAST_HOME to the folder of this installation.",
        )
    return {name: (home / "keys" / name).read_bytes() for name in (SIGNING, DATA)}


def adopt(home: Path, found: Mapping[str, bytes], verifier: str) -> Secrets:
    """The keys for a log: those of the data folder, else those `found` in a backup, which are put there.

    Never replaces a key. Raises IntegrityError when they are not those of the log `verifier` names.
    """
    folder = home / "keys"
    for name, content in found.items():
        if not (folder / name).exists():
            write_secret(folder / name, content)
        elif (folder / name).read_bytes() != content:
            raise _of_another(folder)
    keys = Secrets.of(home)
    if keys.verifier and verifier and str(keys.verifier) != verifier:
        raise _of_another(folder)
    if keys.signing and not (folder / PUBLIC).exists():
        (folder / PUBLIC).write_text(f"{keys.verifier}\n", encoding="utf-8")
    return keys


def _of_another(folder: Path) -> IntegrityError:
    return IntegrityError(
        f"the keys in `{folder}` are those of another installation",
        hint="Set HANDFAST_HOME to a folder without keys, or to the one of this log. Nothing was written.",
    )
