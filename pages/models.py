"""Models: what is here, how more come in, what may be done with them."""

import streamlit as st

from ganlib.base.errors import InputError
from pages._ui.common.frame import error_boundary, open_page, plain
from pages._ui.models import place
from pages._ui.models.about import find_model_file, show_model
from pages._ui.models.blends import show_blend
from pages._ui.models.catalogue import show_catalogue
from pages._ui.models.imports import show_import
from pages._ui.models.online import show_hub
from pages._ui.models.shelf import show_shelf

VIEWS = {
    "": ("Here", show_shelf),
    "import": ("Import", show_import),
    "hub": ("Hub", show_hub),
    "catalogue": ("Known models", show_catalogue),
    "blend": ("Blend", show_blend),
}

open_page("Models")
query = place.arrive()
is_news = place.take_news()


def choose_view() -> str:
    """The row of views; what the address says wins when it is news."""
    asked = query.get("view", "")
    if is_news:
        st.session_state["models-view"] = asked if asked in VIEWS else ""
    view = st.segmented_control(
        "View", list(VIEWS), format_func=lambda key: VIEWS[key][0], key="models-view", label_visibility="collapsed"
    )
    return view or ""


with error_boundary():
    try:
        if name := query.get("model"):
            path = find_model_file(name)
            place.write({"model": name})
            show_model(path)
        else:
            view = choose_view()
            place.write({"view": view} if view else {})
            if news := st.session_state.pop("models-news", None):
                st.success(plain(news), icon=":material/check:")
            VIEWS[view][1]()
    except InputError:
        st.button("All models", icon=":material/arrow_back:", key="all-models", on_click=place.go)
        raise
