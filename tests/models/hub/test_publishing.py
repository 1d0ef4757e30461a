"""Models go to the Hub with their card; the token goes nowhere else, and what has no licence stays here."""

from __future__ import annotations

import json
import logging
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from standin import TOKEN, Repository

from ganlib import model_card
from ganlib.__main__ import main
from ganlib.base.errors import GanlibError, HubError, InputError
from ganlib.model_card import PublishJob, card_markdown, contact_sheet, escape, publish_model
from ganlib.models import hub
from ganlib.models.checkpoints import change_card, read_card
from ganlib.runs import RunDir, create_run

# The client's own, of the library under it, when it sends a file.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def model(place, tiny_model) -> Path:
    """A model of one's own in checkpoints/."""
    path = Path("checkpoints/tiny.safetensors")
    path.write_bytes(tiny_model.read_bytes())
    return path


@pytest.fixture
def token(monkeypatch) -> str:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return TOKEN


def head_of(markdown: str) -> dict[str, object]:
    start, head, _ = markdown.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(head)


# --- publishing -------------------------------------------------------------------------------------------------------


def test_a_model_goes_up_with_card_and_sheet_and_comes_back_the_same(hub_server, model, token):
    done = publish_model(PublishJob(str(model), "me/tiny"))
    repository = hub_server.repositories["me/tiny"]
    assert (done.private, done.address, repository.private) == (True, f"{hub_server.base}/me/tiny", True)
    assert set(repository.files) == {"tiny.safetensors", "README.md", "contact-sheet.png"}
    assert repository.files["tiny.safetensors"] == model.read_bytes()
    assert repository.files["contact-sheet.png"].startswith(b"\x89PNG")
    assert head_of(repository.files["README.md"].decode())["license"] == "cc0-1.0"
    assert len(repository.commits) == 1
    model.unlink()
    assert hub.download("me/tiny").digest == read_card(hub.list_cached()[0].path).digest


def test_a_branch_is_made_and_the_page_is_public_on_request(hub_server, model, token):
    done = publish_model(PublishJob("tiny", "me/tiny", private=False, revision="v2", message="second"))
    repository = hub_server.repositories["me/tiny"]
    assert (repository.private, repository.commits, done.private) == (False, ["second"], False)
    assert "v2" in repository.branches
    assert done.address.endswith("/tree/v2")
    for bad in ("a b", "../x", "-x"):
        with pytest.raises(InputError, match="no name of a branch"):
            publish_model(PublishJob("tiny", "me/tiny", revision=bad))


def test_nothing_goes_to_a_page_that_is_public_already(hub_server, model, token):
    hub_server.repositories["me/tiny"] = Repository()
    with pytest.raises(HubError, match="is public: nothing was sent"):
        publish_model(PublishJob("tiny", "me/tiny"))
    assert hub_server.repositories["me/tiny"].files == {}
    hub_server.repositories["me/tiny"].private = True
    done = publish_model(PublishJob("tiny", "me/tiny", private=False))
    assert "stays so" in done.warnings[0]


@pytest.mark.parametrize("licence", ["", "unknown", " Other "])
def test_without_a_licence_nothing_is_asked_of_the_hub(hub_server, model, token, licence):
    change_card(model, licence=licence)
    with pytest.raises(InputError, match="licence of tiny is not known"):
        publish_model(PublishJob("tiny", "me/tiny"))
    assert hub_server.asked == []
    publish_model(PublishJob("tiny", "me/tiny", licence="CC-BY-4.0"))
    assert read_card(model).licence == "CC-BY-4.0"
    assert head_of(hub_server.repositories["me/tiny"].files["README.md"].decode())["license"] == "cc-by-4.0"


def test_a_licence_is_not_loosened_and_one_against_sale_is_warned_about(hub_server, model, token):
    change_card(model, licence="Nvidia-SC")
    with pytest.raises(InputError, match="allows more"):
        publish_model(PublishJob("tiny", "me/tiny", licence="MIT"))
    done = publish_model(PublishJob("tiny", "me/tiny"))
    assert "not for sale" in done.warnings[0]
    head = head_of(hub_server.repositories["me/tiny"].files["README.md"].decode())
    assert (head["license"], head["license_name"]) == ("other", "nvidia-sc")


def test_without_a_token_it_says_how_to_log_in(hub_server, model, monkeypatch):
    with pytest.raises(HubError, match="there is no token") as caught:
        publish_model(PublishJob("tiny", "me/tiny"))
    assert "hf auth login" in caught.value.hint
    assert hub_server.asked == []


def test_the_token_may_be_the_one_of_the_login(hub_server, model, place):
    (place / "token").write_text(TOKEN)
    publish_model(PublishJob("tiny", "me/tiny"))
    assert "tiny.safetensors" in hub_server.repositories["me/tiny"].files


