"""A student learns from a teacher, of one tokenizer and of two."""

import shutil

import keras
import numpy as np
import pytest

import keras_electra
from keras_electra.distillation import teacher as teaching
from tests.pretraining.conftest import FAST
from tests.pretraining.conftest import SPECIAL
from tests.pretraining.conftest import WORDS
from tests.test_torch_devices import check_close
from tests.test_torch_devices import in_processes

LETTERS = ["w", *(f"##{i}" for i in range(10)), "."]
# All of one length for compilers: 6 tokens, or up to 16 of letters.
TEXTS = [
    " ".join(WORDS[(start + i) % 27] for i in range(4)) for start in range(16)
]
# What is the same on every backend, or tested there by the losses.
once = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="The same on every backend."
)
PRECISIONS = ["mixed_bfloat16"]
if keras.config.backend() == "torch":
    PRECISIONS += ["mixed_float16"]
LOSSES = ["vector_loss", "hidden_loss", "relation_loss"]


def build(vocabulary, width, layers=1):
    tokenizer = keras_electra.ElectraTokenizer(SPECIAL + vocabulary)
    backbone = keras_electra.ElectraBackbone(
        tokenizer.vocabulary_size(), layers, 2, width, 2 * width, dropout=0.0
    )
    cls = keras_electra.ElectraPretrainerPreprocessor
    return backbone, cls(tokenizer, sequence_length=24)


def make_teacher():
    backbone, preprocessor = build(WORDS, 16, layers=2)
    preprocessor = keras_electra.ElectraTextEmbedderPreprocessor(
        preprocessor.tokenizer, sequence_length=32
    )
    return keras_electra.ElectraTextEmbedder(backbone, preprocessor, layer=2)


def make_distiller(vocabulary=WORDS, width=8, rate=3e-3, **kwargs):
    """Of a pre-trainer, in which one text in a batch of 8 is masked."""
    keras.utils.set_random_seed(0)
    teacher = make_teacher()
    keras.utils.set_random_seed(5)
    backbone, preprocessor = build(vocabulary, width)
    student = keras_electra.ElectraPretrainer(
        backbone, backbone, preprocessor, seed=3
    )
    kwargs = {"relation_weight": 1.0, "pretraining_weight": 0.01, **kwargs}
    distiller = keras_electra.Distiller(student, teacher, **kwargs)
    distiller.compile(keras_electra.ElectraAdamW(rate), **FAST)
    return distiller


