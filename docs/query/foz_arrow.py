"""Two ways to have a topic's records as Arrow tables: over HTTP, and from the bucket itself.

Both give the columns that are asked for; typed columns of a topic with a schema are among them.
The recipes beside this file use it; copy it, there is nothing of a library to install.
"""

import base64
import datetime
import decimal
import json
import math
import pathlib
import re
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
    arrays, values = {}, None
    for name in columns:
        if name in table.column_names:
            arrays[name] = table[name]
            continue
        values = values or [parse(value) for value in table["value"].to_pylist()]
        kind, convert = KINDS[typed[name]["type"]]
        path = typed[name]["pointer"].split("/")[1:]
        cells = [cell(value, path, convert) for value in values]
        arrays[name] = pa.chunked_array([pa.array(cells, kind)])
    return pa.table(arrays)


# What follows makes the cells that the service makes: what does not fit a column is null in it.
MISFITS = ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError


class Number(str):
    """A JSON number as it is written: a float would round it."""


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


def parse(value):
    try:
        return json.loads(value.decode(), parse_int=Number, parse_float=Number, parse_constant=refuse)
    except MISFITS:
        return None  # a tombstone, or no JSON


def cell(value, path, convert):
    try:
        for step in path:
            step = step.replace("~1", "/").replace("~0", "~")
            value = value[INDEX.fullmatch(step) and int(step) if isinstance(value, list) else step]
        return None if value is None else convert(value)
    except MISFITS:
        return None


def text(value):
    if isinstance(value, Number) or not isinstance(value, str):
        raise TypeError
    short(value.encode())  # half a surrogate pair cannot be encoded
    return value


def short(cell):
    if len(cell) > 64 << 10:
        raise ValueError
    return cell


def number(value):
    if not isinstance(value, Number):
        raise TypeError
    return value


def whole(value, bits=64):
    exact = decimal.Decimal(number(value))  # 3, 3.0 and 0.3e1 are one integer
    if not -(1 << bits - 1) <= exact < 1 << bits - 1 or exact != int(exact):
        raise ValueError
    return int(exact)


def real(value):
    nearest = float(number(value))
    if math.isinf(nearest):
        raise ValueError
    return nearest


def truth(value):
    if not isinstance(value, bool):
        raise TypeError
    return value


def octets(value):
    if isinstance(value, Number):
        raise TypeError
    decoded = base64.b64decode(value, validate=True)
    if base64.b64encode(decoded).decode() != value:
        raise ValueError  # bits are set in what only fills up
    return short(decoded)


def moment(value):
    """RFC 3339 as milliseconds since 1970, rounded down; or a number of them."""
    if isinstance(value, Number):
        return whole(value)
    at, fraction, sign, hours, minutes = MOMENT.fullmatch(text(value)).groups()
    since = datetime.datetime(*map(int, re.split("[-T:]", at))) - datetime.datetime(1970, 1, 1)
    ms = since // datetime.timedelta(milliseconds=1) + int(f"{fraction or 0:0<3}"[:3])
    if int(hours or 0) > 24 or int(minutes or 0) > 60:
        raise ValueError
    east = int(hours or 0) * 60 + int(minutes or 0)
    return ms - int(f"{sign or '+'}1") * east * 60_000


def day(value):
    """A date like 2001-02-03 as days since 1970; or a number of them."""
    if isinstance(value, Number):
        return whole(value, bits=32)
    year, month, day = map(int, DAY.fullmatch(text(value)).groups())
    return (datetime.date(year, month, day) - datetime.date(1970, 1, 1)).days


INDEX = re.compile("0|[1-9][0-9]*")
DAY = re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})")
MOMENT = re.compile("([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.]([0-9]+))?"
                    "(?:Z|([+-])([0-9]{2}):([0-9]{2}))")
KINDS = {
    "bool": (pa.bool_(), truth), "int64": (pa.int64(), whole), "float64": (pa.float64(), real),
    "utf8": (pa.string(), text), "binary": (pa.binary(), octets),
    "timestamp_ms": (pa.timestamp("ms", tz="UTC"), moment), "date32": (pa.date32(), day),
}
