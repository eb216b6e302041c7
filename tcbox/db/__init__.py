"""The database: named statements, transactions and migrations, the same on SQLite and on PostgreSQL.

```python
sql = db.load(__package__, "queue")
database = db.connect("sqlite:///srv/tcbox/tcbox.db", clock=clock)
await database.start([db.migrations(__package__, "queue")])

async def create(tx: db.Tx) -> None:
    await tx.execute(sql.insert_task, task_id=task_id, created=tx.now)

await database.transaction(create)
row = await database.point(sql.get_task, task_id=task_id)
```
"""

from tcbox.db.connect import connect
from tcbox.db.errors import (
    DatabaseError,
    DataFolderLocked,
    DiskFull,
    ForeignAwait,
    MigrationError,
    QueryError,
    UniqueViolation,
)
from tcbox.db.interface import Database, Row, Tx
from tcbox.db.migrations import Migration, Migrations, migrations
from tcbox.db.queries import Queries, Query, load
from tcbox.db.stats import Stat, Stats

__all__ = [
    "DataFolderLocked",
    "Database",
    "DatabaseError",
    "DiskFull",
    "ForeignAwait",
    "Migration",
    "MigrationError",
    "Migrations",
    "Queries",
    "Query",
    "QueryError",
    "Row",
    "Stat",
    "Stats",
    "Tx",
    "UniqueViolation",
    "connect",
    "load",
    "migrations",
]
