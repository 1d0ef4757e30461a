"""Import as a job, and the safety report that goes with it."""

from __future__ import annotations

import pickle

import foreign_files as files
import pytest

from ganlib import runs
from ganlib.base.errors import CheckpointError
from ganlib.commands.run import do_job
from ganlib.models import checkpoints
from ganlib.models.foreign import ImportConfig, SafetyReport, import_with_report, inspect


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("echo ran > ran.txt",)


@pytest.fixture
def snapshot(tmp_path):
    G, D = files.tiny()
    path = tmp_path / "network-snapshot-000400.pkl"
    path.write_bytes(files.snapshot(G, D))
    return path


def test_a_harmless_file_is_reported_by_what_it_asks_for(snapshot):
    model, report = inspect(snapshot)
    assert model is not None and report.opened and not report.refused
    assert "Harmless" in report.verdict and str(len(report.asked)) in report.verdict
    assert "torch_utils.persistence._reconstruct_persistent_obj" in {row.name for row in report.asked}
    assert all(row.meaning for row in report.asked)
    assert SafetyReport.from_dict(report.to_dict()) == report


def test_a_hostile_file_is_refused_by_name_and_leaves_its_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"G_ema": Evil()}))
    model, report = inspect(path)
    assert model is None and not report.opened
    assert [row.name for row in report.refused] == ["posix.system"]
    assert "Refused" in report.verdict and "posix.system" in report.verdict
    with pytest.raises(CheckpointError, match="refused"):
        import_with_report(ImportConfig(path, tmp_path / "new.safetensors"), report_dir=tmp_path)
    assert SafetyReport.read(tmp_path) == report
    assert not (tmp_path / "new.safetensors").exists() and not (tmp_path / "ran.txt").exists()


def test_an_import_job_writes_the_model_and_its_report_and_can_run_again(snapshot, tmp_path):
    config = ImportConfig(snapshot, tmp_path / "models" / "plum.safetensors", licence="CC-BY-NC-4.0")
    run = runs.create_run(tmp_path / "runs", "import", "plum", config.to_dict())
    for _ in range(2):
        assert do_job(run) == 0
    card = checkpoints.read_card(config.dest)
    assert (card.title, card.licence) == ("network-snapshot-000400", "CC-BY-NC-4.0")
    report = SafetyReport.read(run.path)
    assert report is not None and report.opened
    again = runs.create_run(tmp_path / "runs", "import", "plum", config.to_dict())
    assert do_job(again) == 2 and "exists already" in again.message


def test_a_model_of_this_studio_is_checked_and_copied(snapshot, tmp_path):
    old, _ = import_with_report(ImportConfig(snapshot, tmp_path / "a.safetensors", licence="CC0-1.0"))
    new, report = import_with_report(ImportConfig(old.path, tmp_path / "b.safetensors", title="Again"))
    assert (new.digest, new.title, new.licence) == (old.digest, "Again", "CC0-1.0")
    assert report.asked == () and "numbers and words" in report.verdict
    data = bytearray(old.path.read_bytes())
    data[-5] ^= 255
    broken = tmp_path / "c.safetensors"
    broken.write_bytes(data)
    with pytest.raises(CheckpointError, match="digest"):
        import_with_report(ImportConfig(broken, tmp_path / "d.safetensors"))
    assert not (tmp_path / "d.safetensors").exists()


def test_reports_that_are_none_are_no_report(tmp_path):
    assert SafetyReport.read(tmp_path) is None
    (tmp_path / "safety.json").write_text('{"asked": [{"name": 1}]}')
    assert SafetyReport.read(tmp_path) is None
    with pytest.raises(CheckpointError):
        SafetyReport.from_dict({})
