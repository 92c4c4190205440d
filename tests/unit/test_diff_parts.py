"""A diff taken apart: no line is lost, no file is cut without being named, and every page is a diff."""

from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain import diff_parts
from handfast.core.domain.diff_parts import DiffPart, fit, in_pages, parts_of
from handfast.observe.text_diff import text_diff
from handfast.server.web.diff import parse_diff
from tests.large_diff import large_diff


def file_diff(path: str, lines: int, word: str = "line") -> str:
    body = "".join(f"+{word} {n}\n" for n in range(lines))
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{lines} @@\n{body}"


def added(page: str) -> list[str]:
    return [line for line in page.split("\n") if line.startswith("+") and line[:4] != "+++ "]


def test_a_small_change_is_shown_as_it_is() -> None:
    diff = large_diff(500)
    assert fit(diff) == diff_parts.Fitted(diff)
    assert in_pages(diff) == (diff,)


def test_a_large_file_hides_no_small_one() -> None:
    """The agent's first file is larger than all that is shown; what comes behind it is there all the same."""
    diff = file_diff("a_lock.txt", 9_000) + file_diff("z_evil.py", 3) + file_diff("z_too.py", 3)
    fitted = fit(diff)
    assert [part.path for part in parts_of(fitted.text)] == ["z_evil.py", "z_too.py"]
    assert [(part.path, part.added) for part in fitted.unshown] == [("a_lock.txt", 9_000)]


def test_what_is_too_much_is_named_file_by_file() -> None:
    diff = large_diff(8_000)
    fitted = fit(diff)
    shown = [part.path for part in parts_of(fitted.text)]
    assert len(fitted.text) <= diff_parts.MAX_CHARS
    assert fitted.text.count("\n") <= diff_parts.MAX_LINES
    assert not parse_diff(fitted.text).problem
    assert not parse_diff(fitted.text).unseen
    left = [part.path for part in fitted.unshown]
    assert sorted(shown + left) == sorted(f"src/shop/module_{n}.py" for n in range(80))
    assert all((part.added, part.removed) == (50, 50) for part in fitted.unshown)


def test_many_small_files_are_too_much_as_well() -> None:
    fitted = fit("".join(file_diff(f"f{n}.py", 1) for n in range(400)))
    assert len(parts_of(fitted.text)) == diff_parts.MAX_FILES
    assert len(fitted.unshown) == 100


def test_a_file_that_is_too_large_alone_shows_its_beginning_and_is_named() -> None:
    diff = file_diff("data.csv", 30_000)
    fitted = fit(diff)
    assert [part.path for part in fitted.unshown] == ["data.csv"]
    view = parse_diff(fitted.text)
    assert not view.problem
    assert 3_900 < view.added <= diff_parts.MAX_LINES


def test_the_pages_hold_every_line_once_with_its_number() -> None:
    diff = file_diff("a.csv", 9_000) + large_diff(8_000) + file_diff("b.csv", 5_000, "b")
    pages = in_pages(diff)
    assert added("\n".join(pages)) == added(diff)
    for page in pages:
        view = parse_diff(page)
        assert not view.problem
        assert not view.unseen
    second = parse_diff(pages[1]).files[0]
    assert second.path == "a.csv"
    row = second.hunks[0].rows[0]
    assert f"line {int(row.new) - 1}" in row.html.striptags()


def test_a_missing_line_end_stays_with_its_line() -> None:
    lines = diff_parts.MAX_LINES - 4
    diff = file_diff("a.txt", lines) + "\\ No newline at end of file\n"
    diff = diff.replace("@@\n", "@@ def f():\n", 1)
    pages = in_pages(diff)
    assert len(pages) == 2
    assert pages[1].endswith(f"+line {lines - 1}\n\\ No newline at end of file\n")
    assert all(not parse_diff(page).problem for page in pages)


def test_names_are_read_from_every_kind_of_header() -> None:
    moved = "diff --git a/old name.py b/new name.py\nsimilarity index 100%\nrename from old name.py\nrename to new name.py\n"
    binary = "diff --git a/x y.png b/x y.png\nindex 1..2 100644\nBinary files a/x y.png and b/x y.png differ\n"
    gone = "diff --git a/g.py b/g.py\ndeleted file mode 100644\n--- a/g.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    plain = text_diff("h.py", "a\n", "b\n")
    names = [[part.path for part in parts_of(each)] for each in (moved, binary, gone, plain)]
    assert names == [["new name.py"], ["x y.png"], ["g.py"], ["h.py"]]


@given(st.text(max_size=300))
def test_no_text_is_lost_whatever_it_is(text: str) -> None:
    assert "".join(part.text for part in parts_of(text)) == text
    assert fit(text).text == text
    assert "".join(in_pages(text)) == text


def test_a_part_knows_its_sums() -> None:
    part = parts_of(file_diff("a.py", 7))[0]
    assert part == DiffPart("a.py", 7, 0, 12, 25, file_diff("a.py", 7))


def test_a_line_that_every_page_cuts_is_named() -> None:
    """What stands behind two thousand blanks is in the text, and on no page."""
    diff = file_diff("a.py", 2) + file_diff("b.py", 1, "x = 1" + " " * 2_500 + "; evil()")
    fitted = fit(diff)
    assert fitted.text == diff
    assert [part.path for part in fitted.unshown] == ["b.py"]


def test_a_large_text_that_is_no_diff_has_pages_too() -> None:
    text = "".join(f"line {n}\n" for n in range(9_000))
    assert "".join(in_pages(text)) == text
    assert len(in_pages(text)) == 3
    assert len(fit(text).unshown) == 1
