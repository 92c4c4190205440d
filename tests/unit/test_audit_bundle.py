"""Verification of bundles: what is found, what is named, what is said to be unproven."""

import json

import pytest

from handfast.core.audit import bundle_format as parts
from handfast.core.audit.note import format_note
from handfast.core.audit.report import MAX_FINDINGS, Report
from handfast.core.audit.tree import leaf_hash
from tests.audit_bundles import (
    SIGNER,
    Body,
    MemoryBundle,
    Signer,
    check,
    event,
    join,
    json_lines,
    make_bundle,
    make_entries,
)

ENTRIES = make_entries(100)
HEADS = (20, 40, 60, 80)


def tampered(entries: list[bytes], *, leaves: list[bytes] | None = None) -> MemoryBundle:
    """The bundle of ENTRIES with other entries (and leaf list) put in; nothing is signed again."""
    bundle = make_bundle(ENTRIES, HEADS)
    bundle.content[parts.ENTRIES] = join(entries)
    if leaves is not None:
        bundle.content[parts.LEAVES] = b"".join(leaves)
    return bundle


def kinds(report: Report) -> list[str]:
    return [f.kind for f in report.findings]


def flipped(entry: bytes) -> bytes:
    return entry.replace(b'"actor":{"id":"ag_1"', b'"actor":{"id":"ag_2"')


def test_a_sound_bundle() -> None:
    report = check(make_bundle(ENTRIES, HEADS), SIGNER.head(ENTRIES, 50))
    assert report.ok
    assert (report.entries, report.heads, report.first_wrong, report.interval) == (
        100,
        4,
        None,
        None,
    )
    text = "\n".join(report.lines())
    assert text.startswith("OK: 100 entries, 4 signed heads")
    assert "Entries 1 to 100 are exactly those signed by a key you gave" in text
    assert "Entries 1 to 50 are as they were" in text
    assert "Entries after 50: later ones may have been cut off" in text


def test_without_key_and_earlier_head_the_gaps_are_said() -> None:
    report = check(make_bundle(ENTRIES), key=None)
    assert report.ok
    unproven = "\n".join(report.unproven)
    assert "Who signed: no key was given" in unproven
    assert "cut off" in unproven
    assert "rewrite the history" in unproven
    assert not any("a key you gave" in claim for claim in report.proven)


def test_an_empty_log() -> None:
    assert check(make_bundle([])).ok


def test_one_changed_byte_is_named() -> None:
    report = check(tampered([*ENTRIES[:41], flipped(ENTRIES[41]), *ENTRIES[42:]]))
    first = report.first_wrong
    assert first is not None
    assert (first.kind, first.position) == ("changed", 42)
    assert "Entries 1 to 40 are exactly those signed" in report.proven[0]
    assert report.lines()[0].endswith("the first wrong entry is at position 42.")


def test_a_removed_entry_is_named() -> None:
    report = check(tampered(ENTRIES[:41] + ENTRIES[42:]))
    assert report.first_wrong is not None
    assert (report.first_wrong.kind, report.first_wrong.position) == ("deleted", 42)


def test_exchanged_entries_are_named() -> None:
    report = check(tampered([*ENTRIES[:41], ENTRIES[42], ENTRIES[41], *ENTRIES[43:]]))
    assert report.first_wrong is not None
    assert (report.first_wrong.kind, report.first_wrong.position) == ("reordered", 42)


def test_an_inserted_entry_is_named() -> None:
    extra = event(999, "run_x", 1)
    report = check(tampered([*ENTRIES[:41], extra, *ENTRIES[41:]]))
    assert report.first_wrong is not None
    assert (report.first_wrong.kind, report.first_wrong.position) == ("inserted", 42)


def test_cut_off_entries_are_named() -> None:
    report = check(tampered(ENTRIES[:97]))
    assert report.first_wrong is not None
    assert (report.first_wrong.kind, report.first_wrong.position) == ("missing", 98)


def test_the_last_entry_removed_after_the_last_head() -> None:
    report = check(tampered(ENTRIES[:98] + ENTRIES[99:]))
    assert report.first_wrong is not None
    assert (report.first_wrong.kind, report.first_wrong.position) == ("deleted", 99)


def test_added_entries_are_not_covered() -> None:
    report = check(tampered([*ENTRIES, event(101, "run_x", 1)]))
    assert report.first_wrong is not None
    assert (report.first_wrong.kind, report.first_wrong.position) == ("surplus", 101)


