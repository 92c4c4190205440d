"""Whatever comes in, nothing hidden comes out and nothing raises."""

from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.inert import inert, is_hidden
from handfast.server.web.diff import parse_diff
from tests.web_fixtures import DIFF

_ANY = st.text(st.characters())
_PATCH_LINES = st.sampled_from(
    ["diff --git a/x b/x", "--- a/x", "+++ b/x", "@@ -1,2 +1,2 @@", "@@ -0,0 +1 @@", "@@ -1 +0,0 @@ f",
     " c", "-d", "+a", "", "\\ No newline at end of file", "Binary files a/x and b/x differ",
     "GIT binary patch", "literal 3", "rename from y", "index 1..2 100644", "+++ /dev/null", "+\u202e\x1b[1m<b>"]
)  # fmt: skip


@given(_ANY, st.booleans())
def test_nothing_hidden_is_left(text: str, multiline: bool) -> None:
    shown = inert(text, multiline=multiline)
    assert not any(is_hidden(char) for char in shown if not (multiline and char in "\n\t"))
    assert inert(shown, len(shown), multiline=multiline) == shown
    shown.encode()


@given(st.text(st.sampled_from("a\u202e\u200b\U000e0041\x1b")), st.integers(1, 50))
def test_the_length_is_bounded(text: str, limit: int) -> None:
    assert len(inert(text, limit)) <= 10 * limit + 60


@given(
    st.one_of(_ANY, st.lists(_PATCH_LINES).map("\n".join), st.lists(_PATCH_LINES).map("\r\n".join))
)
def test_any_text_is_a_diff_or_is_shown_whole(text: str) -> None:
    view = parse_diff(text)
    assert view.files or view.problem
    if view.problem:
        assert view.plain == text or not text.strip()


@given(st.data())
def test_a_line_put_into_a_diff_is_never_lost(data: st.DataObject) -> None:
    lines = DIFF.split("\n")
    at = data.draw(st.integers(0, len(lines)))
    intruder = "rm -rf intruder"
    view = parse_diff("\n".join([*lines[:at], intruder, *lines[at:]]))
    rows = [str(row.html) for file in view.files for hunk in file.hunks for row in hunk.rows]
    seen = [*rows, view.plain, *(note for file in view.files for note in file.notes)]
    assert any("intruder" in text for text in seen)
