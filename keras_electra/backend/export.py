"""Graphs of networks for programs that have neither Keras nor this package.

A framework traces the plain layers: kernels are what no other program has.
"""

import os
import warnings
from typing import Any

import keras
import numpy as np

from keras_electra.backend.numerics import plain_layers

INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # as transformers
TRACERS = {"onnx": "torch", "torch": "torch", "tf_saved_model": "tensorflow"}


def trace(network: Any, function: Any, rank: int, form: Any, path: Any) -> None:
    """Writes a graph by one of `TRACERS`: on its backend, on a CPU.

    `function` runs `network`, a `keras.Model` in float32, on tensors called
    `INPUTS` of `rank` axes, all of any size, and returns a dict.
    """
    run = _trace_torch if TRACERS[form] == "torch" else _trace_tensorflow
    with plain_layers(), warnings.catch_warnings(action="ignore"):
        run(network, function, rank, form, path)


def _trace_torch(network, function, rank, form, path):
    import torch

    module = torch.nn.Module()
    module.network, module.forward = network, function
    # No axis may have the size 1, which would be taken for a constant.
    size = (2, 3, 5)[-rank:]
    samples = tuple(torch.ones(size, dtype=torch.int64) for _ in INPUTS)
    axes = ("batch", "choices", "length") if rank == 3 else ("batch", "length")
    free = dict.fromkeys(range(rank), torch.export.Dim.DYNAMIC)
    with torch.no_grad():
        program = torch.export.export(
            module.eval(),
            samples,
            dynamic_shapes=dict.fromkeys(INPUTS, free),
            strict=False,
        )
    if form == "torch":
        torch.export.save(program, path)
        return
    torch.onnx.export(
        program,
        input_names=list(INPUTS),
        output_names=list(program.module()(*samples)),
        dynamic_shapes=dict.fromkeys(INPUTS, dict(enumerate(axes))),
        dynamo=True,
        verbose=False,
    ).save(path)


def _trace_tensorflow(network, function, rank, form, path):
    import tensorflow as tf

    shape = (None,) * rank
    signature = [tf.TensorSpec(shape, tf.int64, name=name) for name in INPUTS]
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serve", function, input_signature=signature)
    archive.write_out(path, verbose=False)


def to_litert(saved_model, path, int8=False, samples=None):
    """Writes the LiteRT form of a folder; `samples` are dicts of `INPUTS`."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if samples:
        converter.representative_dataset = lambda: (
            ("serving_default", sample) for sample in samples
        )
    path.write_bytes(converter.convert())


def load(form: Any, path: Any) -> Any:
    """A function of a dict of int64 arrays that runs a graph: its outputs."""
    path = os.fspath(path)
    if form == "torch":
        import torch

        network = torch.export.load(path).module()

        def run(x):
            outputs = network(*(torch.from_numpy(x[n]) for n in INPUTS))
            return {n: value.numpy(force=True) for n, value in outputs.items()}
    elif form == "tf_saved_model":
        import tensorflow as tf

        network = tf.saved_model.load(path).signatures["serving_default"]

        def run(x):
            outputs = network(**{n: tf.constant(v) for n, v in x.items()})
            return {n: value.numpy() for n, value in outputs.items()}
    elif form == "litert":
        from ai_edge_litert.interpreter import Interpreter

        network = Interpreter(path, num_threads=os.cpu_count())
        network = network.get_signature_runner()

        def run(x):
            return network(**x)
    elif form == "onnx":
        import onnxruntime

        providers = ["CPUExecutionProvider"]
        network = onnxruntime.InferenceSession(path, providers=providers)
        names = [output.name for output in network.get_outputs()]

        def run(x):
            return dict(zip(names, network.run(names, x)))
    else:
        import openvino

        # Else half precision on some CPUs.
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        network = openvino.Core().compile_model(path, "CPU", exact)

        def run(x):
            outputs = network(x).items()
            return {o.get_any_name(): np.array(value) for o, value in outputs}

    return run
