"""The classes that a set's own `dataset.json` gives its pictures, in the dresses in which tools write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ganlib.base.errors import DataError
from ganlib.base.reports import printable
from ganlib.dataset.files import Files
from ganlib.dataset.text import Object, find_own, match, own_paths, read_json, read_object, tidy

LABELS_NAME = "dataset.json"
CARD_NAME = "card.json"
MAX_CLASSES = 100_000
CAMERA_NUMBERS = 25  # of EG3D's labels: a 4×4 pose and 3×3 intrinsics
# From here on a set counts as highly imbalanced in the KEEL repository (Alcalá-Fdez et al., 2011): pictures of the
# largest class for each of the smallest.
HIGH_IMBALANCE = 9.0
FILE_WORDS = ("file", "filename", "file_name", "image", "image_name", "picture", "path", "name", "id")
LABEL_WORDS = ("label", "class", "category", "genre", "style", "artist", "tag")
_NUMBER = re.compile(r"[+-]?[0-9]{1,99}(\.[0-9]*)?")
# As Python writes a list or a tuple, and numpy an array.
_LIST = re.compile(r"\[[-+.0-9e,\s]*\]|\([-+.0-9e\s]*,[-+.0-9e,\s]*\)")
_WORD, _COUNT = "a word", "a number"  # kinds of labels
_ONE_EACH = "Write one class for each picture: a whole number from 0, or a word."


@dataclass(frozen=True)
class Labels:
    """Classes of pictures."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    """The class of each picture that has one, by its name in the source."""
    names: tuple[str, ...] = ()
    """Of the classes, in the order of their numbers; empty without labels."""
    unknown: tuple[str, ...] = ()
    """Names with a label that no picture has."""


def read_labels(files: Files, *, without: str = "Use --labels none to go without.") -> Labels:
    """Return the labels in a set's `dataset.json`; empty where it has none or says nothing of any.

    `{"labels": [[name, class], …]}`, or an object of names and classes. Classes are whole numbers from 0 (2, 2.0, "2"),
    one-hot lists, or words, which are numbered in the order of the card's `classes` or else of the alphabet. Names may
    have `\\` for `/`, other outer folders, or another suffix. Raises DataError for a file that may not be
    read, for broken JSON, for what is no single
    class of a picture, for two classes of one picture, and where nothing is about these pictures. `without` is what
    its hint says of going without labels.
    """
    for path in own_paths(files, LABELS_NAME):
        if why := files.skipped.get(path):
            advice = f"Put the file itself there, so that its labels are not lost. {without}"
            raise DataError(f"{path} in {files.path} is not read: {why}", advice)
    own = find_own(files, LABELS_NAME)
    if own is None:
        return Labels()
    where, hint = f"{own} in {files.path}", f"{_ONE_EACH} {without}"
    folder = own.removesuffix(LABELS_NAME)  # in which all pictures lie
    pictures = [name.removeprefix(folder) for name in files.pictures]
    pairs = _pairs(read_json(files, own, without=without), pictures, where, hint)
    if not pairs:
        return Labels()
    classes, names = _classes(pairs, _known_names(files), where, hint)
    if not classes:
        return Labels()
    number_of = {name: i for i, name in enumerate(names)}
    said = one_each(((name, names[number]) for name, number in classes), where)
    numbers, unknown = match({name: number_of[label] for name, label in said.items()}, pictures)
    if not numbers:
        shown = ", ".join(pictures[:2])
        raise DataError(f"no name in {where} is a picture's: {pairs[0][0]}; here they are called {shown}", hint)
    return Labels({folder + name: number for name, number in numbers.items()}, names, tuple(unknown))


def one_each(pairs: Iterable[tuple[str, Any]], where: str) -> dict[str, Any]:
    """Return tidy name → label of pairs of both. Raises DataError for names that have two different labels."""
    found: dict[str, Any] = {}
    twice: dict[str, str] = {}
    for written, label in pairs:
        name = tidy(written)
        if found.setdefault(name, label) != label:
            twice.setdefault(name, f"{name} as {found[name]} and as {label}")
    if twice:
        shown = "; ".join(list(twice.values())[:3]) + (" …" if len(twice) > 3 else "")
        count = "a picture" if len(twice) == 1 else f"{len(twice):,} pictures"
        raise DataError(f"{where} lists {count} twice with different classes: {shown}", "Delete the wrong lines.")
    return found


def numbers_of(words: Iterable[str]) -> dict[str, int]:
    """Return the whole number that each word is, in any dress (2, 2.0, 02); empty where one is none."""
    said = {word: _number(word) for word in words}
    numbers = {word: number for word, number in said.items() if isinstance(number, int)}
    return numbers if len(numbers) == len(said) else {}


def numbering_of(names: Sequence[str]) -> str:
    """Return how classes are numbered whose names are numbers, but other ones; empty where no one can be misled."""
    numbers = numbers_of(names)
    if not numbers or [numbers[name] for name in names] == list(range(len(names))):
        return ""
    more = " …" if len(names) > 5 else ""
    shown, given = ", ".join(names[:5]) + more, ", ".join(map(str, range(len(names))[:5])) + more
    return f"class {shown} is numbered {given}" if len(names) == 1 else f"classes {shown} are numbered {given}"


def read_lists(pairs: list[tuple[str, str]], where: str, hint: str) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Return names and classes of one-hot lists written as text, and the names of all classes; without such a list,
    `pairs` and none. Raises DataError, as for a `dataset.json`."""
    if all(isinstance(_plain(words), str) for _, words in pairs):
        return pairs, ()
    numbers, names = _classes([*pairs], [], where, hint)
    return [(name, names[number]) for name, number in numbers], names


