"""Bundles as zip files: a whole round trip, and files made to harm their reader."""

import json
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handfast.core.audit import bundle_format as parts
from handfast.core.audit.bundle import verify_bundle
from handfast.core.audit.notebook import MemoryNotebook
from handfast.core.audit.tree import leaf_hash
from handfast.core.domain.errors import IntegrityError, StorageError, UsageError
from handfast.engine.bundle_file import (
    BundleContent,
    ExportedBody,
    Limits,
    ZipBundle,
    write_bundle,
)
from handfast.engine.keys import ed25519_verify
from handfast.engine.notebook import DiskNotebook
from tests.audit_bundles import SIGNER, Body, MemoryBundle, event, make_bundle, make_entries

BODIES = [Body("bo_a", b"one"), Body("bo_b", b"gone", "erased")]
ENTRIES = make_entries(30, bodies=BODIES)


def content(entries: list[bytes] = ENTRIES) -> BundleContent:
    return BundleContent(
        checkpoint=SIGNER.head(entries),
        heads=[SIGNER.head(entries, 10)],
        keys=[SIGNER.key],
        entries=[(leaf_hash(e), e) for e in entries],
        bodies=[
            ExportedBody("bo_a", "held", BODIES[0].salt, [b"o", b"ne"]),
            ExportedBody("bo_b", "erased"),
        ],
        exported_at="2026-01-01T00:00:00.000000Z",
        version="0.1",
    )


def ok(path: Path) -> bool:
    with ZipBundle(path) as bundle:
        return verify_bundle(bundle, [SIGNER.key], [], ed25519_verify).ok


def test_what_is_written_verifies(tmp_path: Path) -> None:
    path = tmp_path / "log.hfbundle"
    assert write_bundle(path, content()) == 30
    with ZipBundle(path) as bundle:
        report = verify_bundle(bundle, [SIGNER.key], [SIGNER.head(ENTRIES, 5)], ed25519_verify)
    assert report.ok, report.lines()
    assert (report.entries, report.heads, report.bodies, report.erased) == (30, 1, 1, ("bo_b",))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["log.hfbundle"]


def test_equal_content_gives_equal_files(tmp_path: Path) -> None:
    write_bundle(tmp_path / "a", content())
    write_bundle(tmp_path / "b", content())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_tool_can_read_the_entries(tmp_path: Path) -> None:
    write_bundle(tmp_path / "a", content())
    with zipfile.ZipFile(tmp_path / "a") as archive:
        lines = archive.read(parts.ENTRIES).splitlines()
    assert [json.loads(line)["version"] for line in lines][:4] == [1, 1, 1, 2]


@pytest.mark.parametrize(
    "bad",
    [
        replace(content(), entries=[(leaf_hash(e), e) for e in ENTRIES[:-1]]),
        replace(content(), entries=[(leaf_hash(e), e) for e in [*ENTRIES, b"{}"]]),
        replace(content(), entries=[(leaf_hash(e), e + b"\n") for e in ENTRIES]),
        replace(content(), entries=[(leaf_hash(e), e + b"x" * 70_000) for e in ENTRIES]),
        replace(content(), bodies=[ExportedBody("bo_a", "held", b"", [b""])]),
    ],
)
def test_content_that_could_not_be_verified_is_refused(tmp_path: Path, bad: BundleContent) -> None:
    with pytest.raises(UsageError):
        write_bundle(tmp_path / "a", bad)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_or_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        write_bundle(tmp_path / "no" / "a", content())
    with pytest.raises(StorageError, match="cannot be read"):
        ZipBundle(tmp_path / "no")


def packed(path: Path, names: list[str], data: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../meta.json",
        "/meta.json",
        "bodies/../../x",
        "bodies/",
        "bodies/a/b",
        "bodies/a.b",
        "other",
        "meta.json\0x",
    ],
)
def test_unexpected_names_are_refused(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "a", ["meta.json"])
    raw = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"x")
    assert path.read_bytes() != raw
    with pytest.raises(IntegrityError, match="unexpected part"):
        ZipBundle(path)


