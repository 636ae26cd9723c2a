#!/usr/bin/env python3
"""The replaced aggregator's side of the catalogue in PostgreSQL, with psycopg 3 and typed parameters.

    catalogue_client.py URL create          its tables, as its readers know them
    catalogue_client.py URL former ROWS     the tables that version 0.1 made, and rows of two boxes: ROWS each
    catalogue_client.py URL write ROWS      rows with random ids, as the replaced aggregator writes them, some at a time
    catalogue_client.py URL read            what typed queries find, as JSON
    catalogue_client.py URL uuid BOX NAME   the id that a row must have
"""

import datetime
import json
import os
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.environ.get("EDGE_TEST_SERVERS", "var/test-servers"), "psycopg/usr/lib/python3/dist-packages"))
import psycopg

TABLES = [
    """CREATE TABLE aggregator_datasets (
        id UUID PRIMARY KEY, data_type VARCHAR(50) NOT NULL, source VARCHAR(50) NOT NULL, forecast_date TIMESTAMP NOT NULL,
        forecast_cycle VARCHAR(10), valid_time_start TIMESTAMP NOT NULL, valid_time_end TIMESTAMP NOT NULL,
        file_path VARCHAR(500) NOT NULL, file_size_bytes BIGINT, is_forecast BOOLEAN, created_at TIMESTAMP, last_accessed_at TIMESTAMP)""",
    """CREATE TABLE aggregator_collection_status (
        collection_id UUID PRIMARY KEY, data_type VARCHAR(50) NOT NULL, status VARCHAR(50) NOT NULL, started_at TIMESTAMP NOT NULL,
        completed_at TIMESTAMP, records_collected INTEGER, error_message TEXT)""",
]
FORMER = [
    """CREATE TABLE aggregator_datasets (
        aggregator_uuid text NOT NULL, id text NOT NULL, data_type text NOT NULL, source text NOT NULL,
        forecast_date date NOT NULL, forecast_cycle integer NOT NULL, valid_time_start timestamptz NOT NULL,
        valid_time_end timestamptz NOT NULL, file_path text NOT NULL, file_size_bytes bigint NOT NULL,
        is_forecast boolean NOT NULL, created_at timestamptz NOT NULL, last_accessed_at timestamptz,
        PRIMARY KEY (aggregator_uuid, id))""",
    """CREATE TABLE aggregator_collection_status (
        aggregator_uuid text NOT NULL, collection_id text NOT NULL, data_type text NOT NULL,
        status text NOT NULL, started_at timestamptz NOT NULL, completed_at timestamptz,
        records_collected integer NOT NULL, error_message text, PRIMARY KEY (aggregator_uuid, collection_id))""",
    "CREATE TABLE edge_aggregator_schema (version integer PRIMARY KEY)",
    "INSERT INTO edge_aggregator_schema VALUES (1), (2), (3)",
]
UTC = datetime.timezone.utc
START = datetime.datetime(2026, 8, 29)


def identity(box, name):
    return uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, box), name)


def former(connection, rows):
    for statement in FORMER:
        connection.execute(statement)
    for box in ("box-1", "box-2"):
        for row in range(rows):
            kind, source = [("wind", "NOAA GFS"), ("ocean-currents", "Copernicus Marine"), ("waves", "NOAA GFS-Wave")][row % 3]
            valid = START.replace(tzinfo=UTC) + datetime.timedelta(hours=row)
            connection.execute(
                "INSERT INTO aggregator_datasets VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (box, f"{kind}-{row}", kind, source, START.date(), 6, valid, valid, f"{kind}/{row}.nc", 1000 + row, True,
                 valid, None))
        connection.execute(
            "INSERT INTO aggregator_collection_status VALUES (%s, %s, 'ocean-currents', 'failed', %s, %s, %s, %s)",
            (box, "ocean-currents-2026-08-29T00:00:00.000Z", START.replace(tzinfo=UTC), None, 7, "no link"))


def write(connection, rows):
    for row in range(rows):
        connection.execute(
            "INSERT INTO aggregator_datasets VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (uuid.uuid4(), "ocean_currents", "copernicus", START, "00", START, START, f"old/{row}.nc", row, True, START, None))
        connection.execute(
            "INSERT INTO aggregator_collection_status VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (uuid.uuid4(), "wind", "completed", START, START, row, None))
        if row % 10 == 9:
            time.sleep(0.05)


def read(connection):
    """Queries of the readers. A parameter of another type than the column's is an error of the server's."""
    def all_of(sql, *values):
        rows = connection.execute(sql, values).fetchall()
        return [[None if value is None else value if isinstance(value, int) and len(row) == 1 else str(value) for value in row] for row in rows]

    first = connection.execute("SELECT id FROM aggregator_datasets WHERE aggregator_uuid IS NOT NULL ORDER BY id LIMIT 1").fetchone()
    answers = {
        "types": all_of("SELECT table_name, column_name, data_type, character_maximum_length FROM information_schema.columns"
                        " WHERE table_name LIKE 'aggregator_%%' ORDER BY table_name, column_name"),
        "rows": all_of("SELECT id, data_type, source, forecast_date, forecast_cycle, valid_time_start, valid_time_end, file_path,"
                       " file_size_bytes, is_forecast, aggregator_uuid, natural_id FROM aggregator_datasets ORDER BY file_path"),
        "collections": all_of("SELECT collection_id, data_type, status, started_at, completed_at, records_collected, error_message,"
                              " aggregator_uuid, natural_id FROM aggregator_collection_status ORDER BY started_at, collection_id"),
        "newest wind": all_of(
            "SELECT count(*) FROM aggregator_datasets WHERE data_type = %s AND source = %s AND forecast_date >= %s AND forecast_cycle = ANY(%s)"
            " AND valid_time_start BETWEEN %s AND %s AND is_forecast = %s AND file_size_bytes > %s",
            "wind", "noaa_gfs", START, ["00", "06", "12", "18"], START, START + datetime.timedelta(days=3650), True, 0)[0][0],
        "by id": all_of("SELECT count(*) FROM aggregator_datasets WHERE id = %s", first[0])[0][0] if first else 0,
        "completed": all_of("SELECT count(*) FROM aggregator_collection_status WHERE status = %s AND started_at <= %s",
                            "completed", datetime.datetime(2100, 1, 1))[0][0],
    }
    print(json.dumps(answers, default=str))


def main():
    url, command, *rest = sys.argv[1:]
    if command == "uuid":
        print(identity(*rest))
        return
    with psycopg.connect(url, autocommit=True) as connection:
        # Parameters are bound by the server, with their types.
        assert connection.cursor_factory is psycopg.Cursor
        if command == "create":
            for statement in TABLES:
                connection.execute(statement)
        elif command == "former":
            former(connection, int(rest[0]))
        elif command == "write":
            write(connection, int(rest[0]))
        elif command == "read":
            read(connection)
        else:
            sys.exit(f"no command is called {command}")


main()
