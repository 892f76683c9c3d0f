"""Damaged files of every form that the package reads.

Each case damages one file of something whole, by its number alone, and opens
it. What comes out must be an error that names the file, or what comes out of
the whole thing; nothing may be made up, hang, or take the memory of all. What
nobody can see (a weight or a word of a foreign file that became another one)
is not among the damages.
"""

import bz2
import contextlib
import gzip
import json
import lzma
import pathlib
import random
import shutil
import signal
import sys
import warnings
import zipfile

import keras
import keras_hub
import numpy as np
import pytest
import safetensors.numpy

import keras_electra as ke
from keras_electra.text import corpus
from tests import checks
from tests import recorded

BENCHMARKS = pathlib.Path(__file__).parent.parent / "examples" / "benchmarks"
SECONDS = 20  # for one case, on a slow machine
X = checks.ids([2, 5, 6, 7, 3, 8, 9, 3], [2, 12, 10, 3])
LINES = [f"the chef cooked meal {i} ." for i in range(300)]
SIZES = {
    "config.json": ["num_hidden_layers", "vocab_size", "hidden_size"],
    "ours": ["num_layers", "vocabulary_size", "hidden_dim"],
}


# --- What is damaged: functions of bytes and a `random.Random` -------------


def cut(data, draw):
    return data[: draw.randrange(len(data))]


def flip(data, draw):
    changed = bytearray(data)
    changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def blank_out(data, draw):
    start = draw.randrange(len(data))
    return (
        data[:start] + bytes(len(data[start : start + 64])) + data[start:][64:]
    )


def garbage(data, draw):
    return draw.randbytes(draw.choice([1, 9, 4000]))


def nest(data, draw):
    return b'{"a": ' * 10**5 if draw.random() < 0.5 else b"[" * 10**5


def number(data, draw):
    return b'{"a": ' + b"7" * 5000 + b"}"


def no_object(data, draw):
    return draw.choice([b"null", b"[]", b'"text"', b"3", b'{"a": NaN', b""])


def remove(data, draw):
    return None


def inflate(data, draw):
    """Sizes that no machine has, or that are none."""
    text = data.decode()
    content = json.loads(text)
    sizes = content.get("config", content)
    sizes = sizes["backbone"]["config"] if "backbone" in sizes else sizes
    name = draw.choice([n for n in sum(SIZES.values(), []) if n in sizes])
    sizes[name] = draw.choice(
        [10**6, 10**12, 10**30, -1, 0, 2.5, "a", None, []]
    )
    return json.dumps(content).encode()


def mistype(data, draw):
    """One value of another type, or that makes no sense."""
    content = json.loads(data)
    name = draw.choice(sorted(content))
    others = [[], {}, "text", -1, None, True, {"a": 1}, ["a"]]
    content[name] = draw.choice(others)
    return json.dumps(content).encode()


