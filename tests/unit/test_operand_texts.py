"""What is kept of the files that a call depends on, and how two forms of one are compared."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from handfast.core.domain.action import Call, Operand
from handfast.engine.operand_texts import MAX_MATCHED, difference, kept
from handfast.observe.operand_texts import MAX_BYTES, MAX_FILES, texts_of
from handfast.observe.operands import file_operand
from handfast.observe.scope import Scope
from handfast.server.web.changed import changed_of
from handfast.server.web.diff import parse_diff


def _call(texts: dict[str, str]) -> Call:
    digests = {p: "sha256:" + hashlib.sha256(t.encode()).hexdigest() for p, t in texts.items()}
    return Call("Bash", {"command": "x"}, operands=tuple(Operand(p, d) for p, d in digests.items()))


def test_only_what_has_the_digest_of_the_call_is_kept() -> None:
    texts = {"a.sh": "true\n", "b.sh": "x" * (MAX_BYTES + 1)}
    call = _call(texts)
    assert kept(call, texts) == {"a.sh": "true\n"}
    assert kept(call, {"a.sh": "false\n", "elsewhere.sh": "true\n"}) == {}
    many = {f"{n}.sh": "true" for n in range(20)}
    assert len(kept(_call(many), many)) == MAX_FILES


def test_a_runner_sends_texts_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("true\n")
    (tmp_path / "large").write_text("x" * (MAX_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\x7fELF\0\1")
    (tmp_path / "latin").write_bytes("caf\u00e9".encode("latin-1"))
    scope = Scope(tmp_path, tmp_path)
    operands = [file_operand(n, scope) for n in ("a.sh", "large", "binary", "latin", "none")]
    stale = Operand("a.sh", "sha256:" + "0" * 64)
    call = Call("Bash", {}, operands=(*operands, Operand("git:main", "sha256:1")))
    assert texts_of(call, scope) == {"a.sh": "true\n"}
    assert texts_of(Call("Bash", {}, operands=(stale,)), scope) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("", "a\n"),
        ("a\n" * 50 + "x\n" + "b\n" * 50, "a\n" * 50 + "y\nz\n" + "b\n" * 50),
        ("".join(f"{n}\n" for n in range(2_000)), "".join(f"{-n}\n" for n in range(2_000))),
        ("one", "two"),
    ],
)
def test_a_difference_is_a_diff_that_leads_from_one_to_the_other(
    tmp_path: Path, old: str, new: str
) -> None:
    found = difference("x.sh", old, new)
    assert not parse_diff(found).problem
    (tmp_path / "x.sh").write_text(old + "\n")
    (tmp_path / "d").write_text(found + "\n")
    subprocess.run(["git", "apply", "--unidiff-zero", "d"], cwd=tmp_path, check=True)
    assert (tmp_path / "x.sh").read_text() == new + "\n"


def test_equal_texts_have_none_and_a_large_one_is_bounded() -> None:
    assert difference("x", "same", "same") == ""
    one, other = ("".join(f"{c}{n}\n" for n in range(MAX_MATCHED * 20)) for c in "ab")
    assert len(difference("x", one, other)) <= 100_000


def test_a_path_and_a_text_are_inert_on_the_page() -> None:
    diff = difference("x.sh", "<b>a</b>", "<script>b</script>\u202e")
    record = {"changed": {"handoff_id": "ho_1", "operands": [{"path": "x.sh", "diff": diff}] * 2}}
    changed = changed_of({}, record)
    assert changed is not None
    views = [o.diff for o in changed.operands]
    rows = [str(row.html) for v in views if v for f in v.files for h in f.hunks for row in h.rows]
    assert not [row for row in rows if "<script>" in row or "<b>" in row or "\u202e" in row]
    anchors = [f.anchor for v in views if v for f in v.files]
    assert len(set(anchors)) == len(anchors) == 2