def weights(distiller):
    variables = distiller.variables + distiller.optimizer.variables
    return [keras.ops.convert_to_numpy(v) for v in variables]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two epochs with checkpoints and a cache: distiller, history, folder."""
    folder = tmp_path_factory.mktemp("distilled")
    distiller = make_distiller(LETTERS, cache=folder / "cache")
    history = fit(distiller, folder / "run")
    return distiller, history, folder


def fit(distiller, run):
    callbacks = [keras_electra.ResumableCheckpoint(run, verbose=0)]
    return distiller.fit(
        TEXTS,
        batch_size=8,
        epochs=2,
        validation_data=TEXTS[:8],
        callbacks=callbacks,
        verbose=0,
    ).history


def test_it_learns_and_reports_all(trained):
    distiller, history, _ = trained
    for name in [*LOSSES, "discriminator_auc", "generator_loss"]:
        assert f"val_{name}" in history
    assert history["skipped_steps"] == [0, 0]
    # Where `ElectraTextEmbedder` reads vectors from then on.
    assert distiller.backbone.vector_layer == distiller.backbone.num_layers
    assert history["val_loss"][-1] < history["val_loss"][0]
    # The teacher is neither trained nor in checkpoints.
    own = {id(v) for v in distiller.variables}
    keras.utils.set_random_seed(0)
    backbone = distiller._teacher.embedder.backbone
    for weight, start in zip(backbone.weights, make_teacher().weights):
        assert id(weight) not in own
        np.testing.assert_array_equal(weight, start)


def test_evaluation_is_alike_every_time(trained):
    first, second = (
        trained[0].evaluate(
            TEXTS[:8], batch_size=8, verbose=0, return_dict=True
        )
        for _ in range(2)
    )
    assert first == second


def test_it_resumes_exactly_from_the_cache(trained, tmp_path, monkeypatch):
    """From its first epoch on, with a teacher that has said all by then."""
    whole, _, folder = trained
    before = weights(whole)
    shutil.copytree(folder / "run" / "epoch-00001", tmp_path / "epoch-00001")
    resumed = make_distiller(LETTERS, cache=folder / "cache")
    monkeypatch.setattr(resumed._teacher, "_compute", None)  # is not called
    fit(resumed, tmp_path)
    for one, other in zip(before, weights(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cache_gives_what_was_computed(trained, tmp_path, monkeypatch):
    teacher = trained[0]._teacher
    texts = [TEXTS[0], TEXTS[1], TEXTS[0]]
    rows = trained[0].preprocessor.rows(texts)
    expected = teacher._compute(rows, texts)
    monkeypatch.setattr(
        teacher, "_cache", teaching.Cache(tmp_path, teacher.widths)
    )
    teacher({n: a[1:2] for n, a in rows.items()}, texts[1:2])
    for _ in range(2):
        for name, array in teacher(rows, texts).items():
            np.testing.assert_array_equal(array, expected[name])
        monkeypatch.setattr(teacher, "_compute", None)
    assert len(teacher._cache.read(TEXTS)) == 2
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "outputs.sqlite").write_bytes(b"nothing" * 999)
    with pytest.raises(ValueError, match="outputs.sqlite cannot be used"):
        teaching.Cache(tmp_path / "damaged", teacher.widths)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_half_precision_and_one_tokenizer(dtype, tmp_path):
    """By `distil`, from a folder; tokens are compared one by one."""
    keras.utils.set_random_seed(0)
    if dtype == "mixed_float16":
        make_teacher().export_to_transformers(tmp_path)
    else:
        make_teacher().save_to_preset(tmp_path)
    keras.config.set_dtype_policy(dtype)
    backbone, preprocessor = build(WORDS, 16)
    optimizer = keras.optimizers.Adam(3e-3)
    if dtype == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, initial_scale=2.0**8
        )
    history = keras_electra.distil(
        backbone,
        tmp_path,
        TEXTS,
        optimizer,
        preprocessor=preprocessor,
        relation_weight=1.0,
        batch_size=8,
        epochs=2,
        verbose=0,
    )
    assert not history.model._teacher.by_words
    values = history.history
    assert values["skipped_steps"][-1] == 0
    assert values["loss"][1] < values["loss"][0]


@once
def test_processes_learn_what_one_does():
    """The last batches are short, so that rows of zeros fill them up."""

    def run():
        # Of one width: a projection's bias has no gradient but of rounding.
        distiller = make_distiller(LETTERS, 16)
        given = dict(batch_size=8, validation_data=TEXTS[:5], verbose=0)
        history = distiller.fit(TEXTS[:11], **given).history
        return history, weights(distiller)

    (one,) = in_processes(1, run)
    check_close(one, in_processes(2, run), 1e-5)


@once
def test_a_perfect_student_has_no_loss():
    """The teacher itself, on rows."""
    teacher = make_teacher()
    distiller = keras_electra.Distiller(teacher, teacher, relation_weight=1.0)
    rows = teacher.preprocessor.rows(TEXTS[:8])
    data = distiller.finish_batch(rows)[:2]
    x, y = keras.tree.map_structure(keras.ops.convert_to_tensor, data)
    loss = distiller.compute_loss(x, y, distiller(x))
    assert float(loss) < 1e-4


def test_words_are_the_means_of_their_pieces():
    preprocessor = build(["a", "##b", "c", "."], 8)[1]
    weights = teaching.piece_weights(["ab c."], preprocessor, 6)
    expected = np.zeros((6, 6))
    expected[0, 1:3], expected[1, 3], expected[2, 4] = 0.5, 1, 1
    np.testing.assert_array_equal(weights[0], expected)


@once
def test_soft_labels_are_logits_of_a_task():
    """A classifier learns from the probabilities of another one."""
    rates = np.random.default_rng(0).dirichlet([1, 1, 1], len(TEXTS))
    backbone, preprocessor = build(WORDS, 8)
    classifier = keras_electra.ElectraTextClassifier(
        backbone,
        num_classes=3,
        preprocessor=keras_electra.ElectraTextClassifierPreprocessor(
            preprocessor.tokenizer, sequence_length=16
        ),
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    classifier.compile("adam", loss, **FAST)
    classifier.fit(TEXTS, rates, verbose=0)
    found = classifier.evaluate(TEXTS, rates, verbose=0, return_dict=True)
    logits = classifier.predict(TEXTS, verbose=0)
    shares = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -(rates * shares).sum(-1).mean()
    assert found["loss"] == pytest.approx(expected, rel=1e-4)


@once
@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"student": 3}, "`student` must be an ElectraBackbone"),
        ({"teacher": 3}, "`teacher` must be a model of this package"),
        ({"preprocessor": None}, "`preprocessor` must be given"),
        ({"hidden_weight": -1}, "`hidden_weight` must be a number >= 0"),
        (
            dict(vector_weight=0, hidden_weight=0),
            "one of the weights of losses",
        ),
    ],
)
def test_bad_arguments(kwargs, message):
    backbone, preprocessor = build(WORDS, 8)
    given = dict(
        student=backbone, teacher=make_teacher(), preprocessor=preprocessor
    )
    with pytest.raises((TypeError, ValueError), match=message):
        keras_electra.Distiller(**{**given, **kwargs})


def test_bad_data(trained):
    with pytest.raises(TypeError, match="not pairs"):
        trained[0].fit((TEXTS, TEXTS))
    with pytest.raises(ValueError, match="must hold texts, not rows"):
        trained[0].fit(trained[0].preprocessor.rows(TEXTS[:8]))
    with pytest.raises(ValueError, match="means nothing in pre-training"):
        trained[0].fit(TEXTS, [1] * len(TEXTS))
