"""Connects with two drivers and prints what they read and how an error looks to them."""

import json
import sys

import mysql.connector
import pymysql

port = int(sys.argv[1])


def ask(connection, errors):
    cursor = connection.cursor()
    cursor.execute("SELECT id, name, n, b FROM d.t")
    (id, name, n, b) = cursor.fetchone()
    cursor.execute(
        "SELECT ORDINAL_POSITION, COLUMN_NAME FROM information_schema.columns "
        "WHERE TABLE_SCHEMA = 'd' AND TABLE_NAME = 't' ORDER BY 1 LIMIT 1"
    )
    first = cursor.fetchone()
    try:
        cursor.execute("SELECT nope FROM d.t")
        error = None
    except errors as refused:
        error = refused.args[0]
    return {"row": [id, name, str(n), b], "first_column": list(first), "error": error}


print(
    json.dumps(
        {
            "pymysql": ask(pymysql.connect(host="127.0.0.1", port=port, user="root"), pymysql.Error),
            "mysql.connector": ask(
                mysql.connector.connect(host="127.0.0.1", port=port, user="root", use_pure=True),
                mysql.connector.Error,
            ),
        }
    )
)