def test_entry_and_leaf_list_changed_together_give_an_interval() -> None:
    entries = [*ENTRIES[:41], flipped(ENTRIES[41]), *ENTRIES[42:]]
    report = check(tampered(entries, leaves=[leaf_hash(e) for e in entries]))
    assert report.first_wrong is None
    assert report.interval == (41, 60)
    assert report.lines()[0].endswith("a wrong entry lies between positions 41 and 60.")


def test_entry_and_leaf_removed_together_give_an_interval() -> None:
    entries = ENTRIES[:95] + ENTRIES[96:]
    report = check(tampered(entries, leaves=[leaf_hash(e) for e in entries]))
    assert report.interval == (81, 100)
    assert report.findings[0].kind == "missing"


def test_a_wrong_leaf_list_does_not_blame_the_entry() -> None:
    leaves = [leaf_hash(e) for e in ENTRIES]
    leaves[41] = b"\0" * 32
    report = check(tampered(ENTRIES, leaves=leaves))
    assert kinds(report) == ["leaf_list"]
    assert "position 42" in report.findings[0].message
    assert "the entry itself is as signed" in report.findings[0].message
    for wrong in (leaves[:99], [*(leaf_hash(e) for e in ENTRIES), b"\0" * 32]):
        assert kinds(check(tampered(ENTRIES, leaves=wrong))) == ["leaf_list"]


def test_a_rewrite_by_the_key_holder_is_found_against_an_earlier_head() -> None:
    since = SIGNER.head(ENTRIES, 70)
    entries = [*ENTRIES[:41], flipped(ENTRIES[41]), *ENTRIES[42:]]
    rewritten = make_bundle(entries, HEADS)
    assert check(rewritten).ok
    report = check(rewritten, since)
    assert kinds(report) == ["rewritten"]
    assert report.interval == (1, 70)
    assert "signed it again" in report.findings[0].message
    narrower = check(rewritten, SIGNER.head(ENTRIES, 30), since)
    assert narrower.interval == (31, 70)


def test_a_rewrite_after_the_earlier_head_stays_unproven() -> None:
    entries = [*ENTRIES[:41], flipped(ENTRIES[41]), *ENTRIES[42:]]
    report = check(make_bundle(entries), SIGNER.head(ENTRIES, 41))
    assert report.ok
    assert any("Entries after 41" in claim for claim in report.unproven)


def test_an_older_signed_state_is_found_against_a_later_head() -> None:
    older = make_bundle(ENTRIES[:60])
    assert check(older).ok
    report = check(older, SIGNER.head(ENTRIES, 90))
    assert kinds(report) == ["truncated"]
    assert report.interval == (61, 90)


def test_two_signed_histories_in_one_bundle() -> None:
    bundle = make_bundle(ENTRIES, (20, 80))
    other = [*ENTRIES[:30], flipped(ENTRIES[30]), *ENTRIES[31:]]
    bundle.content[parts.HEADS] = json_lines(
        [
            {"note": SIGNER.head(ENTRIES, 20)},
            {"note": SIGNER.head(other, 50)},
            {"note": SIGNER.head(ENTRIES, 80)},
        ]
    )
    report = check(bundle)
    assert kinds(report) == ["split_view"]
    assert report.interval == (21, 50)


def test_a_head_larger_than_the_checkpoint_shows_truncation() -> None:
    bundle = make_bundle(ENTRIES[:60])
    bundle.content[parts.HEADS] = json_lines([{"note": SIGNER.head(ENTRIES, 90)}])
    assert check(bundle).interval == (61, 90)


def test_another_key_than_the_given_one() -> None:
    report = check(make_bundle(ENTRIES, HEADS), key=Signer(seed=2).key)
    assert kinds(report) == ["checkpoint"]
    assert "not a key you gave" in report.findings[0].message
    assert not any("signed by a key you gave" in c for c in report.proven)


def test_heads_of_an_earlier_key_are_counted_as_unproven() -> None:
    old = Signer(seed=2)
    bundle = make_bundle(ENTRIES, (80,))
    heads = [{"note": old.head(ENTRIES, 30)}, {"note": SIGNER.head(ENTRIES, 80)}]
    bundle.content[parts.HEADS] = json_lines(heads)
    assert kinds(check(bundle)) == ["head"]
    bundle.content[parts.KEYS] = json.dumps({"keys": [str(old.key), str(SIGNER.key)]}).encode()
    report = check(bundle)
    assert report.ok
    assert any("1 tree heads are signed only by keys" in c for c in report.unproven)


