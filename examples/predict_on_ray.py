"""As `predict_many.py`, with all machines of a Ray cluster.

    python examples/predict_on_ray.py my_model classify "texts/*.parquet" out/

Adds a column `prediction` of JSON, of a bad row with its `error`, and writes
Parquet. RAY_ADDRESS is that of a cluster; without, it is this machine. Needs
`pip install -e ".[ray]"`.
"""

import glob
import json
import os
import sys

import keras
import predict_many
import ray

import keras_electra

READERS = {"csv": "read_csv", "jsonl": "read_json", "parquet": "read_parquet"}


class Predictor:
    """Opens a preset once in each process of Ray."""

    def __init__(self, preset, method):
        cls = getattr(keras_electra, predict_many.CLASSES[method])
        self.method = getattr(cls.from_preset(preset), method)

    def __call__(self, batch):
        rows = [{"text": text} for text in batch["text"]]
        rows = predict_many.parse("", "", 0, rows, ["text"])
        rows = predict_many.predict(self.method, rows)
        found = [row.get("prediction", row) for row in rows]  # or why not
        found = [json.dumps(x, default=predict_many.plain) for x in found]
        return {**batch, "prediction": found}


def main(preset, method, files, output, workers=1):
    here = os.path.dirname(os.path.abspath(__file__))
    here = os.pathsep.join([here, *filter(None, sys.path)])
    variables = {"KERAS_BACKEND": keras.config.backend(), "PYTHONPATH": here}
    ray.init(runtime_env={"env_vars": variables}, include_dashboard=False)
    read = getattr(ray.data, READERS.get(files.split(".")[-1], "read_text"))
    rows = read(sorted(map(os.path.abspath, glob.glob(files))) or files)
    pool = ray.data.ActorPoolStrategy(size=int(workers))
    given = {"fn_constructor_args": (preset, method), "batch_size": 1024}
    rows = rows.map_batches(Predictor, compute=pool, **given)
    rows.write_parquet(output if "://" in output else os.path.abspath(output))


if __name__ == "__main__":
    main(*sys.argv[1:])
