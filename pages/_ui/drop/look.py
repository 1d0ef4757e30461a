"""A collection before it is made: its pieces, its rarity, its cost."""

import streamlit as st

from ganlib.models.checkpoints import Checkpoint
from ganlib.nft import Cost, NftConfig, Preview, estimate_drop, preview_drop
from ganlib.runs import format_seconds
from pages._ui.common import model_cache
from pages._ui.common.frame import plain, sentences
from pages._ui.components import WallPicture, picture_wall

MOST = 200  # candidates that a preview looks at
SHOWN = 24


def preview(model: Checkpoint, config: NftConfig) -> Preview:
    """What a collection would be, kept for as long as nothing changes. Raises GanlibError."""
    return _preview(str(model.path), model.digest, _key(model, config), config)


def _key(model: Checkpoint, config: NftConfig) -> str:
    kept = [favourite.id for favourite in model_cache.favourites(model)] if config.favourites else []
    return str((sorted(config.to_dict().items()), kept))


def show_preview(model: Checkpoint, config: NftConfig, seen: Preview) -> None:
    """Show the first pieces, the rarity table and the cost. Raises GanlibError."""
    key = _key(model, config)
    cost = _cost(str(model.path), model.digest, key, config)
    if seen.warning:
        st.warning(plain(seen.warning), icon=":material/gavel:")
    some = "" if seen.is_whole else f" of the first {seen.looked:d} of {seen.candidates:d} candidates"
    words = [f"**{len(seen.pieces)}** pieces{some}"]
    words += [f"{seen.near:d} left out as too like another"] if seen.near else []
    words += [f"{seen.copies:d} copies left out"] if seen.copies else []
    st.markdown(" · ".join(words))
    st.caption(
        plain(f"About {format_seconds(cost.seconds)} and {cost.bytes / 1e6:,.1f} MB for {cost.pieces} pieces here.")
    )
    if advice := config.advice():
        st.caption(f":material/info: {sentences(*advice, 'Both are under Files and metadata')}")
    wall = [
        WallPicture(str(piece.number), f"#{piece.number} · rank {piece.rank}", piece.thumbnail)
        for piece in seen.pieces[:SHOWN]
        if piece.thumbnail
    ]
    opened = picture_wall(wall, key="drop-wall", label="Pieces", columns=6, mode="only", rev=key)
    if opened:
        st.session_state["drop-piece"] = int(opened)
    chosen = next((p for p in seen.pieces if p.number == st.session_state.get("drop-piece")), None)
    if chosen is not None:
        with st.container(border=True, key="drop-piece-card"):
            st.markdown(f"**{plain(chosen.name)}** · rank {chosen.rank:d} · {chosen.score:.1f} bits")
            st.caption(plain(" · ".join(f"{trait}: {value}" for trait, value in chosen.traits.items())))
            with st.popover("Its metadata", icon=":material/data_object:"):
                st.json(dict(chosen.metadata))
    _rarity(seen)


def _rarity(seen: Preview) -> None:
    rows = seen.rarity.table
    columns: dict[str, list[object]] = {
        "trait": [row.trait for row in rows],
        "value": [row.value for row in rows],
        "pieces": [row.pieces for row in rows],
        "share": [f"{row.share:.0%}" for row in rows],
    }
    if any(row.wanted is not None for row in rows):
        columns["wanted"] = ["" if row.wanted is None else f"{row.wanted:.0%}" for row in rows]
        columns["met"] = [{True: "yes", False: "no", None: ""}[row.is_met] for row in rows]
    st.markdown("#### Rarity")
    st.dataframe(columns, hide_index=True, width="stretch", height=min(420, 38 + 35 * len(rows)))


@st.cache_data(max_entries=16, show_spinner="Looking at the pieces …", hash_funcs={NftConfig: lambda c: ""})
def _preview(path: str, digest: str, key: str, config: NftConfig) -> Preview:
    return preview_drop(config, renderer=model_cache.open_renderer(path, digest), most=MOST, thumbnails=SHOWN)


@st.cache_data(max_entries=16, show_spinner="Trying what it takes …", hash_funcs={NftConfig: lambda c: ""})
def _cost(path: str, digest: str, key: str, config: NftConfig) -> Cost:
    return estimate_drop(config, renderer=model_cache.open_renderer(path, digest))
