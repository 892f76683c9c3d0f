"""Processes of PyTorch compute what one does with the whole batch.

They are forked, as importing takes longer than all they do. Run as a program,
`FOLDER EPOCH` under `torchrun`, this file trains, and its second process kills
itself in that epoch.
"""

import multiprocessing
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import keras_electra
from keras_electra.arguments import keyword_names
from keras_electra.backend import replicas
from tests.pretraining.conftest import SPECIAL
from tests.pretraining.conftest import tiny_pretrainer

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="is about processes of PyTorch"
)
ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH, LENGTH = 8, 12


def in_processes(size, function, *args, kill=False):
    """What `function(*args)` returns, or raises, in each of some processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context, ends, started = multiprocessing.get_context("fork"), [], []

    def run(rank, end):
        if size > 1:
            names = "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"
            values = rank, size, "127.0.0.1", port
            os.environ.update(zip(names, map(str, values)))
        try:
            result = function(*args)
        except Exception as error:
            result = error
        end.send(result)
        os._exit(0)

    for rank in range(size):
        end, other = context.Pipe(duplex=False)
        process = context.Process(target=run, args=(rank, other))
        process.start()
        other.close()
        ends.append(end)
        started.append(process)
    results = []
    for end, process in zip(ends, started):
        try:
            results.append(end.recv() if end.poll(120) else TimeoutError())
        except EOFError:
            results.append(None)  # it was killed
        process.kill()
        process.join()
    for result in results if not kill else ():
        if isinstance(result, Exception):
            raise result
    return results


def ragged_rows(count, seed=0):
    """Rows of 3 to 12 tokens; those of the second half are short."""
    rng = np.random.default_rng(seed)
    most = np.where(np.arange(count) % BATCH < BATCH // 2, LENGTH, 6)
    lengths = rng.integers(3, most + 1)
    mask = (np.arange(LENGTH) < lengths[:, None]).astype("int32")
    ids = rng.integers(5, 32, (count, LENGTH)).astype("int32") * mask
    ids[:, 0] = 2
    segments = np.zeros_like(ids)
    return dict(token_ids=ids, segment_ids=segments, padding_mask=mask)


def numbers(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(v).copy() for v in variables]


def check_close(one, several, tolerance=1e-6):
    """Compares `(history, numbers)` of one process with those of several."""
    for history, arrays in several:
        assert history.keys() == one[0].keys()
        for name, values in history.items():
            np.testing.assert_allclose(
                values, one[0][name], rtol=tolerance, atol=1e-7, err_msg=name
            )
        for ours, same, expected in zip(arrays, several[0][1], one[1]):
            np.testing.assert_array_equal(ours, same)
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(ours, expected, atol=tolerance * scale)


# Pre-training.

VARIANTS = {
    "plain": {},
    "accumulated": dict(gradient_accumulation_steps=2, use_ema=True),
    "bfloat16": dict(dtype="mixed_bfloat16"),
    "float16": dict(dtype="mixed_float16"),
    "no-discriminator": dict(discriminator_weight=0.0, random_token_rate=0.15),
    "words": dict(masking="word", objective="masked_detection"),
    "spans": dict(masking="span", objective="all_tokens_mlm"),
    "hard": dict(
        masking="hard",
        discriminator_loss="balanced",
        mask_fraction=(0.1, 0.5),
        fill_fraction=0.5,
    ),
    "gdes": dict(share_embeddings="gdes", discriminator_loss="focal"),
    "electric": dict(objective="electric", generator="towers"),
    "writer": dict(generator="backbone"),
}


def make_pretrainer(**kwargs):
    """`tiny_pretrainer`, or by `from_size` where its networks are others."""
    kwargs.update(dropout=0.1, compile=False)
    if "masking" in kwargs:
        words = [f"w{i}" for i in range(13)] + [f"##{i}" for i in range(14)]
        kwargs["tokenizer"] = keras_electra.ElectraTokenizer(SPECIAL + words)
    if "generator" not in kwargs:
        return tiny_pretrainer(**kwargs)
    is_writer = kwargs["generator"] == "backbone"
    kind = "TextGenerator" if is_writer else "Pretrainer"
    ids = {"mask_token_id": 4, "unselectable_token_ids": [2, 3, 4], "seed": 7}
    given = {"vocabulary_size": 32, "max_sequence_length": 16, **ids, **kwargs}
    return getattr(keras_electra, f"Electra{kind}").from_size("tiny", **given)


def pretrain(folder=None, epochs=2, dtype=None, callbacks=(), **kwargs):
    """Losses and all numbers of a run whose last batches are short."""
    keras.utils.set_random_seed(1)
    names = keyword_names(keras_electra.ElectraPretrainer.__init__)
    given = {name: kwargs.pop(name) for name in names if name in kwargs}
    pretrainer = make_pretrainer(dtype=dtype, **given)
    optimizer = keras_electra.ElectraAdamW(1e-3, **kwargs)
    if dtype == "mixed_float16":
        # Halves of a sum overflow later than the sum: the scale starts low.
        scaled = keras.optimizers.LossScaleOptimizer
        optimizer = scaled(optimizer, initial_scale=16.0)
    pretrainer.compile(optimizer)
    if folder is not None:
        checkpoint = keras_electra.ResumableCheckpoint(folder, keep=9)
        callbacks = [checkpoint, *callbacks]
    history = pretrainer.fit(
        ragged_rows(21),
        batch_size=BATCH,
        validation_data=(ragged_rows(11, 5),),
        epochs=epochs,
        callbacks=list(callbacks),
        verbose=0,
    )
    return history.history, numbers(pretrainer)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pretraining_equals_one_process(variant):
    kwargs = VARIANTS[variant]
    half = variant in ("bfloat16", "float16")
    size = 4 if variant == "plain" else 2
    (one,) = in_processes(1, lambda: pretrain(**kwargs))
    several = in_processes(size, lambda: pretrain(**kwargs))
    check_close(one, several, 2e-2 if half else 1e-6)
    assert max(one[0]["skipped_steps"]) == 0


def draws(x):
    keras.utils.set_random_seed(1)
    pretrainer = tiny_pretrainer(dropout=0.1, random_token_rate=0.15)
    index, count = replicas.processes()
    x = {name: np.split(rows, count)[index] for name, rows in x.items()}
    outputs = pretrainer(x, training=True)
    names = "mask_positions", "mask_weights", "corrupted_token_ids"
    logits = outputs["discriminator_logits"].detach().numpy()
    return [outputs[name].numpy() for name in names], logits


def test_draws_are_those_of_the_whole_batch():
    (one,) = in_processes(1, draws, ragged_rows(8))
    parts = in_processes(4, draws, ragged_rows(8))
    for name in range(len(one[0])):
        whole = np.concatenate([part[0][name] for part in parts])
        np.testing.assert_array_equal(whole, one[0][name])
    logits = np.concatenate([part[1] for part in parts])  # after dropout
    np.testing.assert_allclose(logits, one[1], atol=1e-6)


# Fine-tuning.


def backbone():
    return keras_electra.ElectraBackbone(
        vocabulary_size=32,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        embedding_dim=8,
        max_sequence_length=16,
        dropout=0.1,
    )


def finetune_all(poison=False):
    """Results by task: training, evaluation and predictions of each."""
    keras.utils.set_random_seed(2)
    rng = np.random.default_rng(3)
    x, count = ragged_rows(11), 11
    classes = rng.integers(0, 3, count)
    tokens = rng.integers(0, 3, (count, LENGTH)) * x["padding_mask"]
    weights = rng.uniform(0.5, 2.0, count).astype("float32")
    token_weights = (x["padding_mask"] * weights[:, None]).astype("float32")
    spans = np.tile([[1, 2, 1]], (count, 1)).astype("int32")
    choices = {name: np.stack([v, v[::-1]], 1) for name, v in x.items()}
    groups = np.arange(count) // 2
    fits = {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}, "sample_weight": weights}
    if poison:
        fits["sample_weight"] = np.where(np.arange(count) == 7, np.nan, weights)
    electra = keras_electra
    tasks = [
        (electra.ElectraTextClassifier, dict(num_classes=3), x, classes, fits),
        (electra.ElectraTextClassifier, dict(num_classes=1), x, weights, {}),
        (
            electra.ElectraTextClassifier,
            dict(num_classes=3),
            x,
            classes,
            "lora",
        ),
        (
            electra.ElectraTokenClassifier,
            dict(num_classes=3),
            x,
            tokens,
            dict(sample_weight=token_weights),
        ),
        (electra.ElectraQuestionAnswering, {}, x, spans, {}),
        (electra.ElectraMultipleChoice, {}, choices, classes % 2, {}),
        (electra.ElectraTextEmbedder, dict(layer=1), x, groups, {}),
    ]
    results = []
    for kind, kwargs, x, y, fits in tasks[:1] if poison else tasks:
        task = kind(backbone(), **kwargs)
        if fits == "lora":
            task.backbone.enable_lora(2)
            fits = {}
        # The offset of all scores has no gradient but rounding.
        optimizer = electra.ElectraAdamW(3e-4, global_clipnorm=0.05)
        task.compile(optimizer, **extra_metrics(task))
        size = {"batch_size": BATCH // 2}
        history = task.fit(x, y, epochs=2, verbose=0, **size, **fits).history
        values = task.evaluate(x, y, return_dict=True, verbose=0, **size)
        outputs = keras.tree.flatten(task.predict(x, verbose=0, **size))
        some = {name: rows[:7] for name, rows in x.items()}
        values |= task.train_on_batch(some, y[:7], return_dict=True)
        history |= {f"test_{name}": value for name, value in values.items()}
        results.append((history, [*numbers(task), *outputs]))
    return results


def extra_metrics(task):
    if isinstance(task, keras_electra.ElectraTextClassifier):
        if task.num_classes == 1:
            return {"metrics": [keras.metrics.RootMeanSquaredError(), "mae"]}
        return {"weighted_metrics": ["accuracy"]}
    return {}


def test_finetuning_equals_one_process():
    (one,) = in_processes(1, finetune_all)
    several = in_processes(2, finetune_all)
    for i, expected in enumerate(one):
        check_close(expected, [results[i] for results in several])


def test_nan_in_one_process_skips_the_step_in_all():
    results = in_processes(2, finetune_all, True)
    for ((history, arrays),) in results:
        assert history["skipped_steps"] == [1.0, 1.0]
        assert all(np.isfinite(array).all() for array in arrays)
    for ours, theirs in zip(*(arrays for ((_, arrays),) in results)):
        np.testing.assert_array_equal(ours, theirs)


# Interrupted runs.


def test_other_numbers_of_processes_go_on(tmp_path):
    (one,) = in_processes(1, pretrain, None, 4)
    for epochs, size in enumerate((1, 2, 1, 4), 1):
        log = tmp_path / f"{size}.csv"
        given = tmp_path / "run", epochs, None, [keras.callbacks.CSVLogger(log)]
        several = in_processes(size, pretrain, *given)
        assert len(log.read_text().splitlines()) == 2  # of the first process
    check_close(({n: v[3:] for n, v in one[0].items()}, one[1]), several)
    assert sorted(os.listdir(tmp_path / "run"))[-1] == "epoch-00004"


def save(folder):
    pretrainer = tiny_pretrainer()
    pretrainer.save_to_preset(folder)
    return numbers(pretrainer)[0]


def test_the_first_process_saves(tmp_path):
    first, _ = in_processes(2, save, tmp_path / "preset")
    saved = keras_electra.ElectraPretrainer.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(numbers(saved)[0], first)


class Kill(keras.callbacks.Callback):
    """Kills the second process in an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_ends_the_others(tmp_path):
    (one,) = in_processes(1, pretrain, None, 3)
    started = time.monotonic()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", __file__, str(tmp_path / "run"), "1"]
    killed = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "torch"},
    )
    assert killed.returncode != 0 and "Signal 9" in killed.stderr
    assert time.monotonic() - started < 300  # imports included
    assert os.listdir(tmp_path / "run") == ["epoch-00001"]
    # Where no `torchrun` ends them, they find out themselves.
    kill = pretrain, tmp_path / "run", 3, None, [Kill(2)]
    survivor, victim = in_processes(2, *kill, kill=True)
    assert victim is None and isinstance(survivor, ConnectionError)
    assert "go on after the last epoch" in str(survivor)
    several = in_processes(2, pretrain, tmp_path / "run", 3)
    check_close(({n: v[2:] for n, v in one[0].items()}, one[1]), several)


