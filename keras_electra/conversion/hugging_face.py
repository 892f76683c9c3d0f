"""The form of transformers, read and written: a folder or a hub repository.

Its names are the original's with dots, and dense kernels are transposed. One
network is in safetensors or PyTorch's pickled form, in one file or several.
"""

import functools
import os
import re
import warnings
from typing import Any

import ml_dtypes  # noqa: F401  makes NumPy know bfloat16
import numpy as np
import safetensors.numpy

from keras_electra.arguments import check_number
from keras_electra.arguments import check_option
from keras_electra.backend.files import load_pickle
from keras_electra.backend.files import naming
from keras_electra.backend.files import read_json
from keras_electra.backend.files import write_json
from keras_electra.conversion import heads
from keras_electra.conversion import tokenizer_files
from keras_electra.conversion import weights

CONFIG = "config.json"
SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"
WEIGHT_FILES = (SAFETENSORS, SAFETENSORS + INDEX, PICKLE, PICKLE + INDEX)
APPROXIMATE = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")
ACTIVATIONS = {  # `hidden_act` of transformers -> `activation` here
    **{name: name for name in ("gelu", "relu", "silu", "tanh")},
    **{"gelu_python": "gelu", "swish": "silu"},
    **dict.fromkeys(APPROXIMATE, "gelu_approximate"),
}
HIDDEN_ACT = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
# Names in both, and what transformers has when it is not written.
NAMES: dict[str, Any] = {
    "vocab_size": ("vocabulary_size", 30522),
    "num_hidden_layers": ("num_layers", 12),
    "num_attention_heads": ("num_heads", 4),
    "hidden_size": ("hidden_dim", 256),
    "intermediate_size": ("intermediate_dim", 1024),
    "embedding_size": ("embedding_dim", 128),
    "max_position_embeddings": ("max_sequence_length", 512),
    "type_vocab_size": ("num_segments", 2),
    "hidden_dropout_prob": ("dropout", 0.1),
    "attention_probs_dropout_prob": ("attention_dropout", 0.1),
    "initializer_range": ("initializer_range", 0.02),
    "layer_norm_eps": ("layer_norm_epsilon", 1e-12),
}
# No checkpoint may differ in these.
FIXED: Any = {"position_embedding_type": "absolute", "is_decoder": False}
PLAIN: dict[str, Any] = {**FIXED, "quantization_config": None}
DEFAULTS = {"electra": {name: value for name, (_, value) in NAMES.items()}}
DEFAULTS["bert"] = DEFAULTS["electra"] | dict(
    num_attention_heads=12, hidden_size=768, intermediate_size=3072
)
OUTPUT_TABLE = "generator_lm_head.weight"
# Patterns in names -> the present names of ELECTRA: of the original, wrappers,
# the first version, an encoder alone and BERT, in this order.
PRESENT_NAMES = {
    f"^{weights.OUTPUT_TABLE}": OUTPUT_TABLE,
    f"^{weights.OUTPUT_BIAS}": "generator_lm_head.bias",
    "/layer_": "/layer.",
    "/dense_1/": "/dense_prediction/",
    "/": ".",
    r"(^|(?<=\.))(module|_orig_mod)\.": "",
    r"\.beta$": ".bias",
    r"\.(kernel|gamma)$|(?<=_embeddings)$": ".weight",
    r"^(?=embeddings|encoder\.|pooler\.)|^bert\.": "electra.",
    r"^cls\.predictions\.transform\.": "generator_predictions.",
    r"^cls\.predictions\.(decoder\.)?": "generator_lm_head.",
}
WORDS = "electra.embeddings.word_embeddings.weight"
POOLED = {"electra.pooler.dense.weight", "classifier.weight"}
HEADS = r"(generator|discriminator)_|classifier\.|qa_outputs\.|sequence_|cls\."


def transformers_name(name: str, around: str = "") -> Any:
    """The present name of a tensor or variable; `around` is taken off."""
    name = name.removeprefix(around)
    for pattern, replacement in PRESENT_NAMES.items():
        name = re.sub(pattern, replacement, name)
    return name


