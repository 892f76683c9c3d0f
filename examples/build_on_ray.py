"""Makes pre-training examples with all machines of a Ray cluster.

    python examples/build_on_ray.py "corpus/*.txt" examples/ my_preset

Ray, not Beam: Apache Beam pins a protobuf older than TensorFlow's newest takes.
The folder must be on a disk that all machines share. A part that is lost with
its machine is made again by another; called again, finished parts are kept, as
are the tokens of those that were stopped. Needs `pip install ray`.
"""

import argparse
import os

import keras
import ray

import keras_electra


@ray.remote(num_cpus=1, max_retries=3)
def build_part(index, count, files, folder, preset, settings):
    """Tokenizes one part; returns its number."""
    tokenizer = keras_electra.ElectraTokenizer.from_preset(preset)
    keras_electra.build_examples(
        files, folder, tokenizer, **settings, part=(index, count), verbose=False
    )
    return index


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help="texts, or patterns of them")
    parser.add_argument("folder", help="of the examples, on a shared disk")
    parser.add_argument("preset", help="whose tokenizer is used")
    parser.add_argument("--parts", type=int, help="by default the CPUs there")
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--validation-fraction", type=float, default=0.01)
    args = parser.parse_args()
    settings = {
        "sequence_length": args.sequence_length,
        "validation_fraction": args.validation_fraction,
    }
    # RAY_ADDRESS is that of a cluster; without, it is this machine.
    ray.init(
        runtime_env={"env_vars": {"KERAS_BACKEND": keras.config.backend()}},
        include_dashboard=False,
        log_to_driver=False,
    )
    count = args.parts or int(ray.cluster_resources()["CPU"])
    files = [os.path.abspath(f) if "://" not in f else f for f in args.files]
    given = files, os.path.abspath(args.folder), args.preset, settings
    waiting = [build_part.remote(i, count, *given) for i in range(count)]
    while waiting:
        done, waiting = ray.wait(waiting)
        for index in ray.get(done):  # raises what went wrong in a part
            print(f"part {index} of {count} is done, {len(waiting)} to go")
    ray.shutdown()
    keras_electra.merge_examples(given[1])


if __name__ == "__main__":
    main()
