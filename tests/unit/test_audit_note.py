"""Signed notes and tree heads, against Go's published note."""

import pytest

from handfast.core.audit.note import (
    VerifierKey,
    check_name,
    checkpoint_text,
    format_note,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    sign_checkpoint,
    signed_by,
)
from handfast.core.domain.errors import IntegrityError, UsageError
from handfast.engine.keys import ed25519_verify
from tests.audit_bundles import SIGNER, Signer

# Key and note of the documentation of golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    GO_TEXT
    + "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNX"
    "gKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_go_note_and_key() -> None:
    key = parse_verifier_key(GO_KEY)
    assert (key.name, key.key_id.hex(), str(key)) == ("PeterNeumann", "c74f20a3", GO_KEY)
    note = parse_note(GO_NOTE)
    assert note.text == GO_TEXT
    assert signed_by(note, [key], ed25519_verify) == key
    assert format_note(note.text, key.name, key.key_id, note.signatures[0].value) == GO_NOTE


def test_a_changed_note_is_refused() -> None:
    note = parse_note(GO_NOTE.replace("answer", "Answer"))
    with pytest.raises(IntegrityError, match="PeterNeumann"):
        signed_by(note, [parse_verifier_key(GO_KEY)], ed25519_verify)


def test_signatures_of_others_are_passed_over() -> None:
    other = Signer("witness.example", 9)
    text = parse_note(GO_NOTE).text
    witness = format_note(text, other.name, other.key.key_id, other.private.sign(text.encode()))
    both = parse_note(GO_NOTE + witness.rpartition("\n\n")[2])
    assert len(both.signatures) == 2
    assert signed_by(both, [other.key], ed25519_verify) == other.key
    assert signed_by(both, [SIGNER.key], ed25519_verify) is None


def test_tree_head_round_trip() -> None:
    note = sign_checkpoint("log.example/a", 7, b"\x01" * 32, SIGNER.key, SIGNER.private.sign)
    head = parse_checkpoint(parse_note(note).text)
    assert (head.origin, head.size, head.root) == ("log.example/a", 7, b"\x01" * 32)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n",
        "log\n7\n",
        "log\n07\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log\n-7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log\n\u0667\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log\n7\nAAAA\n",
        "log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
        "log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    ],
)
def test_what_is_not_a_tree_head(text: str) -> None:
    with pytest.raises(IntegrityError, match="not a tree head"):
        parse_checkpoint(text)


def test_further_lines_of_a_tree_head_are_allowed() -> None:
    text = checkpoint_text("log", 0, b"\0" * 32) + "extension\n"
    assert parse_checkpoint(text).size == 0


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n\u2014 name AAAAAAA=",
        "text\n\n\u2014 name AAAAAA==\n",
        "text\n\n\u2014 name  AAAAAAA=\n",
        "text\n\n- name AAAAAAA=\n",
        "text\t\n\n\u2014 name AAAAAAA=\n",
        "text\n\n\u2014 na+me AAAAAAA=\n",
        b"\xff\n\n\xe2\x80\x94 name AAAAAAA=\n",
        "x" * 200_000 + "\n\n\u2014 name AAAAAAA=\n",
        "text\n\n" + "\u2014 name AAAAAAA=\n" * 101,
    ],
)
def test_what_is_not_a_note(note: str | bytes) -> None:
    with pytest.raises(IntegrityError, match="not a signed note"):
        parse_note(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a+b",
        "a+00000000+AAAA",
        GO_KEY.replace("c7", "c8"),
        GO_KEY[:-1],
        GO_KEY.replace("+ARpc", "+AhpC"),
    ],
)
def test_what_is_not_a_verifier_key(text: str) -> None:
    with pytest.raises(UsageError, match="verifier key"):
        parse_verifier_key(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b"])
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name"):
        check_name(name)
    with pytest.raises(UsageError, match="cannot name"):
        checkpoint_text(name, 1, b"\0" * 32)


def test_texts_that_would_frame_another_note_are_refused() -> None:
    with pytest.raises(UsageError):
        format_note("no newline", "n", b"1234", b"s")
    with pytest.raises(UsageError):
        checkpoint_text("log", 1, b"short")


def test_the_key_is_told_by_its_short_form() -> None:
    assert VerifierKey("n", b"\0" * 32).short.startswith("n+")
