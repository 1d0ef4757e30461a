"""What the server runs for everyone who comes: the page that the address names."""

from pages._ui.common.frame import run_app

run_app()