def bad_text(data, draw):
    start = draw.randrange(len(data))
    wrong = draw.choice(
        [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"]
    )
    return data[:start] + b" " + wrong + b"\n" + data[start:]


def no_vocabulary(data, draw):
    lines = data.split(b"\n")
    i = draw.randrange(len(lines) - 1)
    # One that is there, half a vocabulary, no special token.
    return draw.choice(
        [
            b"\n".join([*lines[:-1], lines[i], b""]),
            b"\n".join(lines[: min(i, 4)]),
            data.replace(b"[MASK]\n", b""),
            b"\xff" + data,
        ]
    )


def cut_row(data, draw):
    """Within a row; one that has all its parts cannot be told from another."""
    return data[: data.rindex(b"\n", 0, -2) + draw.randrange(2, 5)]


JSON = (cut, garbage, nest, number, no_object)
BINARY = (cut, garbage, blank_out, flip, remove)


# --- What is opened: a folder or file -> numbers and strings that it gives ---


def outputs(model):
    values = keras.ops.convert_to_numpy(
        model({n: keras.ops.convert_to_tensor(v) for n, v in X.items()})
    )
    tokenizer = model.preprocessor.tokenizer
    return values, tokenizer.get_vocabulary(), tokenizer.lowercase


def open_preset(path):
    model = ke.ElectraTextClassifier.from_preset(str(path))
    return *outputs(model), model.labels


def open_by_base(path):
    return outputs(keras_hub.models.TextClassifier.from_preset(str(path)))


def open_adapters(path):
    model = classifier()
    model.load_weights(path / "base.weights.h5")
    model.load_lora_weights(path / "a.lora.h5")
    return outputs(model)


def open_checkpoint(path):
    """The newest that is whole; it is an error if there is none."""
    model = classifier()
    checks.compile_quickly(model)
    callback = ke.ResumableCheckpoint(path, verbose=0)
    # It has trained for as long already.
    model.fit(LINES[:4], ["bad", "good"] * 2, callbacks=[callback], verbose=0)
    return model.get_weights()


def open_benchmark(name, function, *arguments):
    def read(path):
        sys.path.insert(0, str(BENCHMARKS))
        try:
            module = __import__(f"harness.{name}", fromlist=[function])
            recipes = __import__("harness.recipes", fromlist=["GLUE"])
        finally:
            sys.path.remove(str(BENCHMARKS))
        if name == "glue_data":
            found = module.read_glue(path, recipes.GLUE["rte"], "train")
            return found.x, found.labels
        return (getattr(module, function)(path / arguments[0]),)

    return read


def open_keras(path):
    return outputs(keras.saving.load_model(path / "model.keras"))


def open_detector(path):
    return outputs(ke.ElectraReplacedTokenDetector.from_preset(str(path)))


def open_tokenizer(name):
    def read(path):
        tokenizer = ke.ElectraTokenizer(str(path / name), lowercase=True)
        return (tokenizer.get_vocabulary(), tokenizer.encode_batch(LINES[:2]))

    return read


def open_examples(verify):
    def read(path):
        dataset = ke.load_examples(path, "train", batch_size=4, verify=verify)
        return tuple(batch["token_ids"] for batch in dataset)

    return read


def open_corpus(path):
    files = corpus.list_files(f"{path}/*")
    return (list(corpus.read_blocks(files)),)


# --- Whole things: functions of a new folder --------------------------------


def classifier():
    return ke.ElectraTextClassifier(
        checks.tiny_backbone(),
        labels=["bad", "good"],
        preprocessor=ke.ElectraTextClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=16
        ),
    )


def detector():
    return ke.ElectraReplacedTokenDetector(
        checks.tiny_backbone(),
        preprocessor=ke.ElectraTextClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=16
        ),
    )


def make_preset(folder):
    classifier().save_to_preset(folder)


def make_old_preset(folder):
    """Without checksums."""
    make_preset(folder)
    (folder / "metadata.json").write_text("{}")


def make_shards(folder):
    classifier().save_to_preset(folder, max_shard_size=1e-6)


def make_adapters(folder):
    model = classifier()
    model.save_weights(folder / "base.weights.h5")
    model.backbone.enable_lora(2)
    model.save_lora_weights(folder / "a.lora.h5")


def make_checkpoint(folder):
    model = classifier()
    checks.compile_quickly(model)
    callback = ke.ResumableCheckpoint(folder, verbose=0)
    model.fit(LINES[:4], ["bad", "good"] * 2, callbacks=[callback], verbose=0)


def make_benchmarks(folder):
    """Of each a hundred rows."""
    rows = [f"{i}\t{line}\tmeal {i}" for i, line in enumerate(LINES[:100])]
    rows = [f"{row}\tentailment" for row in rows]
    head = "index\tsentence1\tsentence2\tlabel"
    (folder / "train.tsv").write_text("\n".join([head, *rows]) + "\n")
    answer = {"text": "meal", "answer_start": LINES[0].index("meal")}
    questions = [{"id": "1", "question": "What ?", "answers": [answer]}]
    paragraph = {"context": LINES[0], "qas": questions}
    data = {"data": [{"title": "a", "paragraphs": [paragraph]}]}
    (folder / "squad.json").write_text(json.dumps(data))
    words = "".join(f"{word} O\n" for word in LINES[0].split())
    (folder / "a.conll").write_text(f"{words}\nChef B-PER\n\n" * 20)


