"""What a collection is told, as a form in four steps."""

from typing import Any

import streamlit as st

from ganlib.base.errors import GanlibError
from ganlib.base.options import check_types
from ganlib.commands.flags import command_line
from ganlib.latents.recipes import parse_seeds
from ganlib.models.checkpoints import Checkpoint
from ganlib.models.rights import read_licence
from ganlib.nft import TRAITS, NftConfig
from ganlib.nft.config import MOST_SYMBOL
from pages._ui.common import fields, model_cache

WORDS_HELP = "words in braces are filled in: collection, number, seed, rank, and the names of traits"
SIZES = (0, 512, 1024, 2048, 4096)
USUAL_COUNT = 20


def show_form(model: Checkpoint, given: str) -> NftConfig:
    """Ask for everything; return the options. `given` are seeds from the address. Raises InputError."""
    values: dict[str, Any] = {"network": str(model.path.resolve())}
    with st.expander("Pieces", expanded=True, icon=":material/grid_view:"):
        values |= _pieces(model, given)
    with st.expander("Names", expanded=True, icon=":material/edit:"):
        values |= _names()
    with st.expander("Traits and rarity", icon=":material/diamond:"):
        values |= _traits()
    with st.expander("Files and metadata", icon=":material/folder:"):
        values |= _files(model)
    if read_licence(model.licence).commercial is False:
        values["allow_noncommercial"] = st.checkbox("I will not sell this collection", key="drop-unsold")
    return NftConfig(**check_types(NftConfig, values))


def _pieces(model: Checkpoint, given: str) -> dict[str, Any]:
    kept = model_cache.favourites(model)
    values: dict[str, Any] = {}
    sources = ["Seeds", "Favourites"] if kept else ["Seeds"]
    st.session_state.setdefault("drop-source", "Seeds")
    source = st.segmented_control("From", sources, key="drop-source") if kept else "Seeds"
    if source == "Favourites":
        names = {f"{each.name or each.recipe.caption()} ({each.id[:4]})": each.id for each in kept}
        chosen = st.multiselect("Favourites", list(names), key="drop-favourites", placeholder=f"all {len(names)}")
        values["favourites"] = [names[name] for name in chosen] or ["all"]
        usual, there = None, len(chosen or names)
    else:
        st.session_state.setdefault("drop-seeds", given or "0-99")
        values["seeds"] = st.text_input("Seeds to choose from", key="drop-seeds")
        there = _num_seeds(values["seeds"])
        usual = USUAL_COUNT if there > USUAL_COUNT and not given else None
        values["psi"] = fields.slider(
            NftConfig, "psi", "How unusual", value=model_cache.DEFAULT_PSI, step=0.05, key="drop-psi"
        )
        if model.spec.label_dim:
            values["label"] = st.selectbox(
                "Kind", range(model.spec.label_dim), key="drop-label", help="class label", format_func=model.class_name
            )
    left, right = st.columns(2)
    state = st.session_state
    held = state.get("drop-count", usual)
    if "drop-count" not in state or (held != usual and held == state.get("drop-usual", usual)):
        # What was not chosen by hand follows what there is to choose from. Set without need, it would undo what
        # somebody is typing.
        state["drop-count"] = usual
    state["drop-usual"] = usual
    count = fields.number_input(
        NftConfig, "count", "How many pieces", value=fields.HELD, low=0, place=left, key="drop-count",
        placeholder=f"all {there} that pass", help="empty or 0 takes every one that passes",
    )  # fmt: skip
    values["count"] = count or None
    values["floor"] = fields.slider(
        NftConfig, "floor", "No two closer than", value=0.3, place=right, step=0.05, key="drop-floor"
    )
    return values


def _num_seeds(text: str) -> int:
    try:
        return len(parse_seeds(text))
    except GanlibError:  # told with all that is wrong
        return 0


def _names() -> dict[str, Any]:
    return {
        "collection": fields.text_input(
            NftConfig, "collection", "Name of the collection", key="drop-collection", max_chars=100
        ),
        "name": fields.text_input(NftConfig, "name", "Name of a piece", key="drop-name", help=WORDS_HELP),
        "description": st.text_area(
            "Description", "", key="drop-description", placeholder="A {Main colour} fruit.", max_chars=2000
        ),
    }


def _traits() -> dict[str, Any]:
    traits = st.multiselect(
        "Traits", list(TRAITS), list(TRAITS), format_func=lambda trait: TRAITS[trait].title, key="drop-traits",
        help="read off the pictures and their latents",
    )  # fmt: skip
    groups = st.text_input(
        "Names of the groups, the largest first", "", key="drop-groups", placeholder="Orchard, Hedge, Meadow"
    )
    targets = st.text_area(
        "Wanted shares, one a line", "", key="drop-targets", placeholder="Cluster=Orchard:30%", height=90,
        help="they are checked, not enforced: the table says which are met",
    )  # fmt: skip
    return {
        "traits": traits,
        "clusters": fields.number_input(NftConfig, "clusters", "Groups", key="drop-clusters"),
        "cluster_names": [name.strip() for name in groups.split(",") if name.strip()],
        "targets": [line.strip() for line in targets.splitlines() if line.strip()],
    }


def _files(model: Checkpoint) -> dict[str, Any]:
    own = model.spec.resolution
    sides = {side: f"{side} px" if side else f"{own} px, the model's own" for side in SIZES}
    size = st.selectbox("Side of the pictures", SIZES, key="drop-size", format_func=sides.__getitem__)
    seconds = fields.slider(NftConfig, "seconds", "A looped film of each, seconds", step=0.5, key="drop-seconds")
    standard = fields.selectbox(NftConfig, "standard", "Metadata", key="drop-standard")
    creators = st.text_input("Creators", "", key="drop-creators", placeholder="0xabc…:100", help="address and share")
    royalty = st.number_input(
        "Royalty, per cent", 0.0, 100.0, 0.0, 0.5, key="drop-royalty", help="a fact in the metadata; nothing is paid"
    )
    return {
        "size": size or None,
        "seconds": seconds,
        "standard": standard,
        "symbol": st.text_input("Short name", "", key="drop-symbol", max_chars=MOST_SYMBOL),
        "creators": [part.strip() for part in creators.split(",") if part.strip()],
        "royalty": round(royalty * 100),
        "external_url": st.text_input("Page of a piece", "", key="drop-url", placeholder="https://example.org/{number}"),
        "base_uri": st.text_input(
            "Where the files will lie", "", key="drop-base", placeholder="ipfs://… or https://…",
            help="empty gives every file its own IPFS address, computed here without a node",
        ),
        "mark_ai": fields.toggle(
            NftConfig, "mark_ai", "Say inside each picture that a trained model made it", key="drop-mark"
        ),
        "layout": "folders",
    }  # fmt: skip


def summary(config: NftConfig) -> str:
    """The command that does the same."""
    return command_line("nft", config, "--outdir", "drop", leave_out=("outdir",))
