"""Graphs run without Keras, and give what the task gives."""

import gc
import json
import shutil

import keras
import numpy as np
import pytest
import tokenizers

import keras_electra
from keras_electra.backend import export as graphs
from tests import checks
from tests.conversion.test_export import build

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
LABELS = ["bad", "good"]
TEXTS, Y = ["the cat sat", "a dog", "the dog ran on", ""] * 2, [0, 1, 1, 0] * 2
BACKEND = keras.config.backend()
# Every format on the backend that makes it, and one by another process.
FORMATS = {
    "torch": ["openvino"],  # and torch's own over another export
    "tensorflow": ["tf_saved_model", "litert"],
    "jax": ["onnx"],
}
TASKS = {
    "ElectraReplacedTokenDetector": {},
    "ElectraMaskedLM": {},
    "ElectraTokenClassifier": {"labels": LABELS},
    "ElectraQuestionAnswering": {},
    "ElectraMultipleChoice": {},
}
EMBEDDER = ("ElectraTextEmbedder", {})


def run(folder, place, texts):
    """What README says: a graph's outputs without Keras."""
    import onnxruntime

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    rows = tokenizer.encode_batch(texts)
    x = {
        "input_ids": np.array([row.ids for row in rows]),
        "attention_mask": np.array([row.attention_mask for row in rows]),
        "token_type_ids": np.array([row.type_ids for row in rows]),
    }
    return onnxruntime.InferenceSession(folder / place).run(None, x)


@pytest.fixture(scope="module")
def classifier():
    task = build("ElectraTextClassifier", {"labels": LABELS})
    task.calibration = {"method": "temperature", "scale": [0.5], "bias": [0.0]}
    task.compile()
    return task


@pytest.fixture(scope="module")
def folder(classifier, tmp_path_factory):
    if BACKEND != "torch":
        pytest.skip("torch makes it")
    folder = tmp_path_factory.mktemp("exported")
    classifier.export(
        folder, quantize="int8", validation_data=(TEXTS[:3], Y[:3])
    )
    return folder


def test_classifier(classifier, folder):
    texts = ["the cat", "a dog ran on the cat"]
    # The graph's logits are calibrated, so that any program's softmax is.
    ours = np.asarray(classifier.calibrated(classifier.predict(texts)))
    (theirs,) = run(folder, "onnx/model.onnx", texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    (small,) = run(folder, "onnx/model_quantized.onnx", texts)
    assert 0 < np.abs(small - ours).max() < 1
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["id2label"] == {"0": "bad", "1": "good"}
    assert config["keras_electra"]["task"] == "ElectraTextClassifier"
    assert "calibration" not in config["keras_electra"]  # it is in the graph
    report = json.loads((folder / "parity.json").read_text("utf-8"))
    assert report["hard_strings"] == 300
    # Other programs take what looks like a special token for one.
    assert report["tokens_differ"] == ["[MASK] [CLS] [SEP] [PAD]"]
    for graph in report["graphs"].values():
        assert graph["megabytes"] > 0 and graph["decisions_changed"] <= 1
        assert 0 <= graph["on_labelled_data"]["metrics"]["accuracy"] <= 1
    assert report["graphs"]["onnx/model.onnx"]["decisions_changed"] == 0
    assert not list(folder.glob(".*"))


def test_transformers_open_the_folder(folder):
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.from_pretrained(folder)
    assert config.id2label == {0: "bad", 1: "good"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == 8
    ids = tokenizer(["the cat"], return_tensors="np")
    assert {*ids} == {"input_ids", "token_type_ids", "attention_mask"}


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    folder, task = tmp_path_factory.mktemp("old"), build(*EMBEDDER)
    task.export(folder, quantize="int8", calibration=TEXTS)
    return task, folder


@pytest.mark.skipif(BACKEND != "torch", reason="made by torch")
def test_embedder(embedder):
    task, folder = embedder
    check_report(folder)
    texts = ["the cat", "a"]
    tokens, vectors = run(folder, "onnx/model.onnx", texts)
    np.testing.assert_allclose(vectors, task.embed(texts), atol=1e-5)
    assert tokens.shape == (2, 4, task.backbone.hidden_dim)
    _, small = run(folder, "onnx/model_quantized.onnx", texts)
    assert 1 > (small * vectors).sum(-1).min() > 0.9


@pytest.mark.skipif(BACKEND != "torch", reason="made by torch")
def test_sentence_transformers_open_the_folder(embedder):
    # Its releases are behind those of transformers, which tests need.
    pytest.importorskip("optimum.onnxruntime", exc_type=ImportError)
    sentence_transformers = pytest.importorskip("sentence_transformers")
    task, folder = embedder
    model = sentence_transformers.SentenceTransformer(
        str(folder), backend="onnx", model_kwargs={"file_name": "model.onnx"}
    )
    texts = ["the cat", "a"]
    vectors = model.encode(texts)
    np.testing.assert_allclose(vectors, task.embed(texts), atol=1e-5)


@pytest.mark.skipif(BACKEND != "torch", reason="made by torch")
def test_a_new_export_replaces_an_old_one(classifier, embedder, tmp_path):
    shutil.copytree(embedder[1], tmp_path, dirs_exist_ok=True)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "README.md").write_text("mine")
    check_format(classifier, "torch", tmp_path)
    assert not (tmp_path / "modules.json").exists()
    assert not (tmp_path / "onnx/model.onnx").exists()
    assert (tmp_path / "model.pt2").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "README.md").read_text() == "mine"


