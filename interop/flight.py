"""Puts and gets the flights over Arrow Flight, with PyArrow, and compares with what was put in.

How: the expectation is compare.py's, counted in plain Python before foz has seen a flight. Half of
the flights are put by one thread while another half comes over HTTP; then the endpoints of one
FlightInfo are read in parallel, and must hold each flight once. Every way to read is an Account of
its own.
"""

import argparse
import collections
import concurrent.futures
import json
import sys
import tempfile
import threading

import pyarrow as pa
import pyarrow.flight as fl

import compare

TOPIC = fl.FlightDescriptor.for_path("flights")


def put(client, flights):
    """Puts flights in one stream: how many were acknowledged."""
    _, body = compare.as_pyarrow(flights)
    table = pa.ipc.open_stream(body).read_all()
    writer, acks = client.do_put(TOPIC, table.schema)
    with writer:
        writer.write_table(table, max_chunksize=500)
        writer.done_writing()
        count = 0
        while (ack := acks.read()) is not None:
            count += json.loads(ack.to_pybytes())["count"]
    return count


def endpoints(client, descriptor):
    """All endpoints of a FlightInfo, read in parallel: its table, and the info."""
    info = client.get_flight_info(descriptor)

    def read(endpoint):
        table = client.do_get(endpoint.ticket).read_all()
        if table.schema != info.schema:
            sys.exit(f"interop: {endpoint.ticket} has the schema {table.schema}")
        return table

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(read, info.endpoints))
    return pa.concat_tables(tables), info


def accounts(client, flights):
    """Every way to read the topic: (source, Account)."""
    sent = compare.headers_sent
    names = [i.descriptor.path for i in client.list_flights()]
    if names != [[b"flights"]]:
        sys.exit(f"interop: Flight lists {names}")

    table, info = endpoints(client, TOPIC)
    if info.total_records != len(flights) or len(info.endpoints) < compare.PARTITIONS:
        sys.exit(f"interop: {info.total_records} records behind {len(info.endpoints)} endpoints")
    yield f"{len(info.endpoints)} endpoints at once", compare.arrow_account(
        table, *compare.stream_account(table.to_pylist(), sent(flights)))

    command = fl.FlightDescriptor.for_command("/v1/topics/flights/records?columns=timestamp,key,value")
    table, _ = endpoints(client, command)
    yield "endpoints of three columns", compare.arrow_account(table)

    ticket = next(iter(client.list_flights())).endpoints[0].ticket
    table = client.do_get(ticket).read_all()
    yield "one stream of all", compare.arrow_account(
        table, *compare.stream_account(table.to_pylist(), sent(flights)))

    parts = []
    for p in range(compare.PARTITIONS):
        descriptor = fl.FlightDescriptor.for_path("flights", str(p))
        table, info = endpoints(client, descriptor)
        middle = info.total_records // 2  # two tickets by hand, which meet
        for bounds in f"end_offset={middle}", f"offset={middle}":
            ticket = f"/v1/topics/flights/partitions/{p}/records?{bounds}"
            parts.append(client.do_get(fl.Ticket(ticket)).read_all())
        if pa.concat_tables(parts[-2:]) != table:
            sys.exit(f"interop: partition {p} is not the sum of its halves")
    yield "tickets by hand, two per partition", compare.arrow_account(pa.concat_tables(parts))


def late(client, topic, flights):
    """Whether a filtered read of typed columns finds the flights that are over an hour late."""
    columns = [{"name": "delay", "type": "int64"}, {"name": "origin", "type": "utf8"}]
    compare.ask("PATCH", topic, json.dumps({"schema": {"columns": columns}}).encode(),
                Content_Type="application/merge-patch+json")
    command = "/v1/topics/flights/records?columns=origin,delay&where=delay > 60"
    table, info = endpoints(client, fl.FlightDescriptor.for_command(command))
    got = collections.Counter(zip(table["origin"].to_pylist(), table["delay"].to_pylist()))
    want = collections.Counter((f.origin, f.delay) for f in flights if f.delay > 60)
    print(f"PyArrow Flight  {'two typed columns, where delay > 60':<36} {table.num_rows:>6} rows  "
          + ("same" if got == want else f"DIFFERS: {sum(want.values())} expected"))
    return bool(want) and got == want and info.total_records == -1


def refusals(client):
    """What must not work, and how PyArrow is told."""
    table = pa.table({"nope": [1]})
    for kind, call in (
        (KeyError, lambda: client.do_get(fl.Ticket("/v1/topics/none/records")).read_all()),
        (pa.ArrowInvalid, lambda: client.do_get(fl.Ticket("/v1/cluster")).read_all()),
        (pa.ArrowInvalid, lambda: put_table(client, table)),
        (pa.ArrowNotImplementedError, lambda: list(client.do_action("drop"))),
    ):
        try:
            call()
        except kind:
            continue
        sys.exit(f"interop: {kind.__name__} was not raised")


def put_table(client, table):
    writer, _ = client.do_put(TOPIC, table.schema)
    with writer:
        writer.write_table(table)


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--foz", required=True, help="the binary")
    flags.add_argument("--flights", required=True, help="events, NDJSON compressed with zstd")
    flags = flags.parse_args()

    flights = compare.read_flights(flags.flights)
    want = compare.expectation(flights)
    half = len(flights) // 2
    failed = 0
    with tempfile.TemporaryDirectory() as bucket, \
            compare.node(flags.foz, bucket, "--flight", "127.0.0.1:0") as urls:
        client = fl.connect(urls["flight"])
        topic = urls["service"] + "/v1/topics/flights"
        compare.ask("PUT", topic, json.dumps({"partitions": compare.PARTITIONS}).encode())
        others = threading.Thread(target=compare.produce, args=(topic, flights[half:]))
        others.start()
        if (count := put(client, flights[:half])) != half:
            sys.exit(f"interop: {count} of {half} flights are acknowledged")
        others.join()
        for source, got in accounts(client, flights):
            wrong = list(got.differences(want))
            print(f"PyArrow Flight  {source:<36} {got.rows:>6} rows, digest {got.digest}  "
                  + ("DIFFERS" if wrong else "same"))
            for difference in wrong:
                print(f"    {difference}")
            failed += bool(wrong)
        failed += not late(client, topic, flights)
        refusals(client)
        client.close()
    if failed:
        sys.exit(f"interop: {failed} reads found something else than was put in")


if __name__ == "__main__":
    main()
