"""`handfast audit`: proofs for people outside."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from handfast.cli.output import Json, note, say, say_json, shown
from handfast.core.domain.errors import StorageError, UsageError

if TYPE_CHECKING:
    from handfast.core.audit.note import VerifierKey

WRONG = 6
_MAX_SMALL_FILE = 1 << 20


def verify(
    bundle: Path,
    /,
    *,
    key: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    since: Annotated[tuple[Path, ...], Parameter(negative=())] = (),
    as_json: Json = False,
) -> int:
    """Verify an exported bundle, offline. Exit code 6 when something is wrong.

    Parameters
    ----------
    bundle
        The file that `handfast audit export` wrote.
    key
        The public key, as text or as a file (`keys/signing.pub`). Get it from the operator by
        another way than the bundle. May be given several times.
    since
        A file with an earlier signed tree head that you kept. May be given several times.
    """
    from handfast.core.audit.bundle import verify_bundle
    from handfast.engine.bundle_file import ZipBundle
    from handfast.engine.keys import ed25519_verify
    from handfast.engine.notebook import DiskNotebook
    from handfast.engine.passkey_proof import SignedDecisions

    if not bundle.is_file():
        raise UsageError(
            f"there is no file `{bundle}`", hint="Give a file that `handfast audit export` wrote."
        )
    keys = [_key(text) for text in key]
    notes = [_small_file(path) for path in since]
    with ZipBundle(bundle) as opened:
        signed = SignedDecisions()
        report = verify_bundle(opened, keys, notes, ed25519_verify, DiskNotebook, signed)
    if as_json:
        say_json(report.to_json())
    else:
        for line in report.lines():
            say(line)
    return 0 if report.ok else WRONG


def _key(text: str) -> "VerifierKey":
    """A verifier key given as its text, or as the file that holds it."""
    from handfast.core.audit.note import parse_verifier_key

    if text.count("+") >= 2 and not Path(text).is_file():
        return parse_verifier_key(text)
    content = _small_file(Path(text)).decode("utf-8", "replace")
    try:
        return parse_verifier_key(content)
    except UsageError as error:
        raise UsageError(f"`{text}`: {error.message}", hint=error.hint) from None


def _small_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SMALL_FILE + 1)
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be read: {error.strerror}", hint="Check the path."
        ) from None
    if len(data) > _MAX_SMALL_FILE:
        raise UsageError(f"`{path}` is too large to be a key or a tree head")
    return data


def export(
    path: Path,
    /,
    *,
    bodies: Annotated[bool, Parameter(negative="--no-bodies")] = True,
    force: Annotated[bool, Parameter(negative=())] = False,
    as_json: Json = False,
) -> None:
    """Write the whole log into one bundle that anybody can verify offline.

    Parameters
    ----------
    path
        The file to write, readable by you only.
    bodies
        With the content of commands, diffs and outputs in clear; `--no-bodies` leaves it out.
    force
        Replace a file that is there already.
    """
    from handfast.cli.local import existing_engine, operator

    if path.exists() and not force:
        raise UsageError(f"`{path}` exists already", hint="Choose another name, or add --force.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"the folder of `{path}` does not exist", hint="Make it first.")
    with existing_engine() as engine:
        done = engine.audit.export(operator(), path, bodies=bodies)
        done["verifier"] = engine.audit.verifier
    if as_json:
        say_json(done)
        return
    say(f"{done['entries']:,} entries written to {path}")
    note(f"Verify it anywhere: handfast audit verify {path} --key '{done['verifier']}'")


def head(*, as_json: Json = False) -> None:
    """Print a freshly signed tree head. Keep it elsewhere: a rewrite of the log then shows."""
    from handfast.cli.local import existing_engine

    with existing_engine() as engine:
        signed = engine.audit.head()
    if as_json:
        from handfast.core.audit.note import parse_checkpoint, parse_note

        checkpoint = parse_checkpoint(parse_note(signed).text)
        say_json(
            {
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": checkpoint.root.hex(),
                "note": signed,
            }
        )
    else:
        print(shown(signed), end="")


def key(*, as_json: Json = False) -> None:
    """Print the public key that tree heads are signed with: give it to whoever verifies."""
    from handfast.client.discovery import data_folder

    path = data_folder() / "keys" / "signing.pub"
    if not path.exists():
        raise StorageError(
            f"there is no public key `{path}`",
            hint="Check HANDFAST_HOME. `handfast serve` makes an installation.",
        )
    text = _small_file(path).decode("utf-8", "replace").strip()
    if as_json:
        say_json({"verifier": text})
    else:
        say(text)
