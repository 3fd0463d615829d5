"""Nothing lost and nothing doubled, wherever a run was killed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mer_edge.errors import MerEdgeError
from mer_edge.result import ModalitySay, Result
from runtime.batch import store as store_module
from runtime.batch.record import FileRecord
from runtime.batch.settings import JobSettings
from runtime.batch.store import Store, lines_path
from runtime.output_paths import journal_path
from runtime.result_lines import LineFile
from tests.file_limit import limit_of_files

LABELS = ["happy", "sad"]
SETTINGS = JobSettings("bundle", "a" * 64, {"--device": "cpu"})


def result(source: str, number: int) -> Result:
    return Result(
        source=source,
        start_s=float(number),
        end_s=number + 1.0,
        segments=1,
        audio_segments=1,
        face_segments=0,
        text="good day" if number else None,
        probabilities={"happy": 0.1 * number, "sad": 0.7},
        decision=["sad"],
        top="sad",
        modalities={
            "audio": ModalitySay(True, 1.0, {"happy": 0.2, "sad": 0.3}),
            "visual": ModalitySay(False, 0.0, None),
            "text": ModalitySay(False, 0.0, None, used=False),
        },
        timings_ms={"media": 1.0, "audio": 2.0, "fusion": 0.5, "total": 3.5},
        engine="none",
        notes=["a note"],
    )


def record(name: str, clips: int = 1, error: str | None = None) -> FileRecord:
    return FileRecord(name, name, tuple(result(name, n) for n in range(clips)), error)


RECORDS = [record("a", 1), record("b", 3), record("c", 1, "broken"), record("d", 2)]


def lines_of(records: list[FileRecord]) -> list[Any]:
    return [json.loads(line) for item in records for line in item.lines()]


def told(out: Path) -> list[Any]:
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_text().splitlines()]
    from runtime.batch.table import read_table

    lines = out.with_suffix(".told")
    read_table(out, lines)
    return [json.loads(line) for line in lines.read_text().splitlines()]


def run(out: Path, records: list[FileRecord], settings: JobSettings = SETTINGS) -> list[str]:
    """A whole run: what is not complete is added. Returns what was."""
    with Store(out, settings, LABELS) as store:
        left = [item for item in records if item.key not in store.done]
        for item in left:
            store.add(item)
        store.finish()
    return [item.key for item in left]


@pytest.mark.parametrize("name", ["r.jsonl", "r.parquet"])
def test_results_in_their_order_and_failed_files_again(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    assert run(out, RECORDS) == ["a", "b", "c", "d"]
    assert told(out) == lines_of(RECORDS)
    mended = record("c", 2)
    assert run(out, [*RECORDS[:2], mended, RECORDS[3]]) == ["c"]
    assert told(out) == lines_of([RECORDS[0], RECORDS[1], RECORDS[3], mended])
    before = out.stat().st_mtime_ns
    assert run(out, [RECORDS[0], mended]) == []
    assert out.stat().st_mtime_ns == before
    names = {path.name for path in tmp_path.iterdir() if path.suffix != ".told"}
    assert names == {name, f"{name}.job"}


class Disk:
    """Every write of a run, so that it can be stopped after any byte of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.written = 0
        write, append = LineFile.add, store_module.Journal._append

        def cut_write(file: LineFile, data: bytes) -> None:
            write(file, self._part(data))
            self._check()

        def cut_append(journal: Any, line: dict[str, Any]) -> None:
            data = msgspec.json.encode(line) + b"\n"
            part = self._part(data)
            if len(part) == len(data):
                append(journal, line)
            else:
                journal._file.write(part)
            self._check()

        monkeypatch.setattr(LineFile, "add", cut_write)
        monkeypatch.setattr(store_module.Journal, "_append", cut_append)

    def _part(self, data: bytes) -> bytes:
        part = data if self.left is None else data[: self.left]
        self.written += len(part)
        if self.left is not None:
            self.left -= len(data)
        return part

    def _check(self) -> None:
        if self.left is not None and self.left <= 0:
            raise KilledError


class KilledError(BaseException):
    """Stands for kill -9: nothing of ours runs after it but what closes files."""


