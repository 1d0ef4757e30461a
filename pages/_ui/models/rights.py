"""Rights in sight: whether what a model makes may be sold, and whose work it rests on."""

import streamlit as st

from ganlib.models.checkpoints import Checkpoint
from ganlib.models.rights import LICENCES, UNKNOWN, read_licence, rights_words
from pages._ui.common.frame import plain

CODE = "MIT: this studio, in your own programs too."
KNOWN = tuple(licence.id for licence in LICENCES if licence is not UNKNOWN)


def badge(text: str) -> None:
    """Show in a word whether pictures of a model under the licence `text` may be sold."""
    allowed = read_licence(text).commercial
    help = plain(rights_words(text))
    if allowed:
        st.badge("may be sold", icon=":material/check:", color="green", help=help)
    elif allowed is None:
        st.badge("rights unknown", icon=":material/help:", color="orange", help=help)
    else:
        st.badge("not for sale", icon=":material/block:", color="red", help=help)


def warn(model: Checkpoint) -> None:
    """Show a badge where pictures of a model may not be sold, or nobody knows; nothing where they may."""
    if not read_licence(model.licence).commercial:
        badge(model.licence)


def show_rights(model: Checkpoint) -> None:
    """Show the licence of weights, data and code, and what they mean for a sale."""
    words = rights_words(model.licence)
    allowed = read_licence(model.licence).commercial
    tell = st.success if allowed else st.warning if allowed is None else st.error
    tell(plain(words), icon=":material/gavel:")
    rows = {
        "Weights": plain(model.licence or "not stated"),
        "Data": plain(" ".join(model.data.split()) or "not stated"),
        "Code": CODE,
    }
    st.markdown("\n".join(f"- **{name}:** {text}" for name, text in rows.items()))
    if model.parents:
        parents = "; ".join(
            f"{parent['title']} ({parent['licence'] or 'licence not stated'})" for parent in model.parents
        )
        st.markdown(f"- **Blended from:** {plain(parents)}")
    st.caption("In short words, and no legal advice. The licence goes with every export of this model.")


def licence_choice(label: str, current: str, *, key: str, help: str = "") -> str:
    """A list of licences, in which a person may also write their own; return its text."""
    options = list(KNOWN) if current in KNOWN or not current else [current, *KNOWN]
    chosen = st.selectbox(
        label,
        options,
        options.index(current) if current in options else None,
        key=key,
        accept_new_options=True,
        placeholder="choose, or write it",
        help=help or None,
    )
    return (chosen or "").strip()