def test_a_head_of_a_foreign_key_cannot_move_the_interval() -> None:
    foreign = Signer(seed=3)
    entries = [*ENTRIES[:9], flipped(ENTRIES[9]), *ENTRIES[10:]]
    bundle = tampered(entries, leaves=[leaf_hash(e) for e in entries])
    heads = [{"note": foreign.head(entries, 15)}, {"note": SIGNER.head(ENTRIES, 20)}]
    bundle.content[parts.HEADS] = json_lines(heads)
    bundle.content[parts.KEYS] = json.dumps({"keys": [str(foreign.key)]}).encode()
    assert check(bundle).interval == (1, 20)
    heads = [{"note": foreign.head(ENTRIES, 15)}, {"note": SIGNER.head(entries, 20)}]
    bundle = make_bundle(entries)
    bundle.content[parts.HEADS] = json_lines(heads)
    bundle.content[parts.KEYS] = json.dumps({"keys": [str(foreign.key)]}).encode()
    assert kinds(check(bundle)) == ["declared_head"]


@pytest.mark.parametrize("name", [n for n in parts.PARTS if n != parts.BODY_CONTENT])
def test_a_missing_part_is_a_finding(name: str) -> None:
    bundle = make_bundle(ENTRIES, HEADS, bodies=())
    del bundle.content[name]
    assert not check(bundle).ok


@pytest.mark.parametrize(
    "name", [parts.META, parts.KEYS, parts.HEADS, parts.BODY_INDEX, parts.CHECKPOINT]
)
@pytest.mark.parametrize(
    "data", [b"x\n", b"[]\n", b"{}\n", b"\xff\n", b"{" * 90_000 + b"\n", b"9" * 2_000_000]
)
def test_nonsense_in_a_part_is_a_finding(name: str, data: bytes) -> None:
    bundle = make_bundle(ENTRIES, HEADS)
    bundle.content[name] = data
    assert not check(bundle).ok


def test_description_and_earlier_head_of_another_log() -> None:
    bundle = make_bundle(ENTRIES)
    bundle.content[parts.META] = json.dumps(
        {"format": parts.FORMAT, "origin": "other", "size": 100}
    ).encode()
    assert kinds(check(bundle)) == ["meta"]
    text = "other.example/log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    other = format_note(text, SIGNER.name, SIGNER.key.key_id, SIGNER.private.sign(text.encode()))
    report = check(make_bundle(ENTRIES), other)
    assert kinds(report) == ["since"]
    assert "other.example/log" in report.findings[0].message
    assert kinds(check(make_bundle(ENTRIES), "rubbish")) == ["since"]
    assert kinds(check(make_bundle(ENTRIES), Signer(seed=4).head(ENTRIES, 3))) == ["since"]


def test_a_line_that_is_too_long_or_cut_off() -> None:
    bundle = make_bundle(ENTRIES)
    bundle.content[parts.ENTRIES] = join(ENTRIES[:50]) + b"x" * 70_000
    report = check(bundle)
    assert "unreadable" in kinds(report)
    assert report.first_wrong is not None
    assert report.first_wrong.position == 51
    bundle.content[parts.ENTRIES] = join(ENTRIES)[:-1]
    assert "unreadable" in kinds(check(bundle))


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (b'{"b":1, "a":2}', "not_canonical"),
        (b'{"a":1.5}', "not_canonical"),
        (b'{"a":1,"a":1}', "not_canonical"),
        (b'{"a":9007199254740993}', "not_canonical"),
        (b'{"a":' + b"9" * 5000 + b"}", "not_canonical"),
        (b'{"a":NaN}', "not_canonical"),
        (b"[" * 30_000, "not_canonical"),
        (b'"\xff"', "not_canonical"),
        (b'{"a":"\\u0041"}', "not_canonical"),
        (b"[]", "envelope"),
        (b'{"id":"x"}', "envelope"),
        (event(4, "", 2), "envelope"),
        (event(4, "run_0", 0), "envelope"),
        (event(4, "run_0", 2).replace(b"2026-01-01T", b"2026-01-01 "), "envelope"),
        (event(4, "run_0", 3), "version"),
        (event(4, "run_0", 1), "version"),
        (event(4, "run_new", 2), "version"),
    ],
)
def test_signed_entries_must_be_sound_events(entry: bytes, kind: str) -> None:
    report = check(make_bundle([*ENTRIES[:3], entry]))
    assert kinds(report) == [kind]
    assert report.first_wrong is not None
    assert report.first_wrong.position == 4


def test_text_beyond_ascii_is_canonical_too() -> None:
    assert check(make_bundle([event(1, "run_ü", 1, {"who": "Zoë \U0001f600"})])).ok


BODIES = [
    Body("bo_a", b"one"),
    Body("bo_b", b"two" * 2000),
    Body("bo_c", b"gone", "erased"),
    Body("bo_d", b"kept back", "withheld"),
]
WITH_BODIES = make_entries(10, bodies=BODIES)


