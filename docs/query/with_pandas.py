"""Mean delay by origin, with pandas: python with_pandas.py SERVICE TOPIC [http|plan [BUCKET]]"""

import sys

import foz_arrow


def mean_delays(frame):
    by_origin = frame.groupby("origin")["delay"].agg(["mean", "count"])
    return {origin: (row["mean"], int(row["count"])) for origin, row in by_origin.iterrows()}


def main(service, topic, way="http", bucket=None):
    columns = ["origin", "delay"]
    if way == "plan":
        return mean_delays(foz_arrow.from_bucket(service, topic, columns, bucket).to_pandas())
    return mean_delays(foz_arrow.over_http(service, topic, columns).to_pandas())


if __name__ == "__main__":
    for origin, (mean, count) in sorted(main(*sys.argv[1:]).items()):
        print(f"{origin},{mean:.6f},{count}")
