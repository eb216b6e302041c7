"""What the service publishes, declared once for all of its methods.

Source: the published reference of the index.
"""

from __future__ import annotations

from tcbox.api import monitoring
from tcbox.api.declare import Api
from tcbox.services.index import model

PAGED = ("continuationToken", "limit")

api = Api(
    "index",
    title="Index Service",
    description="""
    Finds tasks by names that people chose.

    A name is a path of words with dots between them, such as `project.nightly.linux`. A task gets one by a route that
    begins with `index.`, as soon as it completes, or by a call of `insertTask`. All that stands before the last dot is
    the name's namespace; names have no slashes.
    """,
    # a namespace may be empty where it is the root that is asked for; `split` refuses an empty name
    params={"namespace": f"^({model.FORM})?$", "indexPath": f"^{model.FORM}$", "name": r"^[\x20-\x7e]+$"},
)
Monitoring = monitoring.declare(api)