def is_transposed(name: str) -> bool:
    """Whether a tensor is transposed there; of vectors any may be."""
    return not name.endswith(("_embeddings.weight", OUTPUT_TABLE))


def activation_of(config: Any, source: Any) -> Any:
    """The `activation` of `ElectraBackbone` that a configuration means."""
    name = config.get("hidden_act", "gelu")
    check_option(f"hidden_act of {source}", name, ACTIVATIONS)
    return ACTIVATIONS[name]


class TransformersCheckpoint(weights.Checkpoint):
    """What `save_pretrained` of transformers wrote, by present names."""

    form = "transformers"

    def __init__(self, files: Any):
        super().__init__(files)
        config = files.read_json(CONFIG)
        heads.check_values(config, PLAIN, self.source)
        names = config.get("architectures")
        self.architecture: str = str(*names[:1]) if type(names) is list else ""
        is_bert = self.architecture.startswith("Bert")  # said in old ones
        kind = config.get("model_type", "bert" if is_bert else "electra")
        check_option(f"model_type of {self.source}", kind, DEFAULTS)
        self.is_bert: Any = kind == "bert"
        self.config = DEFAULTS[kind] | config
        if self.is_bert:
            self.config["embedding_size"] = self.config["hidden_size"]
        for name, default in DEFAULTS[kind].items():
            if isinstance(default, float):
                where = f"{name} of {self.source}"
                check_number(where, self.config[name], at_least=0, below=1)
        stored = read_tensors(files.find, self.source)
        # A class around the network puts its name before all others.
        words = re.compile(r"(|.*?\.)((electra|bert)\.)?embeddings\.word_.*")
        around = [match[1] for match in map(words.match, stored) if match]
        names = {transformers_name(n, *around[:1]): n for n in stored}
        self.file_names, self.tensors = names, {}
        for name in names:
            shape, read = stored[names[name]]
            if is_transposed(name):
                shape, read = shape[::-1], lambda read=read: read().T
            self.tensors[name] = weights.Tensor(shape, read)
        starts = {name.partition("_")[0] for name in names}
        with_head = tuple(each for each in self.networks if each in starts)
        if with_head and not self.is_bert:
            self.networks = with_head
        # Early taggers have a pooler too, which they do not use.
        is_tagger = self.architecture == "BertForTokenClassification"
        if self.is_bert and POOLED <= names.keys() and not is_tagger:
            self.pooled = "BERT's reads its pooler"
        elif "sequence_summary.summary.weight" in names:
            self.pooled: str = "it has one of multiple choice"
        bias = heads.google_bias(config, lambda n: self.tensor(n).read())
        self.has_google_head: bool = bias is not None
        if self.has_google_head:
            name = transformers_name(f"{heads.OUT}/bias")
            self.tensors[name] = weights.in_memory(bias)
        tables = [self.tensors.get(n) for n in (WORDS, OUTPUT_TABLE)]
        is_tied = None in tables or np.array_equal(*(t.read() for t in tables))
        # GELU whatever `hidden_act` is (`ElectraGeneratorPredictions`).
        gelu = activation_of(config, self.source) if self.is_bert else "gelu"
        self.token_head = {"head_activation": gelu, "tie_embeddings": is_tied}

    def notes(self, network: Any) -> Any:
        note = "it is a BERT, of which all but pooler and heads is the same"
        return super().notes(network) + [note] * self.is_bert

    def backbone_arguments(self, network: Any) -> dict[str, Any]:
        sizes = {ours: self.config[n] for n, (ours, _) in NAMES.items()}
        return {**sizes, "activation": activation_of(self.config, self.source)}

    def stored_name(self, name: str, network: Any) -> Any:
        return transformers_name(name)

    def reasons(self, network: Any) -> dict[str, Any]:
        is_tied = self.token_head["tie_embeddings"]
        return {
            r".*\.(position_ids|token_type_ids)$": "a buffer, not a weight",
            r".*pooler\.": "ELECTRA has no pooler",
            OUTPUT_TABLE if is_tied else "$": "equal to the word embeddings",
            HEADS: "not of this task's head",
        }


