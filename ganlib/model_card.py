"""The page that goes with a published model: Markdown with facts for machines, and a sheet of uncurated pictures.

All words of a model's card may come from strangers: in Markdown they are escaped, in the head they are YAML's business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ganlib.base.options import Options, option
from ganlib.latents.recipes import Recipe, label_in_turn
from ganlib.media import images
from ganlib.metrics import kind_of
from ganlib.models import hub
from ganlib.models.checkpoints import Checkpoint, find_checkpoint, read_card
from ganlib.models.hub import CARD_NAME, SHEET_NAME, TAG, Published
from ganlib.models.rights import UNKNOWN, read_licence, rights_words
from ganlib.render.renderer import Renderer
from ganlib.runs import Reporter, SilentReporter, Stopped, write_bytes

SHEET_SEEDS = range(16)
SHEET_PSI = 0.7
SHEET_COLUMNS = 4
SHEET_SIDE = 256  # pixels of a picture, at most
PIPELINE = "unconditional-image-generation"
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$@]|:(?=//))")
_DATASET = re.compile(r"\b([\w.-]+/[\w.-]+), Hugging Face Hub|\bdata sets of the Hub: ([\w./, -]+)", re.ASCII)
_LONGEST = 600
_LONGEST_TEXT = 5000


@dataclass(frozen=True)
class PublishJob(Options):
    """Publishing as a job of the verb `publish`. It holds no token: the worker finds it in the usual places."""

    verb = "hub publish"

    network: str = option(help="Model: a path, or a name below checkpoints/")
    repo_id: str = option(help="`owner/name` on the Hub")
    private: bool = option(True, "Only its owner can see the page")
    revision: str = option("", "Branch; made where there is none. Empty is the main branch")
    licence: str = option("", "Licence, for a model that has none; such as CC-BY-4.0")
    message: str = option("", "First line of the commit; empty is a plain one")
    text: str = option("", "Words of your own about the model, for its page; plain text")
    device: str = option("auto", "Where the contact sheet is made")

    def check(self) -> None:
        hub.check_repo_id(self.repo_id)
        hub.check_revision(self.revision)


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of the verb `publish`: the page and the contact sheet as they were sent are its artefacts."""
    publish_model(PublishJob.from_dict(config), folder=run_dir, reporter=reporter)


def publish_model(
    job: PublishJob, *, token: str | None = None, folder: Path | None = None, reporter: Reporter | None = None
) -> Published:
    """Make page and contact sheet of a model and upload them with it; `folder` None keeps neither here.

    Raises `HubError`, `InputError` where the licence is unknown, `Stopped`."""
    reporter = reporter or SilentReporter()
    job.validate()
    card = read_card(find_checkpoint(job.network))
    licence, _ = hub.settle_licence(card, job.licence)  # before minutes are spent on pictures
    reporter.progress(0, card.bytes, "making the contact sheet")
    sheet = contact_sheet(card, device=job.device)
    text = card_markdown(replace(card, licence=licence), repo_id=job.repo_id, text=job.text)
    if folder is not None:
        for name, data in ((CARD_NAME, text.encode()), (SHEET_NAME, sheet)):
            write_bytes(folder / name, data)
            reporter.artefact(folder / name)
    if reporter.should_stop():
        raise Stopped("nothing was sent")
    done = hub.publish(
        card.path, job.repo_id, card=text, sheet=sheet, private=job.private, revision=job.revision or None, token=token,
        message=job.message, licence=job.licence, reporter=reporter,
    )  # fmt: skip
    for warning in done.warnings:
        reporter.log(f"warning: {warning}")
    reporter.log(done.address)
    return done


def contact_sheet(card: Checkpoint, *, device: str = "auto", renderer: Renderer | None = None) -> bytes:
    """Return a PNG of seeds 0 to 15 at psi 0.7, four in a row, the classes in turn; nothing is chosen or left out.

    `renderer` None opens the model anew. Raises `CheckpointError`, `DeviceError`."""
    renderer = renderer or Renderer.open(card.path, device=device)
    count = card.spec.label_dim
    psi = SHEET_PSI if card.spec.truncatable else 1.0
    recipes = [Recipe.of_seed(seed, psi=psi, label=label_in_turn(seed, None, count)) for seed in SHEET_SEEDS]
    side = min(card.spec.resolution, SHEET_SIDE)
    # One at a time: sixteen of 1024 px take memory before they are made smaller.
    pictures = np.concatenate([images.resize(renderer.render([recipe]), side, side) for recipe in recipes])
    return images.encode(images.contact_sheet(pictures, columns=SHEET_COLUMNS))


