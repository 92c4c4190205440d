"""Key files: who may read them, what happens when they are damaged, and sealed bodies."""

import os
from pathlib import Path

import pytest

from handfast.core.audit.note import parse_note, parse_verifier_key, sign_checkpoint, signed_by
from handfast.core.domain.errors import IntegrityError, StorageError, UsageError
from handfast.engine.keys import (
    create_data_key,
    create_signing_key,
    ed25519_verify,
    load_data_key,
    load_signing_key,
    seal,
    unseal,
)

NAME = "log.example/handfast"


def test_a_signing_key_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing.key"
    made = create_signing_key(path, NAME)
    loaded = load_signing_key(path)
    assert loaded.verifier == made.verifier
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert sorted(p.name for p in path.parent.iterdir()) == ["signing.key", "signing.pub"]
    public = parse_verifier_key((path.parent / "signing.pub").read_text())
    assert public == made.verifier
    note = sign_checkpoint(NAME, 1, b"\0" * 32, loaded.verifier, loaded.sign)
    assert signed_by(parse_note(note), [public], ed25519_verify) == public


def test_a_signing_key_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    key = create_signing_key(path, NAME)
    secret = path.read_text().strip().split("+", 4)[-1]
    assert secret not in repr(key)
    assert "Ed25519PrivateKey" not in repr(key)


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    create_signing_key(path, NAME)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="exists already") as caught:
        create_signing_key(path, NAME)
    assert caught.value.code == "key_exists"
    assert path.read_bytes() == before
    create_data_key(tmp_path / "data.key")
    with pytest.raises(StorageError, match="exists already"):
        create_data_key(tmp_path / "data.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_key_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    for path, load in (
        (tmp_path / "signing.key", load_signing_key),
        (tmp_path / "data.key", load_data_key),
    ):
        if load is load_signing_key:
            create_signing_key(path, NAME)
        else:
            create_data_key(path)
        path.chmod(mode)
        with pytest.raises(StorageError, match="open to other users") as caught:
            load(path)
        assert caught.value.code == "key_exposed"
        assert f"chmod 600 {path}" in caught.value.hint


def test_what_is_not_a_plain_file_is_refused(tmp_path: Path) -> None:
    create_data_key(tmp_path / "data.key")
    (tmp_path / "link").symlink_to(tmp_path / "data.key")
    with pytest.raises(StorageError, match="cannot be read"):
        load_data_key(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(StorageError, match="not a regular file"):
        load_data_key(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError):
        load_data_key(tmp_path / "folder")


def test_a_missing_key_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no key file") as caught:
        load_signing_key(tmp_path / "signing.key")
    assert caught.value.code == "key_missing"


def test_a_folder_that_cannot_take_a_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        create_data_key(tmp_path / "file" / "data.key")
    assert caught.value.code == "key_unavailable"


@pytest.mark.parametrize(
    "content", [b"", b"PRIVATE+KEY+a+b", b"\xff", b"PRIVATE+KEY+n+00000000+AQ=="]
)
def test_damaged_keys_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(IntegrityError, match="damaged"):
        load_signing_key(path)
    with pytest.raises(IntegrityError, match="bytes instead of 32"):
        load_data_key(path)


def test_one_changed_letter_of_a_signing_key_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    create_signing_key(path, NAME)
    text = path.read_text().strip()
    letter = "A" if text[-20] != "A" else "B"
    path.write_text(text[:-20] + letter + text[-19:] + "\n")
    with pytest.raises(IntegrityError, match="damaged"):
        load_signing_key(path)


def test_a_name_that_cannot_name_a_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        create_signing_key(tmp_path / "signing.key", "two words")
    assert list(tmp_path.iterdir()) == []


def test_sealed_bodies_open_only_as_what_they_are(tmp_path: Path) -> None:
    key = create_data_key(tmp_path / "data.key")
    assert load_data_key(tmp_path / "data.key") == key
    nonce, sealed = seal(key, "bo_1", "text/plain", b"secret")
    assert b"secret" not in sealed
    assert seal(key, "bo_1", "text/plain", b"secret")[0] != nonce
    assert unseal(key, "bo_1", "text/plain", nonce, sealed) == b"secret"
    wrong = [
        (bytes(32), "bo_1", "text/plain", nonce, sealed),
        (key, "bo_2", "text/plain", nonce, sealed),
        (key, "bo_1", "text/html", nonce, sealed),
        (key, "bo_1t", "ext/plain", nonce, sealed),
        (key, "bo_1", "text/plain", bytes(12), sealed),
        (key, "bo_1", "text/plain", b"", sealed),
        (key, "bo_1", "text/plain", nonce, sealed[:-1]),
        (key, "bo_1", "text/plain", nonce, b""),
    ]
    for arguments in wrong:
        with pytest.raises(IntegrityError, match="cannot be opened") as caught:
            unseal(*arguments)
        assert "data.key" in caught.value.hint


def test_verify_says_no_instead_of_raising(tmp_path: Path) -> None:
    assert not ed25519_verify(b"short", b"", b"")
    assert not ed25519_verify(bytes(32), bytes(64), b"")
