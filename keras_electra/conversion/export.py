"""Folders with the graph of a task and all that other programs need for it.

transformers.js and sentence-transformers open them, and a loop of ten lines
with `tokenizers`. A backend that has no graph of a form saves the task, and a
process with another backend opens and traces it.
"""

import logging
import os
import subprocess
import sys
import tempfile
from typing import Any

import keras
from keras import ops

import keras_electra.backend.export as graphs
from keras_electra.arguments import check_option
from keras_electra.backend.files import write_json
from keras_electra.backend.numerics import on_accelerator
from keras_electra.conversion import hugging_face
from keras_electra.conversion import parity
from keras_electra.conversion import tokenizer_files
from keras_electra.conversion.heads import head_of
from keras_electra.conversion.heads import write_embedder
from keras_electra.presets import EXPORTERS
from keras_electra.presets import METADATA

# Where graphs are, in full precision and in eight bits.
PLACES: dict[str, Any] = {
    "onnx": ("onnx/model.onnx", "onnx/model_quantized.onnx"),
    "openvino": (
        "openvino/openvino_model.xml",
        "openvino/openvino_model_qint8_quantized.xml",
    ),
    "litert": ("model.tflite", "model_quantized.tflite"),
    "tf_saved_model": ("saved_model",),
    "torch": ("model.pt2",),
}
MADE_OF = {"openvino": "onnx", "litert": "tf_saved_model"}
OLD_FILES: tuple[Any, ...] = (  # which a new export replaces, or takes away
    *("onnx/model*.onnx", "openvino/openvino_model*", "model*.tflite"),
    *("model.pt2", "saved_model/**/*", "1_Pooling/config.json"),
    *("modules.json", "sentence_bert_config.json"),
)
SUFFIXES = (".onnx", ".xml", ".tflite", ".pt2", ".keras")
CHILD = """
import sys
import keras_electra
from keras_electra.conversion import export
name, preset, form, path = sys.argv[1:]
task = getattr(keras_electra, name).from_preset(preset, dtype="float32")
export.trace(task, form, path)
"""


def trace(task: Any, form: Any, path: Any) -> None:
    """Writes one of `graphs.TRACERS` on this backend."""
    network = task
    if hasattr(task, "pooling"):  # sentence-transformers pools by itself
        layer = task.backbone.transformer_layers[task.layer - 1]
        outputs = {"last_hidden_state": layer.output}
        outputs["sentence_embedding"] = task.output
        network = keras.Model(task.input, outputs)

    def function(input_ids, attention_mask, token_type_ids):
        inputs = (input_ids, attention_mask, token_type_ids)
        ids, mask, types = (ops.cast(each, "int32") for each in inputs)
        # A tagger's may always be 1, which tokenizers do not know.
        always = getattr(task.preprocessor, "segment_id", 0)
        types = ops.maximum(types, always * mask)
        x = {"token_ids": ids, "padding_mask": mask, "segment_ids": types}
        if "mask_positions" in task.input:  # a word for every token
            x["mask_positions"] = ops.cumsum(ops.ones_like(ids), axis=-1) - 1
        return parity.named_outputs(task, network(x, training=False))

    rank = len(task.input["token_ids"].shape)
    graphs.trace(network, function, rank, form, os.fspath(path))


