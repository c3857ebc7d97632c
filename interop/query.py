"""Runs the recipes of docs/query on a typed topic, while it is written to and merged.

How: the mean delay by origin is counted in plain Python from the flights themselves. They are
produced in parts; between the parts, objects are merged. After each part every recipe reads over HTTP
and from the bucket, and so does `foz consume --format arrow`; each must give what was counted of the
parts so far. All the while another topic is written to by somebody else, so that objects hold the
records of both.
"""

import argparse
import collections
import importlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import threading

import duckdb
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet

from compare import ask, node

RECIPES = pathlib.Path(__file__).parent.parent / "docs" / "query"
TOOLS = ["pyarrow", "polars", "pandas", "duckdb"]
SCHEMA = {"columns": [{"name": "delay", "type": "int64"}, {"name": "origin", "type": "utf8"}]}
PARTS = 4
LINES = "application/x-ndjson"


def count(lines):
    delays = collections.defaultdict(list)
    for line in lines:
        event = json.loads(line)
        delays[event["origin"]].append(event["delay"])
    return {origin: (sum(d) / len(d), len(d)) for origin, d in delays.items()}


def same(got, want):
    return set(got) == set(want) and all(
        got[o][1] == n and abs(got[o][0] - mean) < 1e-9 * max(1, abs(mean))
        for o, (mean, n) in want.items())


def consumed(foz, url):
    """What `foz consume --format arrow` gives, with plain Python over its rows."""
    command = [foz, "consume", "flights", "--url", url, "--format", "arrow", "--columns", "origin,delay"]
    stream = subprocess.run(command, check=True, capture_output=True).stdout
    delays = collections.defaultdict(list)
    for row in ipc.open_stream(io.BytesIO(stream)).read_all().to_pylist():
        delays[row["origin"]].append(row["delay"])
    return {origin: (sum(d) / len(d), len(d)) for origin, d in delays.items()}


def exported(foz, url, folder):
    """A Parquet file of all columns, as PyArrow and DuckDB read it."""
    name = str(pathlib.Path(folder, "flights.parquet"))
    command = [foz, "segment", "export", "flights", "--url", url, "--to", "parquet", "--out", name]
    subprocess.run(command, check=True, capture_output=True)
    table = pyarrow.parquet.read_table(name)
    columns = ["partition", "offset", "timestamp", "key", "value", "headers", "delay", "origin"]
    if table.column_names != columns:
        sys.exit(f"interop: {name} has the columns {table.column_names}")
    yield "parquet", importlib.import_module("with_pyarrow").mean_delays(table)
    rows = duckdb.sql("SELECT origin, avg(delay), count(delay)"
                      f" FROM '{name}' GROUP BY origin")
    yield "parquet duck", {origin: (mean, n) for origin, mean, n in rows.fetchall()}


def disturb(url, over):
    """Somebody else's topic."""
    ask("PUT", url + "/v1/topics/noise", b'{"partitions":3}')
    while not over.wait(0.02):
        ask("POST", url + "/v1/topics/noise/records", b'{"delay":1}\n', Content_Type=LINES)


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--foz", required=True, help="the binary")
    flags.add_argument("--flights", required=True, help="events, NDJSON compressed with zstd")
    flags = flags.parse_args()
    sys.path.insert(0, str(RECIPES))
    recipes = {tool: importlib.import_module("with_" + tool) for tool in TOOLS}
    with pa.input_stream(flags.flights, compression="zstd") as f:
        lines = f.read().splitlines()
    failed = 0
    small = ("--segment-bytes", "4MiB")  # so that little is enough to be merged into columns
    with tempfile.TemporaryDirectory() as bucket, node(flags.foz, bucket, *small) as urls:
        url = urls["service"]
        topic = url + "/v1/topics/flights"
        ask("PUT", topic, json.dumps({"partitions": 2, "schema": SCHEMA}).encode())
        over = threading.Event()
        noise = threading.Thread(target=disturb, args=(url, over))
        noise.start()
        try:
            for part in range(PARTS):
                some = lines[part * len(lines) // PARTS:(part + 1) * len(lines) // PARTS]
                for _ in range(5):  # enough for merged objects to have columns
                    ask("POST", topic + "/records", b"\n".join(some), Content_Type=LINES)
                want = count(lines[:(part + 1) * len(lines) // PARTS] * 5)
                for tool, recipe in recipes.items():
                    for way in ("http", "plan"):
                        ok = same(recipe.main(url, "flights", way, bucket), want)
                        failed += report(part, tool, way, want, ok)
                failed += report(part, "foz consume", "arrow", want, same(consumed(flags.foz, url), want))
                ask("POST", url + "/v1/maintenance", b'{"run":["merge"]}', Content_Type="application/json")
        finally:
            over.set()
            noise.join()
        for tool, got in exported(flags.foz, url, bucket):
            failed += report(PARTS - 1, tool, "file", want, same(got, want))
        typed = [p for p in pathlib.Path(bucket, "data").rglob("*.arrow")
                 if "delay" in ipc.open_file(str(p)).schema.names]
        print(f"{len(typed)} merged objects have the columns of the schema")
        if not typed:
            sys.exit("interop: no object has typed columns: nothing was tested")
    if failed:
        sys.exit(f"interop: {failed} answers are not what was counted")


def report(part, tool, way, want, ok):
    rows = sum(n for _, n in want.values())
    print(f"part {part + 1}  {tool:<12} {way:<6} {len(want)} airports of {rows} flights:",
          "same" if ok else "DIFFERS")
    return 0 if ok else 1


if __name__ == "__main__":
    main()