# What is wrong is said before the first step.


def wrong(kind, folder):
    rank, kwargs = replicas.processes()[0], {}
    pretrainer = tiny_pretrainer()
    size, x = BATCH, ragged_rows(16)
    if kind == "size":
        size = 7
    elif kind == "rows":
        x = ragged_rows(16, seed=rank)
    elif kind == "folder":
        folder = folder / str(rank)
    elif kind == "backup":
        kwargs["callbacks"] = [keras.callbacks.BackupAndRestore(folder)]
    elif kind == "batch":
        size = BATCH // 2
    checkpoint = keras_electra.ResumableCheckpoint(folder)
    kwargs.setdefault("callbacks", [checkpoint])
    pretrainer.fit(x, batch_size=size, verbose=0, **kwargs)


@pytest.mark.parametrize(
    "kind, message",
    {
        "size": "batch_size.*multiple of 2",
        "rows": "[Ee]xamples.*same in all 2 processes",
        "folder": "folder .* same in all 2 processes.*share",
        "backup": "ResumableCheckpoint",
        "batch": "batch_size.*must stay.* 8",
    }.items(),
)
def test_wrong_input(kind, message, tmp_path):
    if kind == "batch":
        in_processes(2, wrong, "none", tmp_path / "run")
    for error in in_processes(2, wrong, kind, tmp_path / "run", kill=True):
        with pytest.raises(ValueError, match=message):
            raise error


def test_processes_that_do_not_come(monkeypatch):
    from keras_electra.backend import torch_replicas

    monkeypatch.setattr(torch_replicas, "START_SECONDS", 1)
    for name, value in zip(
        torch_replicas.ENVIRONMENT, ("1", "2", "127.0.0.1", "9")
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectionError, match="RANK=0.*MASTER_ADDR"):
        replicas.count()


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    pretrain(pathlib.Path(sys.argv[1]), 3, callbacks=[Kill(int(sys.argv[2]))])