def check_numbers(pairs: Iterable[tuple[str, str]], where: str, hint: str) -> None:
    """Raise DataError, as for a `dataset.json`, for labels that are all numbers but not all of them a class's."""
    numbers = [(name, _number(words)) for name, words in pairs]
    if all(number is not None for _, number in numbers):
        for name, number in numbers:
            # However large: it is a name, as 1998 is, and no count of classes.
            problem = _problem(min(number, 0) if isinstance(number, int) else number)
            if problem:
                raise DataError(f"{where}: {name} has the label {_shown(number)}, {problem}", hint)


def doubts_about(counts: Mapping[str, int], without: str = "`prepare --labels used` leaves them out.") -> list[str]:
    """Return what is to be said about classes of that many pictures: those of none, one much rarer than
    another, and names that are nearly one.

    `without` is a sentence: how to go on without classes that have no picture.
    """
    empty = [name for name, count in counts.items() if count == 0]
    there = {name: count for name, count in counts.items() if count}
    said = []
    if empty and there:
        shown = ", ".join(empty[:5]) + (" …" if len(empty) > 5 else "")
        words = f"{len(empty):,} of {len(counts):,} classes {'has' if len(empty) == 1 else 'have'} no picture ({shown})"
        said.append(f"{words}: nothing can be learned there. {without}")
    if there:
        most, least = max(there, key=there.__getitem__), min(there, key=there.__getitem__)
        if there[most] > HIGH_IMBALANCE * there[least]:
            words = f"class {most} has {there[most]:,} pictures and class {least} {there[least]:,}"
            said.append(f"{words}: rare classes come out worse, and all the more alike.")
    alike: dict[str, list[str]] = {}
    for name in counts:
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    for names in [names for names in alike.values() if len(names) > 1][:3]:
        words = f"the classes {' and '.join(repr(name) for name in names)} differ only in capital letters or spaces"
        said.append(f"{words}: if they are one, write them alike and prepare the set again.")
    return [printable(words) for words in said]


# --- what is written --------------------------------------------------------------------------------------------------


def _pairs(value: Any, pictures: Sequence[str], where: str, hint: str) -> list[tuple[str, Any]]:
    """Names and labels as they stand there; none where nothing is said of labels. Raises DataError."""
    listed = value
    if isinstance(value, Object):
        if "labels" in value:
            listed = value["labels"]
        elif not match(value, pictures)[0]:
            return []  # another tool's file of that name
    if listed is None:
        return []
    if isinstance(listed, Object):
        return list(listed.pairs)
    if not isinstance(listed, list):
        raise DataError(f"the labels in {where} are no [picture, class] pairs: {_shown(listed)}", hint)
    return [_pair(entry, number, where, hint) for number, entry in enumerate(listed, 1)]


def _pair(entry: Any, number: int, where: str, hint: str) -> tuple[str, Any]:
    if isinstance(entry, Object):
        file, label = (next((word for word in words if word in entry), "") for words in (FILE_WORDS, LABEL_WORDS))
        entry = [entry[file], entry[label]] if file and label else entry
    if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[0], str):
        raise DataError(f"the labels in {where} are no [picture, class] pairs: entry {number} is {_shown(entry)}", hint)
    if len(entry) > 2:
        problem = f"{where}: {entry[0]} has {len(entry) - 1} labels at once: {_shown(entry[1:])}"
        raise DataError(problem, hint)
    return entry[0], entry[1]


# --- what is meant ----------------------------------------------------------------------------------------------------


