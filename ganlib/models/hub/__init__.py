"""Models of the Hugging Face Hub and of the catalogue: find, download, publish. Licence and card travel with them.

Nothing is asked of the network by importing this, by `list_cached` or by `catalogue`. A download is one named file; the
files of other tools are read by `ganlib.models.foreign`, which runs nothing in them.
"""

from ganlib.models.hub.cache import Cached, downloads_folder, forget, list_cached
from ganlib.models.hub.catalogue import Catalogue, Entry, catalogue, find_entry, read_catalogue
from ganlib.models.hub.client import check_repo_id, network_errors
from ganlib.models.hub.downloads import DownloadJob, download, fetch_catalogue, perform, run_job
from ganlib.models.hub.models import TAG, TAGS, HubFile, HubModel, look, search
from ganlib.models.hub.publication import CARD_NAME, SHEET_NAME, Published, check_revision, publish, settle_licence

__all__ = [
    "CARD_NAME",
    "SHEET_NAME",
    "TAG",
    "TAGS",
    "Cached",
    "Catalogue",
    "DownloadJob",
    "Entry",
    "HubFile",
    "HubModel",
    "Published",
    "catalogue",
    "check_repo_id",
    "check_revision",
    "download",
    "downloads_folder",
    "fetch_catalogue",
    "find_entry",
    "forget",
    "list_cached",
    "look",
    "network_errors",
    "perform",
    "publish",
    "read_catalogue",
    "run_job",
    "search",
    "settle_licence",
]
