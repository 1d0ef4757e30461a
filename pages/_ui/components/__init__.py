"""Parts of our own: each is one small file of plain JavaScript and CSS with a Python face.

All data reaches the browser as JSON and enters the page through text nodes and properties, never as HTML.
"""

from pages._ui.components.address import address_bar
from pages._ui.components.compare import before_after
from pages._ui.components.crop import Square, square_crop
from pages._ui.components.map import MapPoint, latent_map
from pages._ui.components.pair import picture_pair
from pages._ui.components.player import film_player
from pages._ui.components.sheet import report_sheet
from pages._ui.components.shelf import ModelCard, model_shelf
from pages._ui.components.sliders import Choice, Control, Group, Seed, Slider, slider_bank
from pages._ui.components.snippet import snippet
from pages._ui.components.stage import picture_stage
from pages._ui.components.tab import tab_seen
from pages._ui.components.timeline import Stop, timeline
from pages._ui.components.wall import WallPicture, picture_wall

__all__ = [
    "Choice",
    "Control",
    "Group",
    "MapPoint",
    "ModelCard",
    "Seed",
    "Slider",
    "Square",
    "Stop",
    "WallPicture",
    "address_bar",
    "before_after",
    "film_player",
    "latent_map",
    "model_shelf",
    "picture_pair",
    "picture_stage",
    "picture_wall",
    "report_sheet",
    "slider_bank",
    "snippet",
    "square_crop",
    "tab_seen",
    "timeline",
]