def _trace_anywhere(task, form, path):
    """As `trace`, in float32, and in a process with the backend that can."""
    backend, cls = graphs.TRACERS[form], type(task)
    is_here = keras.config.backend() == backend and not on_accelerator()
    if is_here and task.dtype_policy.name == "float32":
        trace(task, form, path)
        return
    if not is_here and not cls.__module__.startswith("keras_electra."):
        raise ValueError(
            f"`{cls.__name__}`, a class of your own, can be exported to "
            f"{form!r} on a CPU on the backend {backend} only, not on another."
        )
    with tempfile.TemporaryDirectory() as preset:
        task.save_to_preset(preset)
        if is_here:
            trace(cls.from_preset(preset, dtype="float32"), form, path)
            return
        paths = os.pathsep.join(filter(None, sys.path))
        settings = {"KERAS_BACKEND": backend, "PYTHONPATH": paths}
        done = subprocess.run(
            [sys.executable, "-c", CHILD, cls.__name__, preset, form, path],
            env={**os.environ, **settings, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise RuntimeError(
            f"The format {form!r} is made by the backend {backend}, in a "
            f"process of its own, which failed: is it installed? `pip install "
            f"{backend}`. It says: {done.stderr[-800:]}"
        )


def write(task, folder, format, quantize, calibration, validation_data):
    """One of `EXPORTERS`: writes a folder, as `ElectraTask.export` says."""
    _check(task, folder.parent, format, quantize, calibration)
    paths = [folder / place for place in PLACES[format][: 2 if quantize else 1]]
    paths[0].parent.mkdir(exist_ok=True)
    samples = None
    if calibration is not None:
        rows = parity.batches_of(task, calibration, size=1)
        samples = [parity.graph_inputs(x) for x, *_ in rows]
    level, form = logging.root.manager.disable, MADE_OF.get(format, format)
    logging.disable(logging.WARNING)  # of converters about themselves
    try:
        with tempfile.TemporaryDirectory() as scratch:
            source = paths[0] if form == format else f"{scratch}/{form}"
            _trace_anywhere(task, form, source)
            if format == "openvino":
                _to_openvino(source, paths, samples)
            elif format == "litert":
                for path in paths:
                    graphs.to_litert(source, path, path != paths[0], samples)
            elif quantize:
                _quantize_onnx(*map(os.fspath, paths), samples)
    except ImportError as error:
        raise ImportError(
            f"`export` to {format!r} needs {error.name}: `pip install "
            '"keras-electra[export]"`.'
        ) from error
    finally:
        logging.disable(level)
    old = (path for old in OLD_FILES for path in folder.parent.glob(old))
    for path in [path for path in old if path.is_file()]:
        path = folder / path.relative_to(folder.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()  # an empty file is removed from there
    _write_texts(task, folder)
    parity.write_report(task, format, folder, paths, validation_data)


def _check(task, target, format, quantize, calibration):
    """Raises a `ValueError` for what cannot be exported so."""
    check_option("format", format, PLACES)
    known = (None, "int8")[: len(PLACES[format])]
    check_option(f"quantize of {format}", quantize, known)
    name = type(task).__name__
    if (target / METADATA).exists() or target.suffix in SUFFIXES:
        raise ValueError(
            "`filepath` must be a folder of its own, of no preset and no "
            f"single file. Received: {str(target)!r}."
        )
    if task.preprocessor is None:
        raise ValueError(f"`export` of {name} needs a `preprocessor`.")
    if "verbalizer_mask" in task.input:
        raise ValueError(
            f"`export` has no form for the prompts of {name}. "
            "`export_to_transformers` writes its discriminator."
        )
    if calibration is not None and not quantize:
        raise ValueError('`calibration` is for `quantize="int8"`.')
    for layer in task._flatten_layers():
        if layer.quantization_mode:
            raise ValueError(
                f"{name} is quantized to {layer.quantization_mode} by Keras, "
                "which no graph holds. Export it before that, with "
                '`quantize="int8"`.'
            )


def _quantize_onnx(source, target, samples):
    from onnxruntime import quantization

    options = {"per_channel": True, "weight_type": quantization.QuantType.QInt8}
    if samples is None:
        quantization.quantize_dynamic(source, target, **options)
        return
    base = quantization.CalibrationDataReader
    rest = iter([*samples, None])
    reader = type("Reader", (base,), {"get_next": lambda self: next(rest)})
    options["op_types_to_quantize"] = ["MatMul", "Gemm", "Gather"]
    quantization.quantize_static(source, target, reader(), **options)


def _to_openvino(source, paths, samples):
    import openvino

    network = openvino.convert_model(source)
    openvino.save_model(network, paths[0], compress_to_fp16=False)
    for path in paths[1:]:
        import nncf

        if samples is None:
            mode = nncf.CompressWeightsMode.INT8_ASYM
            network = nncf.compress_weights(network, mode=mode)
        else:
            kind, data = nncf.ModelType.TRANSFORMER, nncf.Dataset(samples)
            network = nncf.quantize(network, data, model_type=kind)
        openvino.save_model(network, path, compress_to_fp16=False)


def _write_texts(task, folder):
    """Writes the tokenizer and the configurations of all who may open it."""
    tokenizer, length = parity.texts_of(task)
    tokenizer_files.write_tokenizer(tokenizer, folder, length)
    head, simple = head_of(type(task)), (int, float, str, list, type(None))
    config = hugging_face.config_of(task, head)
    own = {n: v for n, v in task.get_config().items() if isinstance(v, simple)}
    if isinstance(task.output, dict):  # else it is in the graph
        own["calibration"] = getattr(task, "calibration", None)
    own = {"task": type(task).__name__, "length": length, **own}
    config["keras_electra"] = own
    if task.label_encoder is not None:
        config.update(head.settings(task))
    if hasattr(task, "pooling"):
        config["num_hidden_layers"] = task.layer
        write_embedder(task, folder, length)
    write_json(folder / hugging_face.CONFIG, config)


EXPORTERS["graph"] = write
