"""Reads a bucket of foz with PyArrow and Polars and compares with what was put in.

How: the expectation is counted in plain Python from the flights themselves, before foz has seen
them. A node of the real binary takes them over HTTP in three dialects. Each reader then reports
what it found, as an Account; every number of every Account must be the expected one. Nothing is
skipped: a reader that finds no objects, or a column of another type, is a difference.
"""

import argparse
import base64
import collections
import contextlib
import dataclasses
import datetime
import hashlib
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

PARTITIONS = 8
ROWS_PER_REQUEST = 1000
STREAM = "application/vnd.apache.arrow.stream"
HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))


@dataclasses.dataclass
class Flight:
    """One record: what is sent, and what is expected of it."""

    line: bytes
    origin: str
    delay: int
    distance: int
    timestamp: int  # ms
    headers: list  # of (key, value)


@dataclasses.dataclass
class Account:
    """What somebody found."""

    rows: int
    delay_sum: int
    distance_sum: int
    timestamp_sum: int
    mean_delays: dict  # by origin, from the column key
    digest: str  # of all (key, value, timestamp), in order of their bytes
    # Only where the source has them; None is compared with nothing and shown as "-".
    headers: int | None = None  # rows that have the headers they were sent with
    offsets: bool | None = None  # dense from 0 in each partition

    def differences(self, want):
        for field in dataclasses.fields(self):
            got, expected = getattr(self, field.name), getattr(want, field.name)
            if got is None and field.name in ("headers", "offsets"):
                continue
            if field.name == "mean_delays":
                for origin in sorted(set(got) | set(expected)):
                    a, b = got.get(origin), expected.get(origin)
                    if a is None or b is None or abs(a - b) > 1e-9 * max(1.0, abs(b)):
                        yield f"mean delay of {origin}: {a}, not {b}"
            elif got != expected:
                yield f"{field.name}: {got}, not {expected}"


def digest(rows):
    """Of (key, value, timestamp) triples, whatever their order."""
    h = hashlib.sha256()
    for key, value, timestamp in sorted(rows):
        for part in (key, value, str(timestamp).encode()):
            h.update(len(part).to_bytes(4, "little") + part)
    return h.hexdigest()[:16]


# --- what goes in, and the independent count of it


def read_flights(path):
    with pa.input_stream(path, compression="zstd") as f:
        lines = f.read().splitlines()
    flights = []
    for i, line in enumerate(lines):
        event = json.loads(line)
        when = datetime.datetime.strptime(event["date"], "%Y/%m/%d %H:%M")
        when = when.replace(tzinfo=datetime.timezone.utc)
        headers = [("row", str(i).encode()), ("raw", bytes([i % 256, 255]))] if i % 7 == 0 else []
        flights.append(Flight(line, event["origin"], event["delay"], event["distance"],
                              int(when.timestamp()) * 1000, headers))
    return flights


def expectation(flights):
    delays = collections.defaultdict(list)
    for f in flights:
        delays[f.origin].append(f.delay)
    return Account(
        rows=len(flights),
        delay_sum=sum(f.delay for f in flights),
        distance_sum=sum(f.distance for f in flights),
        timestamp_sum=sum(f.timestamp for f in flights),
        mean_delays={origin: sum(d) / len(d) for origin, d in delays.items()},
        digest=digest((f.origin.encode(), f.line, f.timestamp) for f in flights),
        headers=len(flights),
        offsets=True,
    )


def in_base64(b):
    return base64.b64encode(b).decode()


def as_ndjson(flights):
    """Record objects, one to a line; bytes that are no text in base64."""
    lines = []
    for f in flights:
        record = {"key": f.origin, "value": f.line.decode(), "timestamp": f.timestamp}
        if f.headers:
            record = {"key": in_base64(f.origin.encode()), "value": in_base64(f.line),
                      "timestamp": f.timestamp, "encoding": "base64",
                      "headers": [[k, in_base64(v)] for k, v in f.headers]}
        lines.append(json.dumps(record))
    return "application/x-ndjson", "\n".join(lines).encode()


def as_pyarrow(flights):
    table = pa.table({
        "key": pa.array([f.origin.encode() for f in flights], pa.binary()),
        "value": pa.array([f.line for f in flights], pa.binary()),
        "headers": pa.array([[{"key": k, "value": v} for k, v in f.headers] for f in flights],
                            HEADERS),
        "timestamp": pa.array([f.timestamp for f in flights], pa.timestamp("ms", tz="UTC")),
    })
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)
    return STREAM, out.getvalue()


