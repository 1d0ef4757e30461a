"""Well-known public models, with their rights before anything is fetched."""

import streamlit as st

from ganlib.base.errors import GanlibError
from ganlib.models.hub import DownloadJob, Entry, catalogue
from pages._ui.common.frame import fragment, plain, show_error
from pages._ui.models.online import show_downloads, start
from pages._ui.models.rights import badge

SHOWN = 12


def show_catalogue() -> None:
    """The table on the left, downloads on the right."""
    left, right = st.columns([3, 2], gap="large")
    with right:
        show_downloads()
    with left:
        _table()


@fragment()
def _table() -> None:
    if st.session_state.pop("download-started", False):
        st.rerun()  # the downloads stand beside, in another part
    try:
        known = catalogue()
    except GanlibError as error:
        show_error(error)
        return
    st.markdown(
        "Public models that the field knows. They come from their authors' own addresses, on request; most of them may "
        "**not** be used for sale, and each says so before it is fetched."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Find", key="catalogue-text", placeholder="faces, cats, StyleGAN3 …").lower().split()
        only = st.toggle("Only what may be sold", key="catalogue-sold")
    found = [entry for entry in known.entries if (entry.commercial or not only) and _matches(entry, text)]
    length = st.session_state.get("catalogue-length", SHOWN)
    for entry in found[:length]:
        _card(entry)
    if not found:
        st.caption("None of the table's models is like that.")
    if len(found) > length:
        st.button(f"Show more of {len(found)}", key="catalogue-more", on_click=_lengthen)
    st.caption(plain(known.checked))


def _lengthen() -> None:
    st.session_state["catalogue-length"] = st.session_state.get("catalogue-length", SHOWN) + SHOWN


def _matches(entry: Entry, words: list[str]) -> bool:
    text = f"{entry.title} {entry.shows} {entry.arch} {entry.resolution} {entry.credit} {entry.licence}".lower()
    return all(word in text for word in words)


def _card(entry: Entry) -> None:
    with st.container(border=True, gap="small", key=f"entry-{entry.name}"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{plain(entry.title)}** · {plain(entry.shows)}", width="content")
            badge(entry.licence)
        size = f" · {entry.bytes / 1e6:,.0f} MB" if entry.bytes else ""
        st.caption(plain(f"{entry.arch} · {entry.resolution} px{size} · {entry.licence} · {entry.credit}"))
        if entry.notes:
            st.caption(plain(entry.notes))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Download", key=f"entry-get-{entry.name}", icon=":material/download:", on_click=start,
                args=(DownloadJob(entry=entry.name),),
            )  # fmt: skip
            st.link_button("Where it comes from", entry.source, icon=":material/open_in_new:")
            if not entry.sha256:
                st.caption("no checksum is published")
