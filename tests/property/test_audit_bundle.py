"""Whatever is done to a log without its key is found; canonical form has one definition."""

import json

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from handfast.core.audit import bundle_format as parts
from handfast.core.audit.entries import decode_canonical
from handfast.core.audit.tree import leaf_hash
from handfast.core.domain.canonical import canonical_json
from handfast.core.domain.errors import UsageError
from tests.audit_bundles import SIGNER, Body, check, join, make_bundle, make_entries

BODIES = [Body("bo_1", b"alpha"), Body("bo_2", b"beta")]
TRUSTED_PARTS = (
    parts.CHECKPOINT,
    parts.HEADS,
    parts.ENTRIES,
    parts.LEAVES,
    "bodies/bo_1",
    "bodies/bo_2",
)


@st.composite
def edits(draw: st.DrawFn) -> tuple[list[bytes], list[bytes], list[int]]:
    """(entries, edited entries, sizes of signed heads); the two lists differ."""
    entries = make_entries(draw(st.integers(2, 40)), streams=draw(st.integers(1, 4)))
    edited = list(entries)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(edited) - 1)))
        match draw(st.sampled_from(["flip", "delete", "move", "repeat", "cut"])):
            case "flip" if edited:
                byte = draw(st.integers(0, len(edited[at]) - 1))
                changed = bytearray(edited[at])
                changed[byte] ^= draw(st.integers(1, 255))
                edited[at] = bytes(changed)
            case "delete" if edited:
                del edited[at]
            case "move" if edited:
                edited.insert(draw(st.integers(0, len(edited) - 1)), edited.pop(at))
            case "repeat" if edited:
                edited.insert(at, edited[at])
            case _:
                del edited[at:]
    heads = sorted(draw(st.sets(st.integers(1, len(entries)), max_size=4)))
    return entries, edited, heads


def lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


@given(edits(), st.booleans())
def test_any_tamper_is_found_and_placed(
    case: tuple[list[bytes], list[bytes], list[int]], relist: bool
) -> None:
    entries, edited, heads = case
    seen = lines(join(edited))
    if seen == entries:
        return
    wrong = next(
        (i for i, (a, b) in enumerate(zip(entries, seen, strict=False)) if a != b),
        min(len(entries), len(seen)),
    )
    bundle = make_bundle(entries, heads)
    bundle.content[parts.ENTRIES] = join(edited)
    if relist:
        bundle.content[parts.LEAVES] = b"".join(leaf_hash(e) for e in seen)
    report = check(bundle)
    assert not report.ok
    if not relist:
        assert report.first_wrong is not None
        assert report.first_wrong.position == wrong + 1
    elif report.interval is not None:
        low, high = report.interval
        assert low <= wrong + 1 <= high
    else:
        assert report.first_wrong is not None
        assert report.first_wrong.position == wrong + 1
    resigned = make_bundle(edited, [h for h in heads if h <= len(edited)])
    against = check(resigned, SIGNER.head(entries))
    assert not against.ok


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 20), st.sampled_from(TRUSTED_PARTS), st.data())
def test_any_changed_byte_of_any_part_is_found(count: int, name: str, data: st.DataObject) -> None:
    entries = make_entries(count + 1, bodies=BODIES)
    bundle = make_bundle(entries, sorted({1, count}), bodies=BODIES)
    part = bytearray(bundle.content[name])
    at = data.draw(st.integers(0, len(part) - 1))
    part[at] ^= data.draw(st.integers(1, 255))
    if name == parts.HEADS and same_json(bytes(part), bundle.content[name]):
        return
    bundle.content[name] = bytes(part)
    assert not check(bundle).ok


def same_json(one: bytes, other: bytes) -> bool:
    try:
        return [json.loads(x) for x in one.splitlines()] == [
            json.loads(x) for x in other.splitlines()
        ]
    except ValueError:
        return False


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: json.dumps(t).encode()))
@example(b"-0")
@example(b"1e3")
@example(b"9007199254740992")
@example(b"-9007199254740991")
@example(b'"\\ud83d\\ude00"')
@example(b'"\\ud800"')
@example('{"\U0001f600":1}'.encode())
@example(b'{"b":1,"a":2}')
@example(b'"\x7f"')
@example(b'"\\u001F"')
@example(b'"\\/"')
def test_canonical_means_what_the_encoder_says(raw: bytes) -> None:
    assert is_canonical(raw) == defined_canonical(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values, st.booleans())
def test_canonical_values_are_accepted(value: object, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, sort_keys=True, separators=(",", ":"))
    data = raw.encode(errors="surrogatepass")
    assert is_canonical(data) == defined_canonical(data)


def is_canonical(raw: bytes) -> bool:
    try:
        decode_canonical(raw)
    except ValueError:
        return False
    return True


def defined_canonical(raw: bytes) -> bool:
    try:
        return canonical_json(json.loads(raw.decode())) == raw
    except (ValueError, UsageError):
        return False