def card_markdown(card: Checkpoint, *, repo_id: str = "owner/name", text: str = "") -> str:
    """Return the page of a model: a YAML head that the Hub reads, and Markdown. `text` is its author's own, plain,
    in paragraphs. Raises `InputError` for a repository that cannot be called so."""
    repo_id = hub.check_repo_id(repo_id)
    spec = card.spec
    own = f"{card.name}.safetensors"
    size = f"{spec.resolution} × {spec.resolution} px"
    classes = f"{spec.label_dim} classes" if spec.label_dim else "no classes"
    generate = f"python -m ganlib generate --network {_shell(card.name)} --seeds 0-15"
    generate += " --trunc 0.7" if spec.truncatable else ""
    generate += " --class 0 --outdir out" if spec.label_dim else " --outdir out"
    label = ", label=0" if spec.label_dim else ""
    psi = ", psi=0.7" if spec.truncatable else ""
    parts = [
        _head(card),
        f"# {escape(card.title)}",
        f"![Sixteen uncurated pictures]({SHEET_NAME})",
        *(
            "\n\n".join(escape(part) for part in re.split(r"\n\s*\n", words[:_LONGEST_TEXT])).strip()
            for words in (text, card.about)
        ),
        f"A generative adversarial network for pictures of {size}: {_code(spec.arch)}, {classes}, "
        f"{_number(card.kimg)} thousand real pictures shown in training. Made for Latent Atelier, an open studio for "
        "GAN art; the file holds tensors and a JSON header, and no code.",
        "## How to use it",
        f"With Latent Atelier:\n\n```bash\npython -m ganlib hub download {repo_id}\n{generate}\n```",
        "```python\nfrom ganlib.latents.recipes import Recipe\nfrom ganlib.models import hub\n"
        "from ganlib.render.renderer import Renderer\n\n"
        f"card = hub.download({repo_id!r}, {own!r})\n"
        f"pixels = Renderer.open(card.path).render([Recipe.of_seed(85{psi}{label})])  # uint8 [1, {spec.resolution}, "
        f"{spec.resolution}, 3]\n```",
        "## Rights",
        f"Licence of the weights: {escape(card.licence) or 'not known'}. {escape(rights_words(card.licence))}",
        f"Training data: {escape(card.data) or 'not stated'}.",
        _parents(card),
        _metrics(card),
        "## Limits",
        "The pictures above are seeds 0 to 15" + (f" at psi {SHEET_PSI:g}" if spec.truncatable else "") + ", "
        + ("the classes in turn, " if spec.label_dim else "")
        + "in order: none was chosen or left out. A model of this kind repeats what its training data shows and lacks "
        "what that lacks; it may come close to single pictures of a small set.",
        "## Facts",
        _table(
            ("", ""),
            [
                ("file", _code(own)), ("size", f"{card.bytes / 1e6:,.1f} MB"), ("digest", _code(card.digest)),
                ("source", escape(card.source) or "not stated"), ("made", escape(card.created) or "not stated"),
                ("discriminator", "in the file" if card.has_discriminator else "not in the file"),
                *(("classes", escape(", ".join(card.classes))) for _ in card.classes[:1]),
                *((escape(f"training: {name}"), escape(words)) for name, words in card.training_words.items()),
            ],
        ),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Return words of a stranger as Markdown that shows them and does nothing: one line, not endless, no markup."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    plain = " ".join(plain.split())
    plain = plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"
    return _MARKUP.sub(r"\\\1", plain)


def _head(card: Checkpoint) -> str:
    """The YAML between two lines of dashes, written by the Hub's own class."""
    from huggingface_hub import ModelCardData

    licence = read_licence(card.licence)
    identifier = licence.hub if card.licence.strip() else None
    name = card.licence if licence is UNKNOWN else licence.id
    named = re.sub("[^a-z0-9.]+", "-", name.lower()).strip("-")[:60]
    metrics = sorted({kind.key for name in card.metrics if (kind := kind_of(str(name)))})
    words = " ".join(one or more for one, more in _DATASET.findall(card.data))
    datasets = sorted(set(re.findall(r"[\w.-]+/[\w.-]+", words, re.ASCII)))
    data = ModelCardData(
        license=identifier,
        license_name=named if identifier == "other" else None,
        library_name=TAG,
        pipeline_tag=PIPELINE,
        tags=[TAG, "gan", plain_tag(card.spec.arch)],
        datasets=datasets or None,
        metrics=metrics or None,
    )
    return f"---\n{data.to_yaml(line_break=chr(10)).strip()}\n---"


def plain_tag(text: str) -> str:
    """Return a text as a tag of the Hub: small letters, digits and `-`."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "gan"


def _parents(card: Checkpoint) -> str:
    if not card.parents:
        return ""
    rows = [(escape(p["title"]), escape(p["licence"]), _code(p["digest"][:16])) for p in card.parents]
    return "## Blended from\n\n" + _table(("model", "licence", "digest"), rows)


def _metrics(card: Checkpoint) -> str:
    rows = [(escape(str(name)[:60]), _value(value)) for name, value in list(card.metrics.items())[:40]]
    rows = [row for row in rows if row[1]]
    return "## Measured\n\n" + _table(("metric", "value"), rows) if rows else ""


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        inner = [(str(name)[:40], _value(item)) for name, item in list(value.items())[:8]]
        return ", ".join(f"{escape(name)} {words}" for name, words in inner if words)
    return escape(value[:80]) if isinstance(value, str) else ""


def _number(value: int | float) -> str:
    try:
        return f"{value:.5g}" if math.isfinite(value) else ""
    except OverflowError:
        return ""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(text: str) -> str:
    """A name in a code span; what could end the span or a table's cell is left out."""
    plain = re.sub(r"[^\w. +-]", "", text)[:100]
    return f"`{plain}`" if plain else ""


def _shell(name: str) -> str:
    return re.sub(r"[^\w.-]", "", name) or "NAME"