def as_polars(flights):
    frame = pl.DataFrame(
        {
            "key": [f.origin for f in flights],
            "value": [f.line for f in flights],
            "headers": [[{"key": k, "value": v} for k, v in f.headers] for f in flights],
            "timestamp": [f.timestamp for f in flights],
        },
        schema={
            "key": pl.String, "value": pl.Binary,
            "headers": pl.List(pl.Struct({"key": pl.String, "value": pl.Binary})),
            "timestamp": pl.Datetime("ms", "UTC"),
        },
    )
    out = io.BytesIO()
    frame.write_ipc_stream(out, compat_level=pl.CompatLevel.oldest())
    return STREAM, out.getvalue()


# --- the node


@contextlib.contextmanager
def node(foz, bucket, *flags):
    """A foz node on a folder: its URLs by name. It is told to stop in the end, and must."""
    args = [foz, "dev", "--data-dir", bucket, "--http", "127.0.0.1:0", *flags]
    process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        said, urls = [], {}
        for line in process.stderr:
            said.append(line)
            if match := re.match(r"  (\w+) +(\S+://\S+)$", line):
                urls[match[1]] = match[2]
            if line.startswith("Try:"):
                break
        else:
            sys.exit("interop: foz does not come up:\n" + "".join(said))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield urls
        process.terminate()
        if code := process.wait(timeout=30):
            sys.exit(f"interop: foz ended with {code}")
    finally:
        process.kill()
        process.wait()


