"""Reads a database of the CO2 units' server as its plots and summaries do, and prints what they would see as JSON.

co2_database.py FILE
"""

import json
import sqlite3
import sys

QUERIES = {
    # Last ping and signal of each unit, and days with a ping.
    "pings": """
        SELECT unit_id, nickname, max(ping_ts), count(DISTINCT ping_date), max(rssi_dbm), min(rssi_dbm)
        FROM pings GROUP BY unit_id ORDER BY unit_id""",
    "ping_rows": "SELECT * FROM pings ORDER BY unit_id, ping_date, ping_time",
    "readings": "SELECT * FROM co2_readings ORDER BY unit_id, date, time, temp",
    # Numbers are numbers, whatever the text was.
    "types": """
        SELECT typeof(temp), typeof(flash_count), typeof(co2_01), count(*) FROM co2_readings
        GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1""",
    "means": """
        SELECT unit_id, date || ' ' || time, (co2_03 + co2_04 + co2_05) / 3 FROM co2_readings
        WHERE temp IS NOT NULL AND co2_05 IS NOT NULL ORDER BY unit_id, date, time""",
    "errors": "SELECT * FROM error_logs ORDER BY unit_id, rowid",
    "deployments": """
        SELECT d.tier, d.site, d.unit_id, d.nickname, d.status, d.start_ts, d.end_ts, min(c.date), max(c.date)
        FROM deploy_durations_tiered d LEFT JOIN co2_readings c ON c.unit_id = d.unit_id
            AND (d.start_ts IS NULL OR d.start_ts <= c.date) AND (d.end_ts IS NULL OR c.date <= d.end_ts)
        GROUP BY d.tier, d.site, d.unit_id, d.nickname, d.status, d.start_ts, d.end_ts
        ORDER BY d.tier DESC, d.start_ts""",
    "tables": """
        SELECT m.name, group_concat(c.name || ' ' || c.type, ', ') FROM sqlite_master m, pragma_table_info(m.name) c
        WHERE m.type = 'table' GROUP BY m.name ORDER BY m.name""",
    "indexes": "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' ORDER BY tbl_name",
    "check": "PRAGMA integrity_check",
}


def main(path):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    print(json.dumps({name: database.execute(query).fetchall() for name, query in QUERIES.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
