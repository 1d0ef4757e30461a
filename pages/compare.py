"""Compare: real pictures beside generated ones, a quiz, the copy check, the discriminator, face-offs, statistics."""

import streamlit as st

from pages._ui.common import model_cache
from pages._ui.common.frame import error_boundary, open_page
from pages._ui.common.place import Place
from pages._ui.compare import faceoff, quiz
from pages._ui.compare.attribution import show_verdicts
from pages._ui.compare.copies import show_copies
from pages._ui.compare.faceoff import show_faceoff
from pages._ui.compare.quiz import show_quiz
from pages._ui.compare.sets import choose_set
from pages._ui.compare.sides import show_sides
from pages._ui.compare.statistics import show_statistics

VIEWS = {
    "sides": "Side by side",
    "quiz": "Which is real?",
    "copies": "Copy check",
    "verdicts": "What D sees",
    "faceoff": "Face-off",
    "statistics": "Statistics",
}
GAMES = {"quiz": quiz.table, "faceoff": faceoff.table}

heading = open_page("Compare")
place = Place("compare", paths=("data", "source"))
query = place.arrive()
model = model_cache.choose_model(heading)
if place.take_news():
    if query.get("view") in VIEWS:
        st.session_state["compare-view"] = query["view"]
    elif query.get("data") and not query.get("source"):
        st.session_state["compare-view"] = "sides"  # the first view is not named in the address
    if query.get("data"):
        st.session_state["compare-data"] = query["data"][:1000]
        st.session_state.pop("compare-set", None)
    if query.get("source"):
        st.session_state["copies-how"] = "place"
        st.session_state["copies-place"] = query["source"][:1000]
    if query.get("view") in GAMES and query.get("game"):
        st.session_state[query["view"]] = query["game"][:1000]
st.session_state.setdefault("compare-view", "sides")
view = (
    st.segmented_control(
        "View",
        list(VIEWS),
        format_func=VIEWS.__getitem__,
        key="compare-view",
        label_visibility="collapsed",
        required=True,
    )
    or "sides"
)
game = GAMES[view].name() if view in GAMES else ""
where = {"view": view} | ({"game": game} if game else {}) if view != "sides" else {}
with error_boundary():
    if view == "faceoff":
        place.write({"model": model.name} | where)
        show_faceoff(model, game)
        st.stop()
    reals = choose_set(heading, query.get("data", ""))
    place.write({"model": model.name, "data": reals.path} | where)
    if view == "quiz":
        show_quiz(model, reals, game)
    elif view == "copies":
        show_copies(model, reals)
    elif view == "verdicts":
        show_verdicts(model, reals)
    elif view == "statistics":
        show_statistics(model, reals)
    else:
        show_sides(model, reals)
