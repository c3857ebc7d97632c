"""Mean delay by origin, with Polars: python with_polars.py SERVICE TOPIC [http|plan [BUCKET]]"""

import sys

import foz_arrow
import polars as pl


def mean_delays(frame):
    delay = pl.col("delay")
    by_origin = frame.group_by("origin").agg(delay.mean().alias("mean"), delay.count().alias("count"))
    return {row["origin"]: (row["mean"], row["count"]) for row in by_origin.to_dicts()}


def main(service, topic, way="http", bucket=None):
    columns = ["origin", "delay"]
    if way == "plan":
        return mean_delays(pl.from_arrow(foz_arrow.from_bucket(service, topic, columns, bucket)))
    url = f"{service}/v1/topics/{topic}/records?columns={','.join(columns)}"
    return mean_delays(pl.read_ipc_stream(foz_arrow.ask(url, Accept=foz_arrow.STREAM)))


if __name__ == "__main__":
    for origin, (mean, count) in sorted(main(*sys.argv[1:]).items()):
        print(f"{origin},{mean:.6f},{count}")