@pytest.mark.parametrize("name", ["r.jsonl", "r.parquet"])
def test_a_kill_after_any_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    disk = Disk(monkeypatch)
    run(tmp_path / "whole" / name, RECORDS)
    total = disk.written
    good = [RECORDS[0], RECORDS[1], RECORDS[3]]
    step = 37 if name.endswith("jsonl") else 211
    for stop in range(1, total, step):
        folder = tmp_path / "killed"
        out = folder / name
        disk.left = stop
        with pytest.raises(KilledError):
            run(out, RECORDS)
        disk.left = None
        run(out, RECORDS)
        assert sorted(map(str, told(out))) == sorted(map(str, lines_of(RECORDS))), stop
        kept = [line for line in told(out) if line["source"] != "c"]
        assert kept == lines_of(good), stop
        shutil.rmtree(folder)


@pytest.mark.parametrize("moment", ["drop", "_put_in_place"])
def test_a_kill_while_failed_files_are_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    out = tmp_path / "r.jsonl"
    run(out, RECORDS)

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        if moment == "drop":
            patch.setattr(store_module.Journal, "drop", die)
            patch.setattr(Path, "unlink", lambda *_, **__: None)
        else:
            calls = []
            place = store_module.Store._put_in_place

            def second(self: Store, name: str | None) -> None:
                calls.append(name)
                if len(calls) == 2:
                    raise KilledError
                place(self, name)

            patch.setattr(store_module.Store, "_put_in_place", second)
        with pytest.raises(KilledError):
            Store(out, SETTINGS, LABELS)
    assert run(out, RECORDS) == ["c"]
    assert told(out) == lines_of([RECORDS[0], RECORDS[1], RECORDS[3], RECORDS[2]])
    assert not list(tmp_path.glob(".r.jsonl.*"))


