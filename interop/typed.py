"""Asks for columns of every type, of values that fit them and of values that do not.

How: a topic has each value of a list in each of its columns. What the service makes of them, over
HTTP, and what docs/query/foz_arrow.py makes of the JSON in the bucket's files must be equal,
cell by cell; and again when some objects are merged, so that they have the columns themselves, and
others are not.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import pyarrow as pa
import pyarrow.ipc as ipc

from compare import ask, node

RECIPES = pathlib.Path(__file__).parent.parent / "docs" / "query"
TYPES = ["bool", "int64", "float64", "utf8", "binary", "timestamp_ms", "date32"]
SCHEMA = {"columns": [{"name": f"{t}_", "type": t, "pointer": "/v"} for t in TYPES]
          + [{"name": f"{t}_in", "type": t, "pointer": "/in/1/a~1b"} for t in TYPES]}
COLUMNS = [c["name"] for c in SCHEMA["columns"]]
MEMBERS = """null true false 0 -0 3 3.0 0.3e1 30e-1 3.5 -7 1e400 -1e400 1e-400 1e19 1e99999999999999999999
9223372036854775807 9223372036854775808 -9223372036854775808 9007199254740993.0 2147483648 -2147483649
"" "text" "true" "3" "2001-02-03" "1969-12-31" "2001-02-30" "2001-2-3" "20010203" "0001-01-01"
"2001-02-03T04:05:06Z" "2001-02-03T04:05:06.7899Z" "1969-12-31T23:59:59.9999Z"
"2001-02-03T04:05:06+05:30" "2001-02-03T04:05:06-23:59" "2001-02-03T04:05:06+24:60"
"2001-02-03T04:05:06+25:00" "2001-02-03T24:00:00Z" "2001-02-03T04:05:60Z" "2001-02-03T4:05:06Z"
"2001-02-03T04:05:06,5Z" "2001-02-03T04:05:06" "2001-02-03t04:05:06z" "2001-02-03T04:05:06.1234567891234Z"
"YQ==" "YR==" "YQ" "YWJj" "YW Jj" "YW\\nJj" "-_-_" "+/+/" "\\ud800" "\\ud83d\\ude00" "\u00e9" [] [1] {} {"a":1}
""".split()
LONG = ['"' + "x" * n + '"' for n in (65536, 65537)] + ['"' + "AAAA" * n + '"' for n in (21845, 21846)]


def lines():
    for m in MEMBERS + ['"YW Jj"'] + LONG:
        yield f'{{"v":{m},"in":[0,{{"a/b":{m}}}]}}'
        yield f'{{"v":0,"v":{m},"in":{{"1":{{"a/b":{m}}}}}}}'
    yield from ["null", "3", "[]", "{}", "no JSON", '{"v":3} ', '{"v":NaN}', '{"v":3}x', '{"v":+3}', '{"v":03}']


def plain(column):
    """Times as numbers: Python has not as many years."""
    as_number = {pa.timestamp("ms", tz="UTC"): pa.int64(), pa.date32(): pa.int32()}
    return column.cast(as_number.get(column.type, column.type)).to_pylist()


def same(url, bucket, when):
    from foz_arrow import from_bucket, over_http
    want = over_http(url, "odd", COLUMNS)
    got = from_bucket(url, "odd", COLUMNS, bucket)
    differ = [name for name in COLUMNS
              if got[name].type != want[name].type or plain(got[name]) != plain(want[name])]
    cells = sum(len(want) - want[name].null_count for name in COLUMNS)
    print(f"typed columns, {when}: {len(want)} records, {cells} cells:", "DIFFERS" if differ else "same")
    for name in differ:
        values = over_http(url, "odd", ["value"])["value"].to_pylist()
        for value, a, b in zip(values, plain(want[name]), plain(got[name])):
            if a != b:
                print(f"  {name} of {value[:80]}: the service has {a}, foz_arrow.py {b}")
    return not differ and cells > 0


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--foz", required=True, help="the binary")
    flags.add_argument("--flights", required=True, help="of the other scripts; not read")
    flags = flags.parse_args()
    sys.path.insert(0, str(RECIPES))
    small = ("--segment-bytes", "1MiB")  # so that little is enough to be merged into columns
    with tempfile.TemporaryDirectory() as bucket, node(flags.foz, bucket, *small) as urls:
        url = urls["service"]
        ask("PUT", url + "/v1/topics/odd", json.dumps({"partitions": 1, "schema": SCHEMA}).encode())
        odd = "\n".join(lines()).encode()
        ask("POST", url + "/v1/topics/odd/records", odd, Content_Type="application/x-ndjson")
        ok = same(url, bucket, "in the values")
        for _ in range(12):
            ask("POST", url + "/v1/topics/odd/records", odd, Content_Type="application/x-ndjson")
        ask("POST", url + "/v1/maintenance", b'{"run":["merge"]}', Content_Type="application/json")
        ask("POST", url + "/v1/topics/odd/records", odd, Content_Type="application/x-ndjson")
        ok = same(url, bucket, "in columns and in values") and ok
        typed = [p for p in pathlib.Path(bucket, "data").rglob("*.arrow")
                 if "int64_" in ipc.open_file(str(p)).schema.names]
        print(f"{len(typed)} merged objects have the columns of the schema")
    if not ok or not typed:
        sys.exit("interop: typed columns are not what the service makes of them")


if __name__ == "__main__":
    main()