def check_report(folder):
    report = json.loads((folder / "parity.json").read_text("utf-8"))
    graph = report["graphs"]["onnx/model.onnx"]
    for found in (graph, graph.get("on_labelled_data", graph)):
        assert max(found["largest_differences"].values()) < 1e-3
        assert found.get("decisions_changed", 0) < 0.01


@pytest.mark.skipif(BACKEND != "torch", reason="made by torch")
@pytest.mark.parametrize("name", TASKS)
def test_tasks(name, tmp_path):
    task, data = build(name, TASKS[name]), None
    if name == "ElectraTokenClassifier":
        task.calibration = {"scale": [0.5], "bias": [0.25]}
        task.preprocessor.segment_id = 1
        data = ["the cat", "a dog"], [LABELS, LABELS]
    task.export(tmp_path, validation_data=data)
    check_report(tmp_path)


@pytest.mark.parametrize("form", FORMATS[BACKEND])
def test_formats(classifier, form, tmp_path):
    pytest.importorskip(
        {"openvino": "openvino", "litert": "ai_edge_litert"}.get(form, BACKEND)
    )
    small = "int8" if form in ("openvino", "litert") else None
    samples = TEXTS if form == "openvino" else None
    if small and form == "openvino":
        pytest.importorskip("nncf")
    check_format(classifier, form, tmp_path, small, samples)


def check_format(classifier, form, folder, small=None, samples=None):
    classifier.export(folder, form, quantize=small, calibration=samples)
    report = json.loads((folder / "parity.json").read_text("utf-8"))
    first, *others = report["graphs"].values()
    assert first["largest_differences"]["logits"] < 1e-3
    assert first["decisions_changed"] == 0 and len(others) == bool(small)


def test_half_precision_is_exported_in_float32(tmp_path):
    if BACKEND != "torch":
        pytest.skip("alike on all backends")
    backbone = checks.tiny_backbone(dtype="mixed_bfloat16")
    task = keras_electra.ElectraTextClassifier(
        backbone,
        2,
        keras_electra.ElectraTextClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
    )
    task.export(tmp_path, "torch")
    graph = graphs.load("torch", tmp_path / "model.pt2")
    x = dict.fromkeys(graphs.INPUTS, np.ones((1, 4), "int64"))
    assert graph(x)["logits"].dtype == np.float32


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("x", "tflite"), "format"),
        (("x", "onnx", "int4"), "quantize"),
        (("x", "torch", "int8"), "quantize of torch.*one of None"),
        (("x.onnx", "onnx"), "folder of its own"),
        (("preset", "onnx"), "of no preset"),
        (("x", "onnx", None, TEXTS), "calibration"),
    ],
)
def test_errors(classifier, arguments, words, tmp_path):
    (tmp_path / "preset").mkdir()
    (tmp_path / "preset/metadata.json").write_text("{}")
    names = ("filepath", "format", "quantize", "calibration")
    arguments = dict(zip(names, arguments))
    arguments["filepath"] = tmp_path / arguments["filepath"]
    with pytest.raises(ValueError, match=words):
        classifier.export(**arguments)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [
        "metadata.json",
        "preset",
    ]


def test_what_cannot_be_exported(tmp_path):
    task = build("ElectraTextClassifier", {"labels": LABELS})
    gc.freeze()  # Keras collects garbage for every weight it takes off
    task.quantize("int8")
    gc.unfreeze()
    with pytest.raises(ValueError, match="quantized to int8 by Keras"):
        task.export(tmp_path / "x")
    task = build("ElectraTextClassifier", {"labels": LABELS})
    task.preprocessor = None
    with pytest.raises(ValueError, match="needs a `preprocessor`"):
        task.export(tmp_path / "x")


def test_serve(classifier, folder, monkeypatch):
    """`examples/serve.py` answers, counts, and refuses what is too much."""
    pytest.importorskip("httpx")
    testclient = pytest.importorskip("fastapi.testclient")
    monkeypatch.setenv("FOLDER", str(folder))
    import serve

    texts = ["the cat", "a dog ran"]
    with testclient.TestClient(serve.app) as client:
        answers = client.post("/predict", json=texts).json()
        for answer, ours in zip(answers, classifier.classify(texts)):
            for label, probability in ours:
                assert answer[label] == pytest.approx(probability, abs=0.1)
        assert client.get("/health").json()["status"] == "ok"
        assert "electra_texts_total 2" in client.get("/metrics").text
        assert client.post("/predict", json=["x" * 99_999]).status_code == 422
        assert client.post("/predict", json=["x"] * 99).status_code == 422
