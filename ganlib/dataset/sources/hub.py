"""A data set of the Hugging Face Hub: its picture files as they are, or the pictures in its parquet tables."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import MOST_LINES_BYTES, read_text_regular
from ganlib.dataset.files import PICTURE_SUFFIXES, is_picture_name
from ganlib.dataset.labels import CARD_NAME, LABELS_NAME
from ganlib.dataset.sources.place import Located
from ganlib.models.hub import network_errors
from ganlib.runs import Reporter, Stopped, write_bytes

ROWS_AT_ONCE = 64
DONE = "rows.txt"  # in the folder when all rows are there: what they are of
_LABELS = ("*.csv", LABELS_NAME, f"**/{LABELS_NAME}", CARD_NAME)


def fetch(name: str, folder: Path, reporter: Reporter) -> Located:
    """Return the pictures of the data set `owner/name` or `owner/name@revision`, with licence and credit as it states.

    Files lie in the Hub's own cache; pictures in tables are written to `folder`, with their classes as `dataset.json`.
    `HF_ENDPOINT` and `HF_HUB_CACHE` are obeyed. Raises DataError when the Hub cannot be reached, the set does not exist
    or is private, or has no pictures; InputError for another kind of name; Stopped when asked to.
    """
    name, _, revision = name.partition("@")
    if name.count("/") != 1 or not all(name.split("/")):
        raise InputError(f"'{name}' is no data set of the Hub", "Write --source hf:owner/name.")
    try:
        import huggingface_hub
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise DataError("data sets of the Hub need a package", "pip install huggingface-hub") from error
    endpoint, cache = os.environ.get("HF_ENDPOINT") or None, os.environ.get("HF_HUB_CACHE") or None
    try:
        info = huggingface_hub.HfApi(endpoint=endpoint).dataset_info(name, revision=revision or None)
        listed = [item.rfilename for item in info.siblings or []]
        tables = sorted(path for path in listed if path.endswith(".parquet"))
        if any(is_picture_name(path) for path in listed):
            patterns = [f"*{form}" for suffix in sorted(PICTURE_SUFFIXES) for form in (suffix, suffix.upper())]
            patterns += _LABELS
        elif tables:
            patterns = tables
        else:
            raise DataError(
                f"the data set {name} has no picture files and no parquet tables",
                "Download it by hand (hf download --repo-type dataset), unpack it, and give the folder.",
            )
        reporter.log(f"fetching {name} from the Hugging Face Hub")
        local = Path(
            huggingface_hub.snapshot_download(
                name, repo_type="dataset", revision=info.sha, allow_patterns=patterns, endpoint=endpoint,
                cache_dir=cache,
            )
        )  # fmt: skip
    except HFValidationError as error:
        raise InputError(f"'{name}' is no data set of the Hub: {error}", "Write --source hf:owner/name.") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        hint = "Check the name; a private or gated set needs `hf auth login` first."
        raise DataError(f"the Hub answered {status} for the data set {name}", hint) from error
    except network_errors() as error:
        hint = "Check the network; or download the set elsewhere and give its folder with --source."
        raise DataError(f"the data set {name} cannot be fetched: {error}", hint) from error
    licence = getattr(info.card_data, "license", None)
    stated = ", ".join(licence) if isinstance(licence, list) else str(licence or "")
    found = Located(local, licence=stated, credit=f"{name}, Hugging Face Hub")
    if not any(is_picture_name(path) for path in listed):
        _write_rows([local / table for table in tables], folder, f"{name} {info.sha}\n", reporter)
        found.path, found.temporary, found.own = folder, True, (DONE,)
    return found


def _write_rows(tables: list[Path], folder: Path, stamp: str, reporter: Reporter) -> None:
    """The pictures of parquet tables as files, in their order, and their classes as `dataset.json` and `card.json`."""
    done = folder / DONE
    if done.is_file() and read_text_regular(done, max_bytes=MOST_LINES_BYTES) == stamp:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    labels: list[list[Any]] = []
    classes: list[str] = []
    for i, table in enumerate(tables):
        for j, (data, label, names) in enumerate(_rows(table)):
            classes = names
            if reporter.should_stop():
                raise Stopped
            name = f"{i:05d}-{j:08d}{_suffix(data)}"
            (folder / name).write_bytes(data)
            if label is not None:
                labels.append([name, label])
    if labels:
        write_bytes(folder / LABELS_NAME, json.dumps({"labels": labels}).encode())
        write_bytes(folder / CARD_NAME, json.dumps({"classes": classes}).encode())
    write_bytes(done, stamp.encode())


def _rows(table: Path) -> Iterator[tuple[bytes, int | None, list[str]]]:
    """Each row's picture, its class if the table says one, and the names of the classes (empty: they have none)."""
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise DataError("this data set is a parquet table", "pip install pyarrow") from error
    try:
        with parquet.ParquetFile(table) as file:
            column, label, names = _columns(file.schema_arrow)
            if not column:
                raise DataError(f"{table.name} has no column of pictures", "Give a folder of its pictures.")
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=[column, label] if label else [column]):
                for row in batch.to_pylist():
                    cell = row[column]
                    data = cell.get("bytes") if isinstance(cell, dict) else cell
                    if isinstance(data, bytes):
                        number = row.get(label) if label else None
                        yield data, number if isinstance(number, int) and number >= 0 else None, names
    except ArrowInvalid as error:
        raise DataError(f"{table.name} is damaged: {error}", "Fetch it again.") from error


def _columns(schema: Any) -> tuple[str, str, list[str]]:
    """The column of pictures, that of classes, and the classes' names; empty where there is none.

    The `datasets` library says in the table's metadata which are `Image` and `ClassLabel`; without that, a picture is
    bytes or a struct with bytes in it.
    """
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = metadata.get("info", {}).get("features", {})
    kinds = {name: spec.get("_type") for name, spec in features.items() if isinstance(spec, dict)}
    picture = next((name for name, kind in kinds.items() if kind == "Image" and name in schema.names), "")
    if not picture:
        picture = next((item.name for item in schema if "binary" in str(item.type)), "")
    label = next((name for name, kind in kinds.items() if kind == "ClassLabel" and name in schema.names), "")
    return picture, label, [str(name) for name in features[label].get("names", [])] if label else []


def _suffix(data: bytes) -> str:
    for start, suffix in ((b"\xff\xd8", ".jpg"), (b"RIFF", ".webp"), (b"GIF8", ".gif"), (b"II*", ".tif")):
        if data.startswith(start):
            return suffix
    return ".png"  # decoding looks at the bytes, not at the name