@pytest.mark.parametrize(
    "where", ["/api/repos", "/api/models/me/tiny/preupload", "/me/tiny.git", "/upload/", "/api/models/me/tiny/commit"]
)
def test_the_token_is_in_no_output_no_log_and_no_error(hub_server, model, token, where, caplog, capfd, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub_server.refuse = {where: (403, {"X-Error-Message": f"the token {TOKEN} may not do this"})}
    with pytest.raises(GanlibError) as caught:
        publish_model(PublishJob("tiny", "me/tiny"), token=token)
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.message + caught.value.hint
    assert "forbids" in caught.value.message
    run = create_run(Path("runs"), "publish", "tiny", PublishJob("tiny", "me/tiny").to_dict())
    assert main(["run", str(run.path)]) == 2
    for path in Path("runs").rglob("*"):
        shown += path.read_bytes().decode(errors="replace") if path.is_file() else ""
    for record in caplog.records:
        if record.levelno >= logging.INFO:  # below that, the HTTP library repeats a server's headers
            shown += record.getMessage()
    shown += "".join(capfd.readouterr())
    assert TOKEN not in shown


def test_publishing_is_a_job_that_keeps_what_was_sent(hub_server, model, token):
    run = create_run(Path("runs"), "publish", "tiny", PublishJob("tiny", "me/tiny").to_dict())
    assert TOKEN not in (run.path / "job.json").read_text()
    assert main(["run", str(run.path)]) == 0
    done = RunDir.open(run.path)
    assert [path.name for path in done.artefacts] == ["README.md", "contact-sheet.png"]
    assert done.message == f"{hub_server.base}/me/tiny"
    assert done.artefacts[0].read_bytes() == hub_server.repositories["me/tiny"].files["README.md"]


def test_the_command_publishes_or_shows_the_page_only(hub_server, model, token, capsys):
    assert main(["hub", "publish", "tiny", "me/tiny", "--dry-run"]) == 0
    assert "license: cc0-1.0" in capsys.readouterr().out
    assert hub_server.asked == []
    assert main(["hub", "publish", "tiny", "me/tiny", "--public", "--text", "Made in spring."]) == 0
    assert "Made in spring" in hub_server.repositories["me/tiny"].files["README.md"].decode()


def test_a_damaged_model_is_not_sent(hub_server, model, token):
    model.write_bytes(model.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    with pytest.raises(GanlibError, match="digest"):
        hub.publish(model, "me/tiny", card="---\n---\n", sheet=b"")
    assert hub_server.asked == []


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_states_the_facts(model):
    measured = {"fid50k_full": 12.3456, "kid1k": {"value": 0.5}}
    card = change_card(model, data="me/fruit, Hugging Face Hub", metrics=measured)
    text = card_markdown(card, repo_id="me/tiny", text="One.\n\nTwo *stars*.")
    head = head_of(text)
    assert head["tags"] == ["latent-atelier", "gan", card.spec.arch]
    assert (head["pipeline_tag"], head["library_name"]) == ("unconditional-image-generation", "latent-atelier")
    assert (head["datasets"], head["metrics"]) == (["me/fruit"], ["fid", "kid"])
    side = f"{card.spec.resolution} px"
    for words in ("# Tiny", side, "hub download me/tiny", card.digest, "CC0", "fid50k", "12.346"):
        assert words in text
    assert "One.\n\nTwo \\*stars\\*." in text
    assert "uncurated" in text and "](contact-sheet.png)" in text


def test_the_python_on_the_page_runs(hub_server, model, token):
    publish_model(PublishJob("tiny", "me/tiny"))
    page = hub_server.repositories["me/tiny"].files["README.md"].decode()
    script = page.split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(script, names)
    side = read_card(model).spec.resolution
    assert names["pixels"].shape == (1, side, side, 3)


HOSTILE = (
    "---\nlicense: mit\n---", "<script>alert(1)</script>", "[click](javascript:alert(1))",
    "![x](https://evil.example/a.png)", "a | b\n# Title", "`code` **bold** ~~gone~~", "&lt;b&gt;", "\x1b[31mred\x00",
    "${{secrets}} @somebody", "a\u202eb\u2028c", "x" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_words_of_strangers_stay_words(model, text):
    card = read_card(model)
    plain = card_markdown(card, repo_id="me/tiny")
    parent = {"title": text, "digest": text, "licence": text}
    odd = replace(
        card, title=text, source=text, licence=text, data=text, created=text, parents=(parent,),
        metrics={text: text, "fid": {text: 1.0}, "deep": [[1]], "nan": float("nan")},
    )  # fmt: skip
    page = card_markdown(odd, repo_id="me/tiny")
    assert set(head_of(page)) - {"license_name"} <= set(head_of(plain)) | {"metrics"}
    body = page.split("---\n", 2)[2]
    assert body.count("\n# ") == 1 and body.count("```") == 4 and "<script" not in body.replace("\\<", "")
    assert "\x1b" not in page and "\x00" not in page and "\u202e" not in page
    assert "](javascript" not in body and body.count("](") == 1
    assert len(page) < 20_000


def test_escaping_keeps_plain_words():
    assert escape("Fruit, 64 px (USDA) 100%") == "Fruit, 64 px \\(USDA\\) 100%"
    assert escape(" a\n b ") == "a b"


def test_the_sheet_is_sixteen_pictures_and_the_same_each_time(model):
    from ganlib.media.images import decode

    card = read_card(model)
    data = contact_sheet(card, device="cpu")
    assert data == contact_sheet(card, device="cpu")
    height, width, _ = decode(data).shape
    assert height == width and height >= 4 * min(card.spec.resolution, model_card.SHEET_SIDE)


def test_a_model_with_classes_shows_each_of_them(place):
    from ganlib.models.checkpoints import save_snapshot
    from ganlib.networks import tiny_generator

    card = save_snapshot(Path("c.safetensors"), G_ema=tiny_generator(label_dim=3), licence="CC0")
    assert contact_sheet(card, device="cpu").startswith(b"\x89PNG")
    page = card_markdown(card, repo_id="me/c")
    assert "3 classes" in page and "label=0" in page and "--class 0" in page


def test_a_job_has_no_place_for_a_token():
    with pytest.raises(InputError, match="token"):
        PublishJob.from_dict({"network": "x", "repo_id": "me/x", "token": TOKEN})
    assert json.dumps(PublishJob("x", "me/x").to_dict())