def test_the_same_part_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = packed(tmp_path / "a", ["meta.json", "meta.json"])
    with pytest.raises(IntegrityError, match="twice"):
        ZipBundle(path)


def test_too_many_parts_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a", [f"bodies/b{i}" for i in range(20)])
    with pytest.raises(IntegrityError, match="more than 10 parts"):
        ZipBundle(path, Limits(parts=10))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = packed(tmp_path / "a", ["bodies/a"], bytes(1 << 24))
    with pytest.raises(IntegrityError, match="would unpack"):
        ZipBundle(path, Limits(ratio_from=1 << 20))
    with pytest.raises(IntegrityError, match="would unpack"):
        ZipBundle(path, Limits(total_bytes=1 << 20))


def test_a_part_gives_no_more_than_it_declares(tmp_path: Path) -> None:
    path = packed(tmp_path / "a", ["bodies/a"], bytes(1 << 22))
    raw = path.read_bytes()
    lie = raw.replace(struct.pack("<I", 1 << 22), struct.pack("<I", 10))
    assert lie != raw
    path.write_bytes(lie)
    with ZipBundle(path) as bundle, pytest.raises(IntegrityError, match="damaged"):
        assert sum(len(c) for c in bundle.chunks("bodies/a")) <= 10


def test_overlapping_parts_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a", ["bodies/a", "bodies/b"], bytes(range(256)))
    raw = bytearray(path.read_bytes())
    second = raw.rindex(b"PK\x01\x02")
    raw[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(raw)
    with pytest.raises(IntegrityError, match="overlap"):
        ZipBundle(path)


@pytest.mark.parametrize("field", ["method", "encrypted"])
def test_unexpected_packing_is_refused(tmp_path: Path, field: str) -> None:
    path = packed(tmp_path / "a", ["meta.json"])
    raw = bytearray(path.read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    at, value = (entry + 10, 12) if field == "method" else (entry + 8, 1)
    raw[at] = value
    path.write_bytes(raw)
    with pytest.raises(IntegrityError, match="unexpected way"):
        ZipBundle(path)


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04" + bytes(500)])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="not a bundle"):
        ZipBundle(path)


def test_an_empty_archive_proves_nothing(tmp_path: Path) -> None:
    assert not ok(packed(tmp_path / "a", []))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_changed_byte_of_the_file_passes_for_another_log(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Either the content is untouched (time stamps of the zip, say) or the change is found."""
    path = tmp_path_factory.getbasetemp() / "changed.hfbundle"
    write_bundle(path, content())
    with ZipBundle(path) as bundle:
        before = {n: b"".join(bundle.chunks(n)) for n in bundle.names()}
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        with ZipBundle(path) as bundle:
            if verify_bundle(bundle, [SIGNER.key], [], ed25519_verify).ok:
                assert {n: b"".join(bundle.chunks(n)) for n in bundle.names()} == before
    except IntegrityError:
        pass


def test_memory_stays_bounded(tmp_path: Path) -> None:
    entries = [event(i, "run_1", i, {"text": f"{i:04d}" * 1000}) for i in range(1, 5001)]
    size = sum(len(e) for e in entries)

    def pairs() -> Iterator[tuple[bytes, bytes]]:
        for entry in entries:
            yield leaf_hash(entry), entry

    written = replace(
        content(entries),
        checkpoint=SIGNER.head(entries),
        entries=pairs(),
        heads=[],
        bodies=[],
    )
    tracemalloc.start()
    try:
        write_bundle(tmp_path / "a", written)
        assert ok(tmp_path / "a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 5


PACKED = [Body("bo_a", b"one" * 400), Body("bo_b", b""), Body("bo_c", b"three")]


def _packed(tmp_path: Path) -> MemoryBundle:
    """The parts of a written bundle with three bodies, in pieces of 1,000 bytes."""
    entries = make_entries(30, bodies=PACKED)
    bodies = [ExportedBody(b.body_id, "held", b.salt, [b.data]) for b in PACKED]
    write_bundle(tmp_path / "a", replace(content(entries), bodies=bodies))
    with zipfile.ZipFile(tmp_path / "a") as archive:
        return MemoryBundle({name: archive.read(name) for name in archive.namelist()})


def _found(bundle: MemoryBundle) -> tuple[int, list[str]]:
    report = verify_bundle(bundle, [SIGNER.key], [], ed25519_verify)
    return report.bodies, [f.message for f in report.findings]


def test_contents_lie_one_after_the_other(tmp_path: Path) -> None:
    bundle = _packed(tmp_path)
    assert set(bundle.content) == set(parts.PARTS)
    assert bundle.content[parts.BODY_CONTENT] == b"".join(b.data for b in PACKED)
    assert _found(bundle) == (3, [])


def test_what_was_done_to_contents_is_found(tmp_path: Path) -> None:
    data = _packed(tmp_path).content[parts.BODY_CONTENT]
    index = _packed(tmp_path).content[parts.BODY_INDEX]
    damages: list[tuple[str, bytes, int, str]] = [
        (parts.BODY_CONTENT, b"x" + data[1:], 2, "Body `bo_a` of the entry at position 1 is not"),
        (parts.BODY_CONTENT, data[:-1], 2, "cannot be read: `bodies.bin` is cut off"),
        (parts.BODY_CONTENT, data[:9], 0, "`bo_a` of the entry at position 1 cannot be read"),
        (parts.BODY_CONTENT, data + b"more", 3, "holds more than the list of bodies says"),
        (parts.BODY_CONTENT, data[1:] + data[:1], 1, "`bo_c` of the entry at position 3 is not"),
        (parts.BODY_INDEX, index.replace(b'"size":5', b'"size":4'), 2, "`bo_c`"),
        (parts.BODY_INDEX, index.replace(b'"size":1200', b'"size":-1'), 0, "holds no size"),
        (parts.BODY_INDEX, index.replace(b'"size":', b'"else":'), 0, "holds no size"),
        (parts.BODY_INDEX, index.splitlines(keepends=True)[0], 1, "`bo_b`"),
    ]
    for name, damaged, verified, said in damages:
        bundle = _packed(tmp_path)
        bundle.content[name] = damaged
        bodies, messages = _found(bundle)
        assert bodies == verified, (name, messages)
        assert any(said in m for m in messages), messages


def test_a_bundle_of_the_first_format_still_verifies(tmp_path: Path) -> None:
    """With a part for each body, as Handfast 0.2 wrote it."""
    old = make_bundle(make_entries(30, bodies=PACKED), [10], PACKED)
    meta = json.loads(old.content[parts.META]) | {"format": "handfast-bundle/1"}
    old.content[parts.META] = json.dumps(meta).encode()
    with zipfile.ZipFile(tmp_path / "old", "w") as archive:
        for name, data in old.content.items():
            archive.writestr(name, data)
    with ZipBundle(tmp_path / "old") as bundle:
        report = verify_bundle(bundle, [SIGNER.key], [], ed25519_verify)
    assert report.ok, report.lines()
    assert report.bodies == 3


@given(
    puts=st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=4)), max_size=60),
    front=st.integers(1, 8),
)
def test_a_notebook_on_disk_is_as_one_in_memory(puts: list[tuple[str, bytes]], front: int) -> None:
    disk, memory = DiskNotebook(front), MemoryNotebook()
    with closing(disk):
        for name, value in puts:
            assert disk.get(name) == memory.get(name)
            disk.put(name, value)
            memory.put(name, value)
        for name, _ in puts:
            assert disk.get(name) == memory.get(name)
        assert dict(disk.items()) == dict(memory.items())
