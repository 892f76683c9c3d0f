"""Predicts for millions of rows with all machines of a Ray cluster.

    python examples/predict_on_ray.py my_model classify "texts/*.parquet" out/

Reads what `ray.data` reads (Parquet, CSV, JSON lines, text), at any address;
adds a column `prediction`, as JSON, and writes Parquet. RAY_ADDRESS is that of
a cluster; without, it is this machine. Needs `pip install -e ".[ray]"`.
"""

import argparse
import glob
import json

import predict_many
import ray

import keras_electra

READERS = {"csv": "read_csv", "jsonl": "read_json", "parquet": "read_parquet"}


class Predictor:
    """Opens a preset once in each process of Ray."""

    def __init__(self, preset, method, field):
        cls = getattr(keras_electra, predict_many.CLASSES[method])
        self.method = getattr(cls.from_preset(preset), method)
        self.field = field

    def __call__(self, batch):
        rows = [{"x": [str(text)]} for text in batch[self.field]]
        rows = predict_many.predict(self.method, rows)
        found = [json.dumps(row, default=predict_many.plain) for row in rows]
        return {**batch, "prediction": found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("preset", "method", "files", "output"):
        parser.add_argument(name)
    parser.add_argument("--field", default="text")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    reader = READERS.get(args.files.rsplit(".", 1)[-1], "read_text")
    files = sorted(glob.glob(args.files)) or args.files
    rows = getattr(ray.data, reader)(files).map_batches(
        Predictor,
        fn_constructor_args=(args.preset, args.method, args.field),
        batch_size=1024,
        concurrency=args.workers,
    )
    rows.write_parquet(args.output)


if __name__ == "__main__":
    main()
