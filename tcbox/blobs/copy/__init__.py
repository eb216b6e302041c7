"""All artifacts and objects of one place copied to another, of the same kind or of the other one, and checked.

Each copy keeps, with its bytes, the etag of what it was copied from. So a copy that was broken off goes on where it was, from
any machine, and a second one writes only what has changed since the first, without reading the rest again.
"""

from tcbox.blobs.copy.copier import Copied, Copier
from tcbox.blobs.copy.places import Place, find

__all__ = ["Copied", "Copier", "Place", "find"]
