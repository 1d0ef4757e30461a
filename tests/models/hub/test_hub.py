"""The Hub through its real client, against a stand-in of its HTTP interface: finding and fetching."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from standin import TOKEN, Repository

from ganlib.__main__ import main
from ganlib.base.errors import CheckpointError, GanlibError, HubError, InputError
from ganlib.models import hub
from ganlib.models.checkpoints import change_card, list_checkpoints, read_card
from ganlib.models.foreign import SafetyReport
from ganlib.models.hub import transfer
from ganlib.runs import RunDir, SilentReporter, Stopped, create_run, work


class Listener(SilentReporter):
    """Remembers what it is told, and asks to stop after so many bytes."""

    def __init__(self, stop_after: float = float("inf")) -> None:
        self.lines: list[str] = []
        self.progresses: list[tuple[float, float]] = []
        self._stop_after = stop_after

    def log(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: float, total: float, message: str = "") -> None:
        self.progresses.append((done, total))

    def should_stop(self) -> bool:
        return bool(self.progresses) and self.progresses[-1][0] >= self._stop_after


@pytest.fixture
def model(tiny_model) -> bytes:
    return tiny_model.read_bytes()


# --- finding ----------------------------------------------------------------------------------------------------------


def test_a_search_tells_licence_size_of_interest_and_what_can_be_opened(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository(
        {"fruit.safetensors": model, "README.md": b"#", "run.py": b"import os"}, license="cc-by-4.0", tags=[hub.TAG]
    )
    hub_server.repositories["you/faces"] = Repository(
        {"faces.pkl": b"x"}, license="other", license_name="nvidia-source-code-license", tags=["stylegan2"]
    )
    hub_server.repositories["you/hidden"] = Repository(tags=[hub.TAG], private=True)
    (found,) = hub.search("fru")
    assert (found.id, found.licence, found.commercial) == ("me/fruit", "cc-by-4.0", True)
    assert (found.downloads, found.likes, found.updated) == (7, 3, "2026-03-04")
    assert [file.name for file in found.files] == ["fruit.safetensors"]
    assert found.address == f"{hub_server.base}/me/fruit"
    (other,) = hub.search(tag="stylegan2")
    assert (other.id, other.commercial) == ("you/faces", False)
    assert "not for sale" in other.rights
    assert hub.search("nothing") == []
    assert {entry.id for entry in hub.search(tag="")} == {"me/fruit", "you/faces"}


def test_looking_at_a_model_knows_sizes_and_digests(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model, "../x.pkl": b"y"})
    found = hub.look(f"{hub_server.base}/me/fruit")
    (file,) = found.files
    assert (file.bytes, len(file.sha256), file.is_own) == (len(model), 64, True)
    assert (found.licence, found.commercial) == ("", None)


@pytest.mark.parametrize("name", ["fruit", "me/fruit/x", "../x", "me/fr uit", "", "me/..", "https://evil.example/me/x"])
def test_a_bad_name_is_refused_before_anybody_is_asked(hub_server, name):
    with pytest.raises(InputError, match="no name of a model"):
        hub.download(name)
    assert hub_server.asked == []


# --- fetching ---------------------------------------------------------------------------------------------------------


def test_a_model_of_ours_is_fetched_checked_and_put_with_the_others(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository(
        {"fruit.safetensors": model, "README.md": b"# x", "evil.py": b"x"}, license="cc0-1.0"
    )
    listener = Listener()
    card = hub.download("me/fruit", reporter=listener)
    assert card.path == Path("checkpoints/fruit.safetensors")
    assert card.path.read_bytes() == model
    assert listener.progresses[-1] == (len(model), len(model))
    assert hub_server.count("GET", "/resolve/") == 1
    (cached,) = hub.list_cached()
    assert (cached.repo_id, cached.filename, cached.bytes) == ("me/fruit", "fruit.safetensors", len(model))
    assert hub.download("me/fruit").path == card.path
    assert hub_server.count("GET", "/resolve/") == 1, "what was fetched is not fetched again"
    assert hub.download("me/fruit", dest=Path("other"), name="pear").path == Path("other/pear.safetensors")
    assert len(list_checkpoints(Path("checkpoints"))[0]) == 1


def test_changing_a_model_leaves_the_downloaded_file_alone(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    card = hub.download("me/fruit")
    change_card(card.path, title="Another")
    assert hub.list_cached()[0].path.read_bytes() == model


def test_the_stricter_of_card_and_page_is_the_licence(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model}, license="cc-by-nc-4.0")
    assert hub.download("me/fruit").licence == "cc-by-nc-4.0"
    hub_server.repositories["me/none"] = Repository({"fruit.safetensors": model}, license="unknown")
    assert hub.download("me/none", dest=Path("other")).licence == "CC0"


def test_a_file_of_another_tool_is_imported_with_licence_and_source(hub_server, foreign_file):
    hub_server.repositories["you/art-gan"] = Repository(
        {"network-snapshot-000100.pkl": foreign_file}, license="mit", datasets=["huggan/wikiart"]
    )
    card = hub.download("you/art-gan")
    assert (card.name, card.licence, card.spec.resolution) == ("art-gan", "mit", 16)
    assert card.source.startswith(f"{hub_server.base}/you/art-gan/blob/")
    assert "huggan/wikiart" in card.data
    assert hub.download("you/art-gan").path == card.path


def test_a_hostile_file_is_refused_and_runs_nothing(hub_server, place):
    import pickle

    class Evil:
        def __reduce__(self):
            return (eval, (f"open({str(place / 'canary')!r}, 'w')",))

    hub_server.repositories["you/evil"] = Repository({"model.pkl": pickle.dumps({"G_ema": Evil()})})
    with pytest.raises(CheckpointError):
        hub.download("you/evil", report_dir=place)
    report = SafetyReport.read(place)
    assert report is not None and [asked.name for asked in report.asked if not asked.allowed] == ["builtins.eval"]
    assert not (place / "canary").exists()
    assert list(Path("checkpoints").iterdir()) == []


def test_several_files_ask_for_a_choice(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"a.safetensors": model, "b.safetensors": model, "c.txt": b""})
    with pytest.raises(HubError, match="2 files") as caught:
        hub.download("me/fruit")
    assert "a.safetensors, b.safetensors" in caught.value.hint
    with pytest.raises(HubError, match=r"no file 'c\.txt'"):
        hub.download("me/fruit", "c.txt")
    assert hub.download("me/fruit", "b.safetensors").name == "b"
    hub_server.repositories["me/none"] = Repository({"c.txt": b""})
    with pytest.raises(HubError, match="no file that can be opened"):
        hub.download("me/none")


def test_a_cut_connection_goes_on_where_it_was(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    hub_server.cut_after = [1000, 700]
    card = hub.download("me/fruit")
    assert card.path.read_bytes() == model
    ranges = [wanted for verb, path, wanted in hub_server.asked if verb == "GET" and "/cdn/" in path]
    assert ranges == ["", "bytes=1000-", "bytes=1700-"]


def test_a_stopped_download_goes_on_in_the_next_process(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    hub_server.cut_after = [900] * 20
    with pytest.raises(Stopped):
        hub.download("me/fruit", reporter=Listener(stop_after=900))
    assert hub.list_cached() == []
    hub_server.cut_after, hub_server.asked = [], []
    assert hub.download("me/fruit").path.read_bytes() == model
    assert [wanted for verb, path, wanted in hub_server.asked if "/cdn/" in path] == ["bytes=900-"]
    assert not list(hub.downloads_folder().rglob("*.part"))


def test_a_server_without_ranges_is_asked_for_all_of_it(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    hub_server.cut_after, hub_server.ignores_range = [1000], True
    assert hub.download("me/fruit").path.read_bytes() == model


def test_a_half_file_of_another_version_is_not_joined(place, hub_server):
    hub_server.repositories["me/x"] = Repository({"a.bin": b"old" * 2000})
    wanted = transfer.Wanted(f"{hub_server.base}/me/x/resolve/main/a.bin", "a", schemes=("http",))
    with pytest.raises(Stopped):
        hub_server.cut_after = [500]
        transfer.fetch(wanted, place / "a.bin", reporter=Listener(stop_after=500))
    hub_server.repositories["me/x"].files["a.bin"] = b"new" * 3000
    transfer.fetch(wanted, place / "a.bin")
    assert (place / "a.bin").read_bytes() == b"new" * 3000


def test_a_connection_that_never_holds_ends_in_words(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    hub_server.cut_after = [1000] + [0] * 20
    with pytest.raises(HubError, match="cannot be fetched") as caught:
        hub.download("me/fruit")
    assert "goes on from there" in caught.value.message


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_a_wrong_checksum_is_thrown_away(hub_server, model, suffix):
    name = f"fruit.{suffix}"
    hub_server.repositories["me/fruit"] = Repository({name: model})
    hub_server.lies[name] = "ab" * 32
    with pytest.raises(HubError, match="not what was promised: its sha256"):
        hub.download("me/fruit")
    assert hub.list_cached() == []
    assert [path for path in hub.downloads_folder().rglob("*") if path.is_file() and path.stat().st_size] == []


def test_a_model_that_does_not_match_its_own_digest_is_not_taken(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model[:-4] + b"\x00\x00\x80\x3f"})
    with pytest.raises(CheckpointError, match="digest"):
        hub.download("me/fruit")
    assert list(Path("checkpoints").iterdir()) == []


def test_too_large_and_no_room_are_said_before_anything_is_fetched(hub_server, model, monkeypatch):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    monkeypatch.setattr(transfer, "SPARE_BYTES", 2**60)
    with pytest.raises(HubError, match="MB free"):
        hub.download("me/fruit")
    monkeypatch.setattr(transfer, "SPARE_BYTES", 0)
    monkeypatch.setattr(transfer, "MOST_BYTES", 1000)
    with pytest.raises(HubError, match="more than"):
        hub.download("me/fruit")
    assert hub_server.count("GET", "/resolve/") == 0


def test_a_full_disk_is_said_and_what_came_is_kept(hub_server, model, monkeypatch):
    import errno

    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})

    def full(answer, file, *rest):
        file.write(answer.read(500))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(transfer, "_copy", full)
        with pytest.raises(HubError, match="disk is full"):
            hub.download("me/fruit")
    assert hub.download("me/fruit").path.read_bytes() == model
    assert [wanted for verb, path, wanted in hub_server.asked if "/cdn/" in path] == ["", "bytes=500-"]


def test_the_token_goes_to_the_hub_and_not_to_where_the_file_lies(hub_server, model, monkeypatch):
    hub_server.repositories["me/secret"] = Repository({"fruit.safetensors": model}, private=True)
    with pytest.raises(HubError, match="there is no me/secret that you may see"):
        hub.download("me/secret")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert hub.look("me/secret").private
    assert hub.download("me/secret").path.read_bytes() == model
    assert any("/resolve/" in path for path in hub_server.authorised)
    assert not any("/cdn/" in path for path in hub_server.authorised)


# --- errors -----------------------------------------------------------------------------------------------------------


REFUSALS = {
    401: ("does not know this token", "hf auth login"),
    403: ("forbids", "permission"),
    404: ("not there", "look at"),
    429: ("too often", "wait 0 seconds"),
    500: ("answered 500", "try again"),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_each_refusal_is_a_sentence_with_a_next_step(hub_server, model, status, monkeypatch):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    words = {"X-Error-Message": "Invalid credentials in Authorization header"} if status == 401 else {}
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    for start in ("/api/models", "/me/fruit/resolve/"):
        hub_server.refuse = {start: (status, {"Retry-After": "0"} | words)}
        with pytest.raises(HubError, match=REFUSALS[status][0]) as caught:
            hub.download("me/fruit")
        assert REFUSALS[status][1] in caught.value.hint
    hub_server.refuse = {"/api/models": (status, {"Retry-After": "0"} | words)}
    with pytest.raises(HubError, match=REFUSALS[status][0]):
        hub.search("fruit")


def test_gated_models_and_missing_revisions_say_what_to_do(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    gated = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model me/fruit is restricted"}
    with pytest.raises(HubError, match="no such revision"):
        hub.download("me/fruit", revision="nowhere")
    hub_server.refuse = {"/api/models/me/fruit": (403, gated)}
    with pytest.raises(HubError, match="accepted its terms") as caught:
        hub.download("me/fruit")
    assert f"{hub_server.base}/me/fruit" in caught.value.hint
    with pytest.raises(HubError, match="there is no me/nothing"):
        hub.download("me/nothing")


def test_offline_the_list_and_the_copies_still_serve(hub_server, model, monkeypatch):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    hub.download("me/fruit")
    asked = len(hub_server.asked)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE") as caught:
        hub.search("fruit")
    assert "hub list" in caught.value.hint
    assert [entry.repo_id for entry in hub.list_cached()] == ["me/fruit"]
    listener = Listener()
    assert hub.download("me/fruit", dest=Path("other"), reporter=listener).path.read_bytes() == model
    assert "the copy of" in listener.lines[0]
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        hub.download("me/pear")
    assert len(hub_server.asked) == asked


def test_no_network_is_said_at_once(place, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waited"))
    for call in (lambda: hub.search("x"), lambda: hub.download("me/fruit")):
        with pytest.raises(HubError, match="cannot be reached") as caught:
            call()
        assert "hub list" in caught.value.hint
    assert hub.list_cached() == []


def test_two_processes_do_not_write_one_half_file(hub_server, place, model):
    from ganlib.runs.files import lock

    hub_server.repositories["me/x"] = Repository({"a.bin": model})
    wanted = transfer.Wanted(f"{hub_server.base}/me/x/resolve/main/a.bin", "a", schemes=("http",))
    with lock(place / ".a.bin.lock"), pytest.raises(HubError, match="being fetched already"):
        transfer.fetch(wanted, place / "a.bin")
    transfer.fetch(wanted, place / "a.bin")


def test_words_of_a_page_have_no_effect_on_a_terminal(hub_server, model, capsys):
    hub_server.repositories["me/fruit"] = Repository(
        {"\x1b[31m.pkl": b"x", "fruit.safetensors": model}, license="\x1b[31mred\nline", tags=[hub.TAG]
    )
    listener = Listener()
    hub.download("me/fruit", reporter=listener)
    assert main(["hub", "search"]) == 0
    assert "\x1b" not in "".join(listener.lines) + capsys.readouterr().out


def test_a_network_that_wants_a_sign_in_is_said(hub_server):
    hub_server.is_portal = True
    for call in (lambda: hub.search("x"), lambda: hub.look("me/fruit")):
        with pytest.raises(HubError, match="is no Hub") as caught:
            call()
        assert "sign in" in caught.value.hint


def test_damaged_entries_of_the_cache_are_left_out(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    hub.download("me/fruit")
    (entry,) = hub.list_cached()
    file = entry.path.parent / "entry.json"
    good = json.loads(file.read_text())
    for text in ("{", "[]", '{"file": 3}', json.dumps(good | {"bytes": 1}), json.dumps(good | {"file": "../../x"})):
        file.write_text(text)
        assert hub.list_cached() == []
    file.write_text(json.dumps(good))
    hub.forget(hub.list_cached()[0])
    assert hub.list_cached() == []
    assert read_card(Path("checkpoints/fruit.safetensors")).title == "Tiny"


# --- as a job and from a terminal -------------------------------------------------------------------------------------


def test_a_download_is_a_job_with_progress(hub_server, model):
    hub_server.repositories["me/fruit"] = Repository({"fruit.safetensors": model})
    job = hub.DownloadJob("me/fruit", name="mine").to_dict()
    run = create_run(Path("runs"), "download", "fruit", job)
    assert main(["run", str(run.path)]) == 0
    done = RunDir.open(run.path)
    assert (done.state, done.progress) == ("done", 1.0)
    assert [path.name for path in done.artefacts] == ["safety.json", "mine.safetensors"]
    failed = create_run(Path("runs"), "download", "x", hub.DownloadJob("me/gone").to_dict())
    assert work(failed, lambda *arguments: hub.run_job(*arguments), echo=SilentReporter()) == "failed"
    assert "me/gone" in failed.message and failed.hint


@pytest.mark.parametrize("options", [{}, {"repo_id": "me/x", "entry": "y"}, {"repo_id": "x"}, {"entry": "none-such"}])
def test_a_job_names_one_model(options):
    with pytest.raises(GanlibError):
        hub.DownloadJob.from_dict(options)
    with pytest.raises(InputError):
        hub.DownloadJob.from_dict({"repo_id": "me/x", "name": "../up"})


def test_the_commands_find_fetch_and_list(hub_server, model, capsys):
    title = "me/fruit"
    hub_server.repositories[title] = Repository({"fruit.safetensors": model}, license="cc0-1.0", tags=[hub.TAG])
    assert main(["hub", "search", "fruit"]) == 0
    assert "me/fruit  7 downloads" in capsys.readouterr().out
    assert main(["hub", "download", title, "--file", "fruit.safetensors", "--revision", "main"]) == 0
    assert Path("checkpoints/fruit.safetensors").exists()
    assert main(["hub", "list"]) == 0
    assert "fruit.safetensors" in capsys.readouterr().out
    assert main(["hub", "forget", title]) == 0
    assert hub.list_cached() == [] and Path("checkpoints/fruit.safetensors").exists()
    assert main(["hub", "forget", title]) == 2
    assert main(["hub", "download", "me/other"]) == 2
    assert "hint: " in capsys.readouterr().err