def make_keras(folder):
    classifier().save(folder / "model.keras")


def make_safetensors(folder):
    detector().export_to_transformers(folder)


def make_parts(folder):
    """Two files with an index, and no `tokenizer.json`."""
    make_safetensors(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    path = folder / "model.safetensors"
    arrays = sorted(safetensors.numpy.load_file(path).items())
    parts = {"a.safetensors": arrays[:9], "b.safetensors": arrays[9:]}
    for name, part in parts.items():
        safetensors.numpy.save_file(dict(part), folder / name)
    places = {key: name for name, part in parts.items() for key, _ in part}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    path.unlink()


def make_bin(folder):
    torch = pytest.importorskip("torch")
    make_safetensors(folder)
    path = folder / "model.safetensors"
    arrays = safetensors.numpy.load_file(path)
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    torch.save(tensors, folder / "pytorch_model.bin")
    path.unlink()


def make_tf1(folder):
    pytest.importorskip("tensorflow")
    shutil.copytree(recorded.FOLDER / "tiny_ckpt", folder, dirs_exist_ok=True)
    shutil.copy(recorded.FOLDER / "vocab.txt", folder)


def make_text(folder):
    text = "\n".join(LINES)
    (folder / "a.txt").write_text(text)
    (folder / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "c.txt.xz").write_bytes(lzma.compress(text.encode()))
    (folder / "d.txt.bz2").write_bytes(bz2.compress(text.encode()))
    records = "\n".join(json.dumps({"text": line}) for line in LINES)
    (folder / "e.jsonl").write_text(records)


def make_examples(folder):
    source = folder.with_name("source")
    source.mkdir()
    make_text(source)
    ke.build_examples(
        str(source / "a.txt"),
        folder,
        checks.tiny_tokenizer(),
        sequence_length=16,
        validation_fraction=0.0,
    )


FORMS = {
    "preset": (
        *(make_preset, open_preset, 60),
        {
            "*.json": (*JSON, flip, remove),
            "config.json": (inflate,),
            "*.h5": BINARY,
            "assets/*/*": BINARY,
        },
    ),
    "old preset": (
        *(make_old_preset, open_preset, 30),
        {
            "config.json": (inflate, *JSON),
            "task.json": (inflate, inflate, *JSON),
            "model.weights.h5": (cut, garbage, remove),
            "[ct]*.json": (mistype, mistype),
        },
    ),
    "base class": (
        *(make_preset, open_by_base, 20),
        {"task.json": (*JSON, flip), "*.h5": BINARY, "assets/*/*": BINARY},
    ),
    "shards": (
        *(make_shards, open_preset, 20),
        {"model*.h5": BINARY, "model.weights.json": JSON},
    ),
    "adapters": (
        *(make_adapters, open_adapters, 20),
        {"*.lora.h5": (*BINARY, remove)},
    ),
    "checkpoint": (
        *(make_checkpoint, open_checkpoint, 20),
        {"*/*.npz": BINARY, "*/*.json": (*JSON, remove)},
    ),
    "benchmarks, pairs": (
        *(make_benchmarks, open_benchmark("glue_data", "read_glue"), 10),
        {"*.tsv": (cut_row, bad_text, remove, garbage)},
    ),
    "benchmarks, questions": (
        make_benchmarks,
        open_benchmark("squad_data", "read_squad", "squad.json"),
        10,
        {"*.json": (*JSON, bad_text, remove)},
    ),
    "benchmarks, words": (
        make_benchmarks,
        open_benchmark("tagging_data", "read_conll", "a.conll"),
        10,
        {"*.conll": (cut_row, bad_text, remove, garbage)},
    ),
    "keras": (make_keras, open_keras, 25, {"*.keras": BINARY}),
    "safetensors": (
        *(make_safetensors, open_detector, 40),
        {
            "*.json": JSON,
            "config.json": (inflate, inflate, remove, *[mistype] * 8),
            "*.safetensors": (cut, garbage, remove),
            "vocab.txt": (no_vocabulary, bad_text),
        },
    ),
    "parts": (
        *(make_parts, open_detector, 20),
        {"*index.json": (*JSON, remove), "*.safetensors": (cut, remove)},
    ),
    "bin": (make_bin, open_detector, 25, {"*.bin": BINARY}),
    "tf1": (
        *(make_tf1, open_detector, 30),
        {"*.index": BINARY, "*.data-*": BINARY, "config.json": JSON},
    ),
    "tokenizer": (
        *(make_safetensors, open_tokenizer("tokenizer.json"), 20),
        {"tokenizer.json": (*JSON, remove, bad_text)},
    ),
    "vocabulary": (
        *(make_safetensors, open_tokenizer("vocab.txt"), 15),
        {"vocab.txt": (no_vocabulary, bad_text, garbage, remove)},
    ),
    "examples": (
        *(make_examples, open_examples(True), 25),
        {"*.json": (*JSON, flip, remove), "train*": BINARY},
    ),
    "examples, unverified": (
        *(make_examples, open_examples(False), 20),
        {"*.json": (*JSON, flip, remove), "train*": (cut, blank_out, flip)},
    ),
    "corpora": (
        *(make_text, open_corpus, 25),
        {
            "*.txt": (bad_text, lambda data, draw: data + bytes(99)),
            "*.txt.*": (cut, blank_out, garbage),
            "*.jsonl": (bad_text, nest, number, garbage),
        },
    ),
}


@contextlib.contextmanager
def time_limit():
    """A `TimeoutError` for what hangs, where the system can."""

    def end(*_):
        raise TimeoutError(f"It takes more than {SECONDS} s.")

    if hasattr(signal, "SIGALRM"):
        before = signal.signal(signal.SIGALRM, end)
        signal.alarm(SECONDS)
    try:
        yield
    finally:
        if hasattr(signal, "SIGALRM"):
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def same(one, other):
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if not isinstance(one, (list, tuple)):
        return one == other
    return len(one) == len(other) and all(
        same(a, b) for a, b in zip(one, other)
    )


@pytest.mark.parametrize("form", FORMS)
def test_damage_is_an_error_that_names_the_file(form, tmp_path, capsys):
    make, read, count, damages = FORMS[form]
    is_keras = form == "keras"
    whole = tmp_path / "whole"
    whole.mkdir()
    make(whole)
    expected = read(whole)
    cases = [
        (str(path.relative_to(whole)), damage)
        for pattern, kinds in damages.items()
        for path in sorted(whole.glob(pattern))
        for damage in kinds
    ]
    wrong, opened = [], 0
    for i in range(count):
        draw = random.Random(f"{form} {i}")
        name, damage = cases[i % len(cases)]
        folder = tmp_path / f"case-{i}"
        shutil.copytree(whole, folder)
        data = damage((folder / name).read_bytes(), draw)
        if data is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(data)
        case = f"{i}: {damage.__name__} of {name}"
        capsys.readouterr()
        try:
            with time_limit(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = read(folder)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            # Of a `.keras` file Keras names what is in it.
            names = str(folder), "model.weights.h5", "config.json"
            is_named = any(part in text for part in names[: 1 + 2 * is_keras])
            known = (ValueError, OSError, *[zipfile.BadZipFile] * is_keras)
            if not is_named or not isinstance(error, known):
                wrong.append(f"{case}: {text[:300]}")
        else:
            opened += 1
            shown = capsys.readouterr().out
            if not same(found, expected):
                wrong.append(f"{case}: opened as something else {shown[:200]}")
        shutil.rmtree(folder)
    print(f"{form}: {count} cases, {opened} opened as the whole")
    assert not wrong, "\n".join([f"{len(wrong)} of {count}", *wrong])