def write(task: Any, head: Any, folder: Any) -> None:
    """Writes a task with its `Head`, or the encoder if that is `None`."""
    backbone, config = task.backbone, config_of(task, head)
    arrays = weights.arrays_of(weights.network(backbone))
    if getattr(task, "calibration", None):
        warnings.warn("transformers leaves out `calibration`.")
    if head is not None:
        config.update(head.settings(task))
        of_head = weights.arrays_of(head.weights(task))
        if getattr(task, "head", None) == "google":
            norm = {"norm": "output_layer_norm"}
            norm = weights.of_parts(backbone.transformer_layers[-1], norm)
            of_head, bias = heads.google_to_transformers(
                *of_head.values(), *weights.arrays_of(norm).values()
            )
            config[heads.KEY] = {"kind": "google", "bias": bias}
        arrays.update(of_head)
    folder.mkdir(exist_ok=True)
    tokenizer = getattr(task.preprocessor, "tokenizer", None)
    positions = backbone.max_sequence_length
    tokenizer_files.write_tokenizer(tokenizer, folder, positions)
    arrays = {transformers_name(n): array for n, array in arrays.items()}
    arrays = {
        name: np.ascontiguousarray(array.T if is_transposed(name) else array)
        for name, array in arrays.items()
    }
    path = folder / SAFETENSORS
    safetensors.numpy.save_file(arrays, path, metadata={"format": "pt"})
    write_json(folder / CONFIG, config)


def config_of(task: Any, head: Any) -> dict[str, Any]:
    """What `config.json` says of a task, but for settings of its `Head`."""
    tokenizer = getattr(task.preprocessor, "tokenizer", None)
    return {
        **FIXED,
        **network_config(task.backbone),
        "dtype": "float32",
        "model_type": "electra",
        "architectures": [head.architecture if head else "ElectraModel"],
        "pad_token_id": getattr(tokenizer, "pad_token_id", 0),
    }


def network_config(backbone: Any) -> dict[str, Any]:
    """What `config.json` says of a network."""
    check_option("activation", backbone.activation, HIDDEN_ACT)
    sizes = {n: getattr(backbone, ours) for n, (ours, _) in NAMES.items()}
    return {**sizes, "hidden_act": HIDDEN_ACT[backbone.activation]}


def find_weights(find: Any) -> Any:
    """Name of the first file of weights that there is, or `None`."""
    return next((name for name in WEIGHT_FILES if find(name)), None)


def read_tensors(find: Any, source: Any) -> Any:
    """The `Tensor`s by name of files that `find` gives the local paths of."""
    name = find_weights(find)
    if name is None:
        raise FileNotFoundError(
            f"{source} has no weights. Looked for: {', '.join(WEIGHT_FILES)}."
        )
    parts, tensors = [name], {}
    if name.endswith(INDEX):
        places = read_json(find(name)).get("weight_map")
        parts = sorted({*places.values()} if isinstance(places, dict) else {})
        # Names of other places could come from anybody.
        if not parts or any(os.path.basename(part) != part for part in parts):
            raise ValueError(
                f"The `weight_map` in {find(name)} must name files beside it. "
                f"Received: {str(places)[:100]}."
            )
    for part in parts:
        path = find(part)
        if path is None:
            raise FileNotFoundError(
                f"{source} lacks {part}, which its {name} names. Get all parts."
            )
        is_pickle = part.endswith(".bin")  # of which tensors alone are read
        library = ("PyTorch", "torch") if is_pickle else ("safetensors",) * 2
        with naming(path, *library):
            if is_pickle:
                arrays = load_pickle(path)
                tensors |= {n: weights.in_memory(arrays[n]) for n in arrays}
                continue
            file = safetensors.safe_open(path, framework="np")
        for key in file.keys():
            shape = tuple(file.get_slice(key).get_shape())
            read = functools.partial(file.get_tensor, key)
            tensors[key] = weights.Tensor(shape, read)
    return tensors