def test_results_that_a_power_failure_took_are_made_again(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    run(out, RECORDS)
    out.write_bytes(b"".join(RECORDS[0].lines() + RECORDS[1].lines()[:2]))
    assert run(out, RECORDS) == ["b", "c", "d"]
    assert told(out) == lines_of(RECORDS)


def test_another_bundle_or_option_is_refused_and_overwrite_starts_anew(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    run(out, RECORDS)
    before = out.read_bytes()
    other = JobSettings("other", "b" * 64, {"--device": "cpu"})
    with pytest.raises(MerEdgeError) as bundle:
        Store(out, other, LABELS)
    assert "bundle bundle (aaaaaaaaaaaa), this is other (bbbbbbbbbbbb)" in str(bundle.value)
    asked = JobSettings("moved", "a" * 64, {"--device": "cpu", "--face": "2"})
    with pytest.raises(MerEdgeError, match="was begun with no --face, this run has --face 2"):
        Store(out, asked, LABELS)
    assert out.read_bytes() == before
    with Store(out, other, LABELS, overwrite=True) as store:
        assert store.done == set()
        store.add(RECORDS[3])
        store.finish()
    assert told(out) == lines_of([RECORDS[3]])


def test_results_that_no_job_began_are_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    out.write_text("mine\n")
    with pytest.raises(MerEdgeError, match=r"r\.jsonl\.job, which says what it is, does not lie"):
        Store(out, SETTINGS, LABELS)
    assert out.read_text() == "mine\n"
    assert not journal_path(out).exists()


def test_lines_of_somebody_else_are_not_taken_for_the_jobs(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    run(out, RECORDS)
    others = b"".join(record("other", 7).lines())
    out.write_bytes(others)
    with pytest.raises(MerEdgeError, match=r"r\.jsonl: the lines of a are not those that the job"):
        Store(out, SETTINGS, LABELS)
    assert out.read_bytes() == others
    with Store(out, SETTINGS, LABELS, overwrite=True) as store:
        assert store.done == set()


def test_results_that_are_replaced_under_a_running_job_end_it(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    with Store(out, SETTINGS, LABELS) as store:
        store.add(RECORDS[0])
        (tmp_path / "new").write_bytes(b"theirs\n")
        (tmp_path / "new").replace(out)
        with pytest.raises(MerEdgeError, match="put something else in its place while the job ran"):
            store.finish()
    assert out.read_bytes() == b"theirs\n"


def test_a_file_whose_name_is_not_utf_8_is_one_like_others(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    odd = FileRecord("bad\udcff.mp4", "bad\udcff.mp4", (result("bad", 1),))
    assert run(out, [odd, RECORDS[0]]) == ["bad\udcff.mp4", "a"]
    assert run(out, [odd, RECORDS[0], RECORDS[1]]) == ["b"]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    with Store(out, SETTINGS, LABELS):
        with pytest.raises(MerEdgeError, match="another mer-edge infer is writing it"):
            Store(out, SETTINGS, LABELS)
    run(out, RECORDS)


def test_a_journal_that_is_none(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    journal_path(out).write_text('{"else": 1}\n')
    with pytest.raises(MerEdgeError, match="line 1: not written by mer-edge infer"):
        Store(out, SETTINGS, LABELS)


def test_a_table_has_nested_columns(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    out = tmp_path / "r.parquet"
    with Store(out, SETTINGS, LABELS) as store:
        for item in RECORDS:
            store.add(item)
        assert lines_path(out).exists()
        assert not out.exists()
        store.finish()
    table = parquet.read_table(out).flatten()
    assert table["probabilities.sad"].to_pylist() == [0.7] * 5 + [None] + [0.7] * 2
    assert table["error"].to_pylist() == [None] * 5 + ["broken"] + [None] * 2
    assert table["source"].to_pylist() == list("abbbccdd")


@pytest.mark.parametrize("name", ["r.jsonl", "r.parquet"])
@pytest.mark.parametrize("what", ["results", "journal"])
def test_a_limit_on_files_says_where_the_results_are(tmp_path: Path, name: str, what: str) -> None:
    out = tmp_path / name
    kept = lines_path(out)
    with Store(out, SETTINGS, LABELS) as store:
        store.add(RECORDS[0])
        size = (kept if what == "results" else journal_path(out)).stat().st_size
        # A part of the next line still fits; of results a file is longer than of the journal.
        left = RECORDS[1] if what == "results" else FileRecord("b" * 4000, "b", (), None)
        with limit_of_files(max(size + 10, 2000 if what == "journal" else 0)):
            with pytest.raises(MerEdgeError) as raised:
                store.add(left)
    assert str(raised.value) == (
        f"{out}: a file has reached the largest size allowed while writing the results; what is "
        f"complete is in {kept}; raise the limit (ulimit -f) and run the same command again"
    )
    assert run(out, RECORDS[:2]) == ["b"]
    assert told(out) == lines_of(RECORDS[:2])


def test_a_table_comes_back_as_its_lines_with_how_it_was_decided(tmp_path: Path) -> None:
    from runtime.batch.table import read_table

    out = tmp_path / "r.parquet"
    independent = replace(result("a", 1), thresholds={"happy": 0.5, "sad": 0.25}, confidence=0.7)
    exclusive = replace(
        result("b", 1), task="multiclass", uncertain=True, min_confidence=0.8, decision=[]
    )
    records = [FileRecord(r.source, r.source, (r,), None) for r in (independent, exclusive)]
    with Store(out, SETTINGS, LABELS) as store:
        for item in records:
            store.add(item)
        store.finish()
    read_table(out, tmp_path / "lines.jsonl")
    found = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert found == lines_of(records)


def test_a_table_of_an_earlier_release_is_read_without_what_it_lacks(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    from runtime.batch.table import read_table

    later = ["model", "task", "confidence", "uncertain", "min_confidence", "thresholds"]

    out = tmp_path / "r.parquet"
    with Store(out, SETTINGS, LABELS) as store:
        store.add(RECORDS[0])
        store.finish()
    parquet.write_table(parquet.read_table(out).drop_columns(later), out)
    read_table(out, tmp_path / "lines.jsonl")
    (found,) = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    (whole,) = lines_of([RECORDS[0]])
    assert found == {name: value for name, value in whole.items() if name not in later}
