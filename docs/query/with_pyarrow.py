"""Mean delay by origin, with PyArrow: python with_pyarrow.py SERVICE TOPIC [http|plan [BUCKET]]"""

import sys

import foz_arrow


def mean_delays(table):
    by_origin = table.group_by("origin").aggregate([("delay", "mean"), ("delay", "count")])
    return {row["origin"]: (row["delay_mean"], row["delay_count"]) for row in by_origin.to_pylist()}


def main(service, topic, way="http", bucket=None):
    columns = ["origin", "delay"]
    if way == "plan":
        return mean_delays(foz_arrow.from_bucket(service, topic, columns, bucket))
    return mean_delays(foz_arrow.over_http(service, topic, columns))


if __name__ == "__main__":
    for origin, (mean, count) in sorted(main(*sys.argv[1:]).items()):
        print(f"{origin},{mean:.6f},{count}")
