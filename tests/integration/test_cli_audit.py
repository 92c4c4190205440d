"""`handfast audit`: a bundle of a real log, verified offline, and every way to falsify it."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from handfast.core.audit import bundle_format as parts
from handfast.core.audit.note import sign_checkpoint
from handfast.core.audit.tree import Frontier, leaf_hash
from handfast.engine.keys import load_signing_key
from tests.commands import Command, Ran

Parts = dict[str, bytes]


@pytest.fixture(scope="module")
def handfast(tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("audit")
    return Command(folder / "data", folder, {})


@pytest.fixture(scope="module")
def early(bundle: Path) -> Path:
    """The tree head at six entries."""
    return bundle.with_name("early.note")


@pytest.fixture(scope="module")
def bundle(handfast: Command) -> Path:
    """A log of nine entries."""
    folder = handfast.folder
    for name in ("one", "two", "three"):
        assert handfast("agent", "add", name).code == 0
    assert handfast("agent", "suspend", "one", "--reason", "a test").code == 0
    assert handfast("agent", "token", "two").code == 0
    (folder / "early.note").write_text(handfast("audit", "head").out)
    assert handfast("agent", "reinstate", "one", "--reason", "the test is over").code == 0
    assert handfast("agent", "suspend", "three", "--reason", "another test").code == 0
    path = folder / "log.hfbundle"
    done = handfast("audit", "export", path, "--json")
    assert done.code == 0
    assert done.json["entries"] >= 9
    return path


def rewrite(bundle: Path, change: Callable[[Parts], None]) -> Path:
    """A copy of the bundle with other content."""
    with zipfile.ZipFile(bundle) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    path = bundle.with_name("false.hfbundle")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def lines(content: Parts) -> list[bytes]:
    return content[parts.ENTRIES].splitlines()


def put(content: Parts, entries: list[bytes]) -> None:
    content[parts.ENTRIES] = b"".join(e + b"\n" for e in entries)


def flip(content: Parts) -> None:
    entries = lines(content)
    entries[4] = entries[4][:-3] + bytes([entries[4][-3] ^ 1]) + entries[4][-2:]
    put(content, entries)


def delete(content: Parts) -> None:
    entries = lines(content)
    put(content, entries[:3] + entries[4:])


def reorder(content: Parts) -> None:
    entries = lines(content)
    put(content, [*entries[:5], entries[6], entries[5], *entries[7:]])


def truncate(content: Parts) -> None:
    put(content, lines(content)[:7])


def verify(handfast: Command, path: Path, *more: object) -> Ran:
    key = handfast.home / "keys" / "signing.pub"
    return handfast("audit", "verify", path, "--key", key, "--json", *more)


def test_an_exported_bundle_verifies_with_key_and_earlier_head(
    handfast: Command, bundle: Path, early: Path
) -> None:
    done = verify(handfast, bundle, "--since", early)
    assert (done.code, done.err) == (0, "")
    assert done.json["ok"] is True
    assert done.json["entries"] >= 9
    assert any("1 to 6 are as they were" in claim for claim in done.json["proven"])


def test_verifying_needs_no_installation(bundle: Path, handfast: Command, tmp_path: Path) -> None:
    key = handfast("audit", "key").out.strip()
    elsewhere = Command(tmp_path / "nothing-here", tmp_path, {})
    done = elsewhere("audit", "verify", bundle, "--key", key)
    assert done.code == 0
    assert done.out.startswith("OK: ")
    assert not (tmp_path / "nothing-here").exists()


def test_without_key_and_head_it_says_what_is_unproven(handfast: Command, bundle: Path) -> None:
    done = handfast("audit", "verify", bundle, "--json")
    assert done.code == 0
    unproven = " ".join(done.json["unproven"])
    assert "no key was given" in unproven
    assert "give an earlier tree head with --since" in unproven


@pytest.mark.parametrize(
    ("change", "kind", "position"),
    [(flip, "changed", 5), (delete, "deleted", 4), (reorder, "reordered", 6), (truncate, "missing", 8)],
)  # fmt: skip
def test_a_falsified_bundle_is_found_and_the_first_wrong_entry_named(
    handfast: Command, bundle: Path, change: Callable[[Parts], None], kind: str, position: int
) -> None:
    done = verify(handfast, rewrite(bundle, change))
    assert done.code == 6
    assert done.json["ok"] is False
    assert done.json["findings"][0]["kind"] == kind
    assert done.json["findings"][0]["position"] == position


def test_a_consistent_rewrite_is_found_by_an_earlier_head(
    handfast: Command, bundle: Path, early: Path
) -> None:
    """The holder of the key writes another history and signs it."""
    signer = load_signing_key(handfast.home / "keys" / "signing.key")

    def forge(content: Parts) -> None:
        entries = lines(content)
        entries[3] = entries[3].replace(b'"three"', b'"fhree"')
        put(content, entries)
        hashes = [leaf_hash(e) for e in entries]
        tree, _ = Frontier().extend(hashes)
        name = signer.verifier.name
        note = sign_checkpoint(name, len(entries), tree.root(), signer.verifier, signer.sign)
        content |= {
            parts.LEAVES: b"".join(hashes),
            parts.CHECKPOINT: note.encode(),
            parts.HEADS: b"",
        }

    forged = rewrite(bundle, forge)
    assert b"fhree" in zipfile.ZipFile(forged).read(parts.ENTRIES)
    assert verify(handfast, forged).code == 0, "without an earlier head it cannot be known"
    done = verify(handfast, forged, "--since", early)
    assert done.code == 6
    assert done.json["findings"][0]["kind"] == "rewritten"
    assert done.json["interval"] == [1, 6]


def test_text_output_names_what_is_wrong(handfast: Command, bundle: Path) -> None:
    done = handfast("audit", "verify", rewrite(bundle, flip))
    assert done.code == 6
    assert "FAILED" in done.out
    assert "the first wrong entry is at position 5" in done.out


def test_an_export_never_replaces_a_file_unasked(handfast: Command, bundle: Path) -> None:
    before = bundle.read_bytes()
    done = handfast("audit", "export", bundle)
    assert done.code == 2
    assert "exists already" in done.err
    assert bundle.read_bytes() == before
    assert handfast("audit", "export", bundle, "--force", "--no-bodies").code == 0


def test_a_file_that_is_no_bundle_is_refused(handfast: Command, tmp_path: Path) -> None:
    path = tmp_path / "no.hfbundle"
    path.write_bytes(b"PK\x05\x06 not a bundle")
    done = handfast("audit", "verify", path, "--json")
    assert done.code == 6
    assert done.problem["code"] == "integrity"
    assert handfast("audit", "verify", tmp_path / "absent").code == 2
    wrong = handfast("audit", "verify", path, "--key", "a+b+c")
    assert wrong.code == 2
    assert "verifier key" in wrong.err
