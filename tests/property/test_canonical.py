"""Our canonical JSON against an independent implementation of RFC 8785."""

import json
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.canonical import MAX_DEPTH, canonical_json, digest, sha256
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events import Recorded, to_bytes
from handfast.engine.encoding import canonical
from tests.property.wire_values import PLAIN_KEYS, VALUES, records


@given(VALUES)
def test_allowed_values_have_the_bytes_of_rfc_8785(value: object) -> None:
    ours = canonical_json(value)
    assert ours == rfc8785.dumps(value)  # type: ignore[arg-type]
    assert canonical(value) == ours
    assert json.loads(ours) == value


@given(records())
def test_every_event_has_the_same_bytes_from_both_encoders(record: Recorded) -> None:
    assert to_bytes(record, canonical) == to_bytes(record)


@given(st.text(max_size=50))
def test_every_text_is_encoded_alike_or_refused(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        for encoder in (canonical_json, canonical):
            with pytest.raises(UsageError, match="surrogate"):
                encoder([text])
    else:
        assert canonical_json([text]) == canonical([text]) == rfc8785.dumps([text])


@given(st.dictionaries(PLAIN_KEYS, st.integers(0, 9), min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))
    assert digest(turned) == digest(value)


class Word(StrEnum):
    ONE = "one"


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        float("inf"),
        2**53,
        -(2**53),
        Decimal(1),
        b"bytes",
        {1, 2},
        object(),
        Word.ONE,
        {1: "x"},
        {Word.ONE: 1},
        {"\U0001f600": 1},
        {"\ud800": 1},
        "\ud800",
        ["ok", {"a": [1.5]}],
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("encoder", [canonical_json, canonical])
def test_other_values_are_refused(encoder: Callable[[object], bytes], value: object) -> None:
    with pytest.raises(UsageError):
        encoder(value)


def test_the_refused_part_is_named() -> None:
    with pytest.raises(UsageError, match=r"\$\.a\[1\]\.b"):
        canonical_json({"a": [0, {"b": 0.5}]})


def test_nesting_is_bounded_long_before_the_interpreter_is() -> None:
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert canonical_json(value) == canonical(value)
    for _ in range(5_000):
        value = [value]
    for encoder in (canonical_json, canonical):
        with pytest.raises(UsageError, match="nested"):
            encoder(value)


def test_digests_name_their_algorithm() -> None:
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256(b"") == empty
    assert digest({}) == sha256(b"{}")