def ask(method, url, body=None, **headers):
    request = urllib.request.Request(url, data=body, method=method, headers={
        name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as e:
        sys.exit(f"interop: {method} {url}: {e.code} {e.read().decode()}")


def produce(topic, flights):
    """Sends the flights, the three dialects in turns; counts rows by dialect."""
    dialects = [as_ndjson, as_pyarrow, as_polars]
    sent = collections.Counter()
    ask("PUT", topic, json.dumps({"partitions": PARTITIONS}).encode())
    for i in range(0, len(flights), ROWS_PER_REQUEST):
        some = flights[i:i + ROWS_PER_REQUEST]
        dialect = dialects[i // ROWS_PER_REQUEST % len(dialects)]
        kind, body = dialect(some)
        query = "?envelope=record" if dialect is as_ndjson else ""
        ack = json.loads(ask("POST", topic + "/records" + query, body, Content_Type=kind))
        if ack["count"] != len(some):
            sys.exit(f"interop: {dialect.__name__}: {ack['count']} of {len(some)} acknowledged")
        sent[dialect.__name__] += len(some)
    return sent


# --- PyArrow


def arrow_account(table, headers=None, offsets=None):
    table.validate(full=True)
    values = table["value"].to_pylist()
    events = pa.json.read_json(io.BytesIO(b"\n".join(values)))
    timestamps = table["timestamp"].cast(pa.int64())
    by_origin = pa.table({"origin": table["key"], "delay": events["delay"]}) \
        .group_by("origin").aggregate([("delay", "mean")])
    return Account(
        rows=table.num_rows,
        delay_sum=pc.sum(events["delay"]).as_py(),
        distance_sum=pc.sum(events["distance"]).as_py(),
        timestamp_sum=pc.sum(timestamps).as_py(),
        mean_delays={origin.decode(): mean for origin, mean in
                     zip(by_origin["origin"].to_pylist(), by_origin["delay_mean"].to_pylist())},
        digest=digest(zip(table["key"].to_pylist(), values, timestamps.to_pylist())),
        headers=headers, offsets=offsets,
    )


def arrow_objects(paths):
    tables = []
    for path in paths:
        with pa.memory_map(str(path)) as f:
            tables.append(pa.ipc.open_file(f).read_all())
    return arrow_account(pa.concat_tables(tables))


def arrow_stream(body, sent):
    table = pa.ipc.open_stream(body).read_all()
    return arrow_account(table, *stream_account(table.to_pylist(), sent))


# --- Polars


def polars_account(frame, headers=None, offsets=None):
    frame = frame.with_columns(
        pl.col("timestamp").cast(pl.Int64),
        pl.col("value").cast(pl.String)
        .str.json_decode(pl.Struct({"delay": pl.Int64, "distance": pl.Int64})).alias("event"),
    )
    delay = pl.col("event").struct.field("delay")
    by_origin = frame.group_by("key").agg(delay.mean().alias("mean"))
    return Account(
        rows=frame.height,
        delay_sum=frame.select(delay.sum()).item(),
        distance_sum=frame.select(pl.col("event").struct.field("distance").sum()).item(),
        timestamp_sum=frame["timestamp"].sum(),
        mean_delays={key.decode(): mean for key, mean in by_origin.iter_rows()},
        digest=digest(frame.select("key", "value", "timestamp").iter_rows()),
        headers=headers, offsets=offsets,
    )


def polars_objects(paths):
    return polars_account(pl.concat([pl.read_ipc(path) for path in paths]))


def polars_scan(paths):
    return polars_account(pl.scan_ipc(paths).collect())


def polars_stream(body, sent):
    frame = pl.read_ipc_stream(body)
    return polars_account(frame, *stream_account(frame.to_dicts(), sent))


def stream_account(rows, sent):
    """Of rows with offsets: how many have their headers, and whether offsets are dense."""
    partitions = collections.defaultdict(list)
    headers = 0
    for row in rows:
        partitions[row.get("partition")].append(row["offset"])
        got = [(h["key"], h["value"]) for h in row["headers"] or []]
        waiting = sent[row["value"], int(row["timestamp"].timestamp()) * 1000]
        if got in waiting:
            waiting.remove(got)
            headers += 1
    dense = all(offsets == list(range(len(offsets))) for offsets in partitions.values())
    return headers, dense


def headers_sent(flights):
    sent = collections.defaultdict(list)
    for f in flights:
        sent[f.line, f.timestamp].append(f.headers)
    return sent


# --- the comparison


def objects_of(bucket):
    """Every data object; each must be L0, which is what this test is about."""
    paths = sorted(pathlib.Path(bucket, "data").rglob("*.arrow"))
    if not paths:
        sys.exit("interop: there is no object in the bucket")
    for path in paths:
        columns = pa.ipc.open_file(path).schema.names
        if columns != ["timestamp", "key", "value", "headers"]:
            sys.exit(f"interop: {path} has the columns {columns}: not those of an L0 object")
    return paths


def accounts(topic, bucket, flights):
    """Each reader's name, its source, and what it found."""
    paths = objects_of(bucket)
    where = f"{len(paths)} objects in the bucket"
    yield "PyArrow", where, arrow_objects(paths)
    yield "Polars", where, polars_objects(paths)
    yield "Polars, lazily", where, polars_scan(paths)

    body = ask("GET", topic + "/records?from=earliest", Accept=STREAM)
    where = f"one stream over HTTP, {len(body)} bytes"
    yield "PyArrow", where, arrow_stream(body, headers_sent(flights))
    yield "Polars", where, polars_stream(body, headers_sent(flights))

    parts = [ask("GET", f"{topic}/partitions/{p}/records?offset=0&limit=1000000", Accept=STREAM)
             for p in range(PARTITIONS)]
    where = f"{PARTITIONS} partitions over HTTP"
    tables = [pa.ipc.open_stream(part).read_all() for part in parts]
    yield "PyArrow", where, arrow_account(pa.concat_tables(tables))
    yield "Polars", where, polars_account(pl.concat([pl.read_ipc_stream(p) for p in parts]))

    columns = "timestamp,key,value"
    body = ask("GET", f"{topic}/records?from=earliest&columns={columns}", Accept=STREAM)
    where = f"columns {columns} over HTTP"
    yield "PyArrow", where, arrow_account(pa.ipc.open_stream(body).read_all())
    yield "Polars", where, polars_account(pl.read_ipc_stream(body))


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--foz", required=True, help="the binary")
    flags.add_argument("--flights", required=True, help="events, NDJSON compressed with zstd")
    flags = flags.parse_args()

    flights = read_flights(flags.flights)
    want = expectation(flights)
    if want.rows != 20_000:
        sys.exit(f"interop: {want.rows} flights, not 20,000")
    print(f"pyarrow {pa.__version__}, polars {pl.__version__}, python {sys.version.split()[0]}")
    failed = 0
    with tempfile.TemporaryDirectory() as bucket, node(flags.foz, bucket) as urls:
        topic = urls["service"] + "/v1/topics/flights"
        sent = produce(topic, flights)
        print("sent: " + ", ".join(f"{n} rows {name}" for name, n in sent.items()))
        line = "{:<15} {:<38} {:>6} {:>8} {:>9} {:>8} {:>8} {:>8}  {:<16} {}"
        print(line.format("reader", "source", "rows", "delays", "distances", "airports",
                          "headers", "offsets", "digest", ""))
        show = lambda who, where, a, verdict: print(line.format(
            who, where, a.rows, a.delay_sum, a.distance_sum, len(a.mean_delays),
            "-" if a.headers is None else a.headers,
            "-" if a.offsets is None else "dense" if a.offsets else "WRONG", a.digest, verdict))
        show("plain Python", "the input", want, "")
        for who, where, got in accounts(topic, bucket, flights):
            wrong = list(got.differences(want))
            show(who, where, got, "DIFFERS" if wrong else "same")
            for difference in wrong:
                print(f"    {difference}")
            failed += bool(wrong)
        busiest = collections.Counter(f.origin for f in flights).most_common(5)
        print("mean delays compared at all airports, at the busiest: " + ", ".join(
            f"{origin} {want.mean_delays[origin]:.2f} min" for origin, _ in busiest))
    if failed:
        sys.exit(f"interop: {failed} readers found something else than was put in")


if __name__ == "__main__":
    main()
