"""The benchmark's own parts in small: that they count what they say they count. No test here looks at a time."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from bench import __main__ as runner
from bench import figures, load, record, scale, table, waiting
from bench.cycles import at_once, versions
from bench.engine import open_bench
from bench.figures import Figure, Room, at_least, at_most, times
from bench.filler import Mix, fill
from bench.parts import LONG, PARTS
from bench.peers import environment
from bench.served import serving

ROOT = Path(__file__).parents[2]


def test_a_figure_says_whether_its_target_is_met() -> None:
    floor = Figure("floor", 100.0, "/s", "bare")
    slow = times(Figure("ours", 30.0, "/s", "whole"), floor, 0.4)
    assert (slow.ratio, slow.met, slow.target) == (0.3, False, "at least 0.4x")
    assert times(slow, floor, 0.3).met
    assert at_most(floor, 100).met
    assert not at_least(floor, 101).met
    assert "MISSED" in slow.line()


def test_results_tell_the_machine_but_not_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "disk", "--json", str(tmp_path / "results")])
    assert runner.main() == 0
    text = (tmp_path / "results" / "disk.json").read_text()
    result = json.loads(text)
    assert [f["name"] for f in result["figures"]] == ["fsync"]
    assert result["figures"][0]["means"]
    assert {"cores", "python", "load_1min", "load_1min_after"} <= result["machine"].keys()
    assert str(tmp_path) not in text
    assert Path("/proc/sys/kernel/hostname").read_text().strip() not in text
    assert "fsync" in capsys.readouterr().out


def test_committed_results_have_every_definition() -> None:
    for path in (ROOT / "bench" / "results").glob("*.json"):
        result = json.loads(path.read_text())
        assert result["part"] in PARTS, path.name
        assert all(f["means"] for f in result["figures"]), path.name
        assert not re.search(r'"/(?!s")|/tmp|/root|/home', path.read_text()), path.name


def test_every_part_is_explained() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert PARTS.keys() > LONG
    for name, part in PARTS.items():
        assert part.__doc__, name
        assert f"`{name}`" in page, name


def test_the_page_shows_the_committed_results() -> None:
    assert table.START + table.rendered() + table.END in table.PAGE.read_text(), (
        "run `python -m bench.table`"
    )


def test_peers_are_pinned_by_hash() -> None:
    text = environment.LOCK.read_text()
    entries = re.findall(r"^([a-z0-9-]+)==[^\s]+( ;.*)? \\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^[a-z]", text, re.MULTILINE)) > 30
    assert "://" not in text
    assert versions().keys() >= {"langgraph", "langgraph-checkpoint-postgres"}


def test_cycles_are_whole(tmp_path: Path) -> None:
    bench = open_bench(tmp_path, f"sqlite:///{tmp_path / 'handfast.db'}")
    assert at_once(bench, 2, 0.2) > 0
    statuses = {h["status"] for h in bench.engine.views.handoffs("all", limit=500).items}
    assert statuses == {"closed"}
    bench.engine.close()


def test_verification_reads_every_entry(tmp_path: Path) -> None:
    names = [f.name for f in record.verifying(Room(tmp_path, quick=True))]
    assert names == ["offline verification", "offline verification, processor"]


@pytest.mark.slow
def test_pages_and_long_polls_of_a_server(tmp_path: Path) -> None:
    """Forty callers hang on a server without a thread each; none is answered while nothing is decided."""
    bench = open_bench(tmp_path, f"sqlite:///{tmp_path / 'handfast.db'}")
    ids = fill(bench, Mix(waiting=70, approved=5, refused=5), runs=2)
    size = bench.engine.kernel.store.size()
    bench.engine.close()
    with serving(tmp_path) as server:
        pages = list(scale.pages(server, ids, size, "here", 2))
        assert sum(f.met is not None for f in pages) == 6
        found = asyncio.run(waiting.idle(server, ids, 40, 0.5))
        assert (found.polls.answered, found.polls.failed) == (0, [])
        again = asyncio.run(waiting.idle(server, ids, 5, 0.5))
        assert again.threads <= found.threads <= 80


@pytest.mark.slow
@pytest.mark.postgres
def test_mixed_load_on_two_servers(tmp_path: Path) -> None:
    """Everybody takes part, and the independent checker finds nothing."""
    found = {f.name: f for f in load.figures(Room(tmp_path, quick=True))}
    if not found:
        pytest.skip("no PostgreSQL here")
    assert found["violations after the load"].value == 0, found["violations after the load"]
    errors = next(f for name, f in found.items() if name.startswith("errors"))
    assert errors.value == 0, errors.beside
    for kind in ("propose", "result", "list", "inbox page"):
        assert any(name.startswith(f"{kind}, p50") for name in found), kind
    assert next(f for n, f in found.items() if n.startswith("entries streamed")).value > 0


def test_percentiles() -> None:
    took = [float(n) for n in range(100, 0, -1)]
    assert figures.percentile(took, 0.5) == 51
    assert figures.percentile(took, 0.99) == 100
    assert figures.percentile([7.0], 0.99) == 7