def _classes(
    pairs: list[tuple[str, Any]], known: list[str], where: str, hint: str
) -> tuple[list[tuple[str, int]], tuple[str, ...]]:
    """Pictures and the numbers of their classes, and the names of the classes. Raises DataError."""
    values = [(name, _plain(label)) for name, label in pairs if label is not None]
    words = [value for _, value in values if isinstance(value, str)]
    if words and not set(words) <= set(known) and all(_NUMBER.fullmatch(word) for word in words):
        values = [(name, _number(value) if isinstance(value, str) else value) for name, value in values]
    kinds = [_kind(value) for _, value in values]
    has_vectors = any(map(_is_vector, (value for _, value in values)))
    for (name, value), kind in zip(values, kinds, strict=True):
        problem = _problem(value)
        if problem and has_vectors and isinstance(value, list):
            problem = _vector_words(value)  # also of one that is zero, as a list without its 1 is
        if not problem and kind != kinds[0]:
            problem = f"{kind}, where {values[0][0]} has {kinds[0]}, {_shown(values[0][1])}"
        if problem:
            raise DataError(f"{where}: {name} has the label {_shown(value)}, {problem}", hint)
    if not values:
        return [], ()
    if kinds[0] == _WORD:
        names = tuple(known if set(words) <= set(known) else sorted(set(words)))
        number_of = {name: i for i, name in enumerate(names)}
        return [(name, number_of[value]) for name, value in values], names
    if kinds[0] == _COUNT:
        return values, _named(max(value for _, value in values) + 1, known)
    return [(name, value.index(1)) for name, value in values], _named(len(values[0][1]), known)


def _plain(label: Any) -> Any:
    """A label without what only dresses it: 2 for 2.0, true for 1, [2] for 2, and a list for one in quotes."""
    if isinstance(label, str):
        written = label.strip().casefold().replace("true", "1").replace("false", "0")
        if _LIST.fullmatch(written):
            with suppress(ValueError):
                label = [float(one) for one in written[1:-1].replace(",", " ").split()] or label
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    if isinstance(label, bool) or (isinstance(label, float) and label.is_integer()):
        return int(label)
    return label.strip() if isinstance(label, str) else label


def _number(word: str) -> int | float | None:
    """The number that a word is, as an integer where it is whole; None where it is none."""
    whole, _, fraction = word.strip().partition(".")
    if not _NUMBER.fullmatch(word.strip()):
        return None
    return float(word) if fraction.strip("0") else int(whole)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return _WORD if isinstance(value, str) else _COUNT


def _problem(value: Any) -> str:
    """Why a label is no class; empty where it is one."""
    if isinstance(value, str):
        return "" if value else "an empty word"
    if isinstance(value, int):
        if value < 0:
            return "and classes are counted from 0"
        return "" if value < MAX_CLASSES else f"and classes end at {MAX_CLASSES - 1:,}"
    if isinstance(value, float):
        return "which is no whole number"
    if not isinstance(value, list):
        return "which is no class"
    if value and all(isinstance(one, str) for one in value):
        return "several labels at once"
    if not value or not all(isinstance(one, int | float) for one in value):
        return "which is no class"
    if _is_vector(value):
        return _vector_words(value)
    ones = sum(one == 1 for one in value)
    if ones == 0 and not any(value):
        return "a one-hot list without its 1"
    return "" if ones == 1 and sum(map(bool, value)) == 1 else "several labels at once"


def _is_vector(value: Any) -> bool:
    """Whether a label is a list of numbers of which one is no count, as in no one-hot list."""
    if not isinstance(value, list) or not all(isinstance(one, int | float) for one in value):
        return False
    is_pose = len(value) == CAMERA_NUMBERS and all(isinstance(one, float) for one in value) and not any(value)
    return is_pose or not all(one >= 0 and (isinstance(one, int) or one.is_integer()) for one in value)


def _vector_words(value: list[Any]) -> str:
    camera = ", such as a camera pose" if len(value) == CAMERA_NUMBERS else ""
    return f"{len(value)} numbers that are no class{camera}"


def _known_names(files: Files) -> list[str]:
    """The names in the set's card, if they can be told apart."""
    named = read_object(files, CARD_NAME).get("classes")
    known = [str(name) for name in named] if isinstance(named, list) else []
    return known if len(set(known)) == len(known) and "" not in known else []


def _named(count: int, known: list[str]) -> tuple[str, ...]:
    """Names of at least `count` classes: as known, else their numbers."""
    names = [*known, *map(str, range(len(known), count))]
    return tuple(names if len(set(names)) == len(names) else map(str, range(len(names))))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