def test_bodies_are_compared_and_erased_ones_are_listed() -> None:
    report = check(make_bundle(WITH_BODIES, bodies=BODIES))
    assert report.ok
    assert (report.bodies, report.erased) == (2, ("bo_c",))
    unproven = "\n".join(report.unproven)
    assert "What the 1 erased bodies held" in unproven
    assert "no entry up to this tree head records it" in unproven
    assert "What 1 bodies hold" in unproven
    assert "  - `bo_c`" in report.lines()


def test_a_recorded_erasure_is_not_questioned() -> None:
    erased = event(11, "installation", 1, {"body_id": "bo_c"}, "body.erased")
    report = check(make_bundle([*WITH_BODIES, erased], bodies=BODIES))
    assert report.ok
    assert not any("records it" in c for c in report.unproven)


def test_a_changed_body_is_named_with_its_entry() -> None:
    bundle = make_bundle(WITH_BODIES, bodies=BODIES)
    bundle.content["bodies/bo_b"] = b"Two" * 2000
    report = check(bundle)
    assert report.first_wrong is not None
    assert (report.first_wrong.kind, report.first_wrong.position) == ("body", 2)
    assert "`bo_b`" in report.first_wrong.message
    assert report.first_wrong.event_id == f"ev_{2:026d}"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"body_id": "bo_a", "state": "held"}, "no readable salt"),
        ({"body_id": "bo_a", "state": "held", "salt": "zz"}, "no readable salt"),
        ({"body_id": "bo_a", "state": "held", "salt": "00" * 32}, "its digest differs"),
        ({"body_id": "bo_a", "state": "lost"}, "unknown state"),
    ],
)
def test_bad_body_records(record: dict[str, object], words: str) -> None:
    bundle = make_bundle(make_entries(3, bodies=BODIES[:1]), bodies=BODIES[:1])
    bundle.content[parts.BODY_INDEX] = json_lines([record])
    report = check(bundle)
    assert report.first_wrong is not None
    assert words in report.first_wrong.message


def test_body_lists_that_do_not_fit_the_entries() -> None:
    entries = make_entries(3, bodies=BODIES[:2])
    assert kinds(check(make_bundle(entries, bodies=BODIES[:1]))) == ["body"]
    assert kinds(check(make_bundle(entries, bodies=BODIES[:3]))) == ["body_unknown"]
    twice = make_bundle(entries, bodies=[*BODIES[:2], BODIES[1]])
    assert kinds(check(twice)) == ["body_listed_twice"]
    unlisted = make_bundle(entries, bodies=BODIES[:2])
    unlisted.content["bodies/bo_z"] = b"smuggled"
    assert kinds(check(unlisted)) == ["body_unlisted"]
    absent = make_bundle(entries, bodies=BODIES[:2])
    del absent.content["bodies/bo_b"]
    assert kinds(check(absent)) == ["body"]


def test_contradicting_and_broken_references() -> None:
    reference = BODIES[0].reference()
    first = event(1, "s", 1, {"b": reference})
    other = event(2, "s", 2, {"nested": [{"b": {**reference, "size": 99}}]})
    assert kinds(check(make_bundle([first, other], bodies=BODIES[:1]))) == ["body_reference"]
    broken = event(2, "s", 2, {"b": {"body_id": "bo_a", "digest": 5}})
    assert kinds(check(make_bundle([first, broken], bodies=BODIES[:1]))) == ["body_reference"]
    lying = event(1, "s", 1, {"b": {**reference, "size": 99}})
    assert kinds(check(make_bundle([lying], bodies=BODIES[:1]))) == ["body"]
    escaping = event(1, "s", 1, {"b": {**reference, "body_id": "../x"}})
    bundle = make_bundle([escaping])
    bundle.content[parts.BODY_INDEX] = json_lines(
        [{"body_id": "../x", "state": "held", "salt": "00" * 32}]
    )
    assert kinds(check(bundle)) == ["body"]


def test_many_findings_are_counted_and_bounded() -> None:
    report = check(make_bundle([b"{}"] * 500))
    assert report.finding_count == 500
    assert len(report.findings) == MAX_FINDINGS
    assert "  - and 400 more" in report.lines()


def test_the_report_is_json() -> None:
    report = check(tampered(ENTRIES[:97]))
    data = json.loads(json.dumps(report.to_json()))
    assert data["ok"] is False
    assert data["first_wrong"]["position"] == 98
    assert data["findings"][0]["kind"] == "missing"
