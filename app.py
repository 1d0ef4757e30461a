"""Latent Atelier: the entrance. `streamlit run app.py` opens it; the pages are in `pages/`."""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from pages._ui.common.own_content import OwnContentOnly
from pages._ui.common.uploads import UploadsToDisk, swept

# Not beside `pages/`: Streamlit would run the first page after a start without its frame.
app = st.App(
    Path(__file__).resolve().parent / "pages" / "_ui" / "common" / "entrance.py",
    middleware=[Middleware(OwnContentOnly), Middleware(UploadsToDisk)],
    lifespan=swept,
)
