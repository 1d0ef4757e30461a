"""The question before a page looks at a path that a link names."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def is_asked(app: AppTest) -> bool:
    return any(button.key == "foreign-look" for button in app.button)


def agreed(app: AppTest) -> AppTest:
    """The page after a person has said of each path that it may be looked at."""
    while is_asked(app):
        app.button(key="foreign-look").click().run()
    return app
