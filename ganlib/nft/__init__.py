"""A collection of pieces to be minted elsewhere: chosen, described, hashed, checked. No wallet, no chain, no keys.

`preview_drop` and `estimate_drop` write nothing; `make_drop` makes the folder, or continues it; `validate_drop` looks
through one, and `advise_drop` says what it lacks.
"""

from ganlib.nft.checks import advise_drop, validate_drop
from ganlib.nft.config import NftConfig
from ganlib.nft.documents import Drop
from ganlib.nft.job import make_drop, run_job
from ganlib.nft.preview import Cost, Piece, Preview, estimate_drop, preview_drop, sale_warning
from ganlib.nft.traits import TRAITS, Rarity, TraitShare, rarity_of

__all__ = [
    "TRAITS",
    "Cost",
    "Drop",
    "NftConfig",
    "Piece",
    "Preview",
    "Rarity",
    "TraitShare",
    "advise_drop",
    "estimate_drop",
    "make_drop",
    "preview_drop",
    "rarity_of",
    "run_job",
    "sale_warning",
    "validate_drop",
]
