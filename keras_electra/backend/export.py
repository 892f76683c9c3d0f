"""Graphs of networks for programs that have neither Keras nor this package.

A framework traces the plain layers: kernels are what no other program has.
"""

import os
import warnings

import keras
import numpy as np

from keras_electra.backend.numerics import plain_layers

INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # as transformers
TRACERS = {"onnx": "torch", "torch": "torch", "tf_saved_model": "tensorflow"}


def trace(model, function, rank, form, path):
    """Writes a graph of `function(model, *INPUTS)`, a dict of outputs.

    Args:
        model: `keras.Model` in float32, on a CPU, on the backend of `TRACERS`.
        function: of the model and int tensors in the order of `INPUTS`.
        rank: int. Axes of the tensors, all of any size.
        form: string. One of `TRACERS`.
        path: string. Of the file, or of the folder of `"tf_saved_model"`.
    """
    quiet = warnings.catch_warnings(action="ignore")
    with plain_layers(), quiet:
        if TRACERS[form] == "torch":
            _trace_torch(model, function, rank, form, path)
        else:
            _trace_tensorflow(model, function, rank, path)


def _trace_torch(model, function, rank, form, path):
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, token_type_ids):
            return function(model, input_ids, attention_mask, token_type_ids)

    # No axis may have the size 1, which would be taken for a constant.
    size = (2, 3, 5)[-rank:]
    samples = tuple(torch.ones(size, dtype=torch.int64) for _ in INPUTS)
    axes = ("batch", "choices", "length") if rank == 3 else ("batch", "length")
    sizes = [torch.export.Dim.DYNAMIC] * rank
    with torch.no_grad():
        program = torch.export.export(
            Network().eval(),
            samples,
            dynamic_shapes={name: dict(enumerate(sizes)) for name in INPUTS},
            strict=False,
        )
    if form == "torch":
        torch.export.save(program, path)
        return
    names = list(program.module()(*samples))
    program = torch.onnx.export(
        program,
        input_names=list(INPUTS),
        output_names=names,
        dynamic_shapes={name: dict(enumerate(axes)) for name in INPUTS},
        dynamo=True,
        verbose=False,
    )
    program.save(path)


def _trace_tensorflow(model, function, rank, path):
    import tensorflow as tf

    def serve(input_ids, attention_mask, token_type_ids):
        return function(model, input_ids, attention_mask, token_type_ids)

    shape = (None,) * rank
    signature = [tf.TensorSpec(shape, tf.int64, name=name) for name in INPUTS]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, input_signature=signature)
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
    with open(path, "wb") as file:
        file.write(converter.convert())


def load(form, path):
    """A function of a dict of int64 arrays that runs a graph: its outputs."""
    path, threads = os.fspath(path), os.cpu_count()
    if form == "torch":
        import torch

        network = torch.export.load(path).module()

        def run(x):
            with torch.no_grad():
                outputs = network(*(torch.from_numpy(x[n]) for n in INPUTS))
            return {name: value.numpy() for name, value in outputs.items()}
    elif form == "tf_saved_model":
        import tensorflow as tf

        network = tf.saved_model.load(path).signatures["serving_default"]

        def run(x):
            x = {name: tf.constant(value) for name, value in x.items()}
            return {n: v.numpy() for n, v in network(**x).items()}
    elif form == "litert":
        from ai_edge_litert.interpreter import Interpreter

        network = Interpreter(path, num_threads=threads).get_signature_runner()

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
