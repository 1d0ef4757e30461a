"""Latent Atelier: the entrance. `streamlit run app.py` opens it; the pages are in `pages/`."""

from pages._ui.frame import run_app

run_app()
