"""Mean delay by origin, with DuckDB: python with_duckdb.py SERVICE TOPIC [http|plan [BUCKET]]"""

import sys

import duckdb
import foz_arrow


def mean_delays(flights):
    rows = duckdb.sql("SELECT origin, avg(delay), count(delay) FROM flights GROUP BY origin")
    return {origin: (mean, count) for origin, mean, count in rows.fetchall()}


def main(service, topic, way="http", bucket=None):
    columns = ["origin", "delay"]
    if way == "plan":
        return mean_delays(foz_arrow.from_bucket(service, topic, columns, bucket))
    return mean_delays(foz_arrow.over_http(service, topic, columns))


if __name__ == "__main__":
    for origin, (mean, count) in sorted(main(*sys.argv[1:]).items()):
        print(f"{origin},{mean:.6f},{count}")
