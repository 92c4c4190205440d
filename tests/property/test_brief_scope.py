"""A child's scope lies within its parent's: whatever path the child may touch, the parent may."""

from hypothesis import example, given
from hypothesis import strategies as st

from handfast.core.domain.brief_scope import covers, in_scope

PART = st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "?", "**", "a**", ".", ".."])
GLOB = st.lists(PART, min_size=1, max_size=4).map("/".join)
PATH = st.lists(st.sampled_from(["a", "b", "ab", "ba", "c"]), min_size=1, max_size=4).map("/".join)


@given(wide=GLOB, narrow=GLOB, path=PATH)
@example("src/**", "src", "src/a")
@example("a*", "ab", "ab/c")
@example("*", "**", "a/b")
@example("a/*", "a/**", "a/b/c")
@example("**/a", "b/a", "b/a/c")
@example("a/.", "a", "a")
@example(".", "a", "a")
def test_a_path_of_a_covered_glob_is_within_the_covering_one(
    wide: str, narrow: str, path: str
) -> None:
    if covers(wide, narrow) and in_scope(path, [narrow]):
        folder = wide.rstrip("/").removesuffix("/**")
        assert in_scope(path, [wide]) or in_scope(path, [folder])


@given(glob=GLOB.filter(lambda g: not {".", ".."} & set(g.split("/"))), below=PATH)
def test_a_glob_covers_itself_and_what_is_below_it(glob: str, below: str) -> None:
    assert covers(glob, glob)
    assert covers(glob, f"{glob}/{below}")
    assert covers("**", glob)


def test_what_people_write() -> None:
    wide = {
        "src/**": ["src", "src/", "./src/a.py", "src/**/*.py", "src/x/**"],
        "src": ["src/**", "src/a"],
        "**/*.py": ["src/a.py", "src/*.py", "*.py", "src/**/*.py"],
        "docs/*.md": ["docs/a.md", "docs/*.md"],
    }
    for parent, children in wide.items():
        for child in children:
            assert covers(parent, child), (parent, child)
    for parent, child in [
        ("src/**", "**"),
        ("src/**", "tests/a.py"),
        ("src/**", "src/../tests"),
        ("src/*", "src/**"),
        ("src/a*", "src/*"),
        ("docs/*.md", "docs/*"),
        ("src/a.py", "src"),
        ("src", "srcs"),
    ]:
        assert not covers(parent, child), (parent, child)
