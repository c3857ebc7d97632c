"""Two ways to have a topic's records as Arrow tables: over HTTP, and from the bucket itself.

Both give the columns that are asked for; typed columns of a topic with a schema are among them.
The recipes beside this file use it; copy it, there is nothing of a library to install.
"""

import json
import pathlib
import urllib.parse
import urllib.request

import pyarrow as pa
import pyarrow.ipc as ipc

STREAM = "application/vnd.apache.arrow.stream"


def ask(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return answer.read()


def over_http(service, topic, columns, where=None):
    """All partitions, filtered by the service. A stream that broke has no end, and raises."""
    query = {"columns": ",".join(columns)} | ({"where": where} if where else {})
    url = f"{service}/v1/topics/{topic}/records?{urllib.parse.urlencode(query)}"
    return ipc.open_stream(ask(url, Accept=STREAM)).read_all()


def from_bucket(service, topic, columns, bucket=None):
    """All partitions, by read plans. bucket is a directory; without it the plan has presigned URLs."""
    description = json.loads(ask(f"{service}/v1/topics/{topic}"))
    typed = {c["name"]: c for c in description.get("schema", {}).get("columns", [])}
    tables = []
    for partition in range(description["partitions"]):
        for segment in plan(service, topic, partition, presign=bucket is None):
            tables.append(project(read(segment, bucket), columns, typed))
    return pa.concat_tables(tables) if tables else None


def plan(service, topic, partition, presign):
    """The segments of a partition: one look at the index for each page of it."""
    url = f"{service}/v1/topics/{topic}/partitions/{partition}/segments?presign={str(presign).lower()}"
    more, position = True, ""
    while more:
        page = json.loads(ask(url + position))
        yield from page["segments"]
        more, position = page["has_more"], f"&from={page['next_offset']}"


def read(segment, bucket):
    """A segment's rows: an Arrow stream where it has many record batches, else one batch."""
    start, end = segment["byte_start"], segment["byte_end"]
    if segment["batches"] > 1:
        return ipc.open_stream(fetch(segment, bucket, start, end)).read_all()
    schema = ipc.read_schema(pa.py_buffer(fetch(segment, bucket, 8, start)))
    batch = ipc.read_record_batch(pa.py_buffer(fetch(segment, bucket, start, end)), schema)
    rows = batch.slice(segment["row_start"], segment["row_count"])  # others are no records
    return pa.Table.from_batches([rows])


def fetch(segment, bucket, start, end):
    if bucket is None:
        return ask(segment["url"], Range=f"bytes={start}-{end - 1}")
    with pathlib.Path(bucket, segment["object"]).open("rb") as f:
        f.seek(start)
        return f.read(end - start)


def project(table, columns, typed):
    """Typed columns are stored in large merged objects; elsewhere they are in the JSON values."""
    arrays = {}
    for name in columns:
        if name in table.column_names:
            arrays[name] = table[name]
            continue
        path = typed[name]["pointer"].split("/")[1:]
        cells = [cell(value, path) for value in table["value"].to_pylist()]
        kind = {"int64": pa.int64(), "float64": pa.float64(), "utf8": pa.string(), "bool": pa.bool_()}
        arrays[name] = pa.chunked_array([pa.array(cells, kind[typed[name]["type"]])])
    return pa.table(arrays)


def cell(value, path):
    try:
        at = json.loads(value)
        for step in path:
            at = at[step.replace("~1", "/").replace("~0", "~")]
        return at
    except (ValueError, TypeError, KeyError):
        return None  # a tombstone, or a value that does not fit
