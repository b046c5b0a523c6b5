"""Reflects a table with StarRocks' own SQLAlchemy dialect, makes it again elsewhere, and prints what it found."""

import json
import sys

from sqlalchemy import MetaData, create_engine, inspect, text

port = sys.argv[1]
engine = create_engine(f"starrocks://root@127.0.0.1:{port}/d")
inspector = inspect(engine)


def columns(database):
    compiled = lambda kind: " ".join(kind.compile(engine.dialect).split())
    return [
        [c["name"], compiled(c["type"]), c["nullable"], c["default"], c["comment"]]
        for c in inspector.get_columns("t", schema=database)
    ]


def again():
    """Every column, key and option survives a round trip through the dialect's own CREATE TABLE."""
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE again"))
    metadata = MetaData()
    metadata.reflect(bind=engine, schema="d")
    metadata.tables["d.t"].to_metadata(MetaData(), schema="again").create(engine)
    inspector.clear_cache()
    ours, theirs = (
        [columns(d), inspector.get_pk_constraint("t", schema=d), inspector.get_table_options("t", schema=d)]
        for d in ("d", "again")
    )
    return "same" if ours == theirs else [ours, theirs]


options = inspector.get_table_options("t", schema="d")
with engine.connect() as connection:
    rows = [[r[0], r[1], str(r[2])] for r in connection.execute(text("SELECT id, name, n FROM t"))]
print(
    json.dumps(
        {
            "schemas": inspector.get_schema_names(),
            "tables": inspector.get_table_names("d"),
            "views": inspector.get_view_names("d"),
            "columns": columns("d"),
            "primary_key": inspector.get_pk_constraint("t", schema="d")["constrained_columns"],
            "comment": options["starrocks_comment"],
            "distributed_by": options["starrocks_distributed_by"],
            "order_by": options["starrocks_order_by"],
            "replication_num": options["starrocks_properties"]["replication_num"],
            "rows": rows,
            "again": again(),
        }
    )
)
