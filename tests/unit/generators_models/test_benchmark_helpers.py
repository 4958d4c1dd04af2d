"""The benchmarks' own bookkeeping; what they measure is not asserted here."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common import COLUMNS, Result, alternate, report
from benchmarks.dag import SCRIPTS
from benchmarks.run import page

ROOT = Path(__file__).resolve().parents[3]


def test_ratio_is_peer_over_ours_and_columns_are_the_documented_ones():
    row = Result("step", "small", 2.0, "peer", "1.0", 5.0, "s").row()
    assert row["ratio"] == "2.5"
    assert ",".join(COLUMNS) == "date,benchmark,size,ours_s,peer,peer_version,peer_s,ratio,unit,machine,note"
    assert tuple(row) == COLUMNS and row["machine"]


def test_results_are_appended_below_one_header(tmp_path, capsys):
    out = tmp_path / "deep" / "benchmarks.csv"
    for ours in (1.0, 4.0):
        report([Result("step", "small", ours, "peer", "1.0", 8.0, "s", "a, note")], out)
    with open(out, newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["ratio"] for row in rows] == ["8", "2"] and rows[0]["note"] == "a, note"
    assert out.read_text().count("date,benchmark") == 1
    assert "ratio" in capsys.readouterr().out


def test_paths_take_turns_after_one_round_without_clock():
    calls: list[str] = []
    medians = alternate([lambda: calls.append("a"), lambda: calls.append("b")], repeats=3)
    assert calls == ["a", "b"] * 4 and len(medians) == 2


def test_the_page_shows_the_newest_of_each_kind():
    base = dict.fromkeys(COLUMNS, "x")
    rows = [{**base, "ours_s": "old"}, {**base, "benchmark": "other | one"}, {**base, "ours_s": "new"}]
    text = page(rows)
    assert "| new |" in text and "| old |" not in text and "other / one" in text


def test_job_overhead_is_measured_on_script_jobs():
    assert 'script: "one.py"' in SCRIPTS


@pytest.mark.scale
@pytest.mark.parametrize("name", ["training_step", "memory", "sampling", "dag", "btf_sweep", "btf_paths", "btf_size"])
def test_every_benchmark_runs(name, tmp_path):
    out = tmp_path / "benchmarks.csv"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--out", str(out)]
    assert subprocess.run(command, cwd=ROOT, timeout=300).returncode == 0
    with open(out, newline="") as handle:
        assert all(float(row["ratio"]) > 0 for row in csv.DictReader(handle))
