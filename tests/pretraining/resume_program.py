"""Pre-trains a tiny network; may kill itself on the way.

    python -m tests.pretraining.resume_program FOLDER [EPOCH BATCH]

Run again with the same folder it goes on. The last line of a whole run is
`done`, and `FOLDER/weights.npz` then has all weights and optimizer slots.
"""

import os
import pathlib
import signal
import sys

import keras
import numpy as np
from keras import ops

import keras_electra
from tests.pretraining.conftest import FAST
from tests.pretraining.conftest import SPECIAL
from tests.pretraining.conftest import WORDS
from tests.pretraining.conftest import tiny_pretrainer


def train(folder, kill_at=None):
    """Trains for three epochs of four steps.

    Args:
        folder: `Path`.
        kill_at: (epoch, batch) at whose end the process kills itself.
    """
    keras.utils.set_random_seed(11)
    tokenizer = keras_electra.ElectraTokenizer(SPECIAL + WORDS)
    keras_electra.build_examples(
        str(write_corpus(folder)),
        str(folder / "examples"),
        tokenizer,
        sequence_length=12,
        validation_fraction=0.2,
        verbose=False,
    )
    examples = str(folder / "examples")
    data = keras_electra.load_examples(examples, "train", 8, seed=3)
    held_out = keras_electra.load_examples(examples, "validation", 8)
    pretrainer = tiny_pretrainer(
        tokenizer,
        compile=False,
        dropout=0.1,
        mask_fraction=(0.1, 0.6),
        fill_fraction=0.5,
    )
    pretrainer.compile(optimizer=keras_electra.ElectraAdamW(1e-2), **FAST)
    callbacks = [keras_electra.ResumableCheckpoint(str(folder / "run"))]
    if kill_at:
        callbacks.append(Kill(*kill_at))
    pretrainer.fit(
        data,
        validation_data=held_out,
        steps_per_epoch=4,
        epochs=3,
        callbacks=callbacks,
        verbose=0,
    )
    variables = pretrainer.variables + pretrainer.optimizer.variables
    return [ops.convert_to_numpy(v.value) for v in variables]


def write_corpus(folder):
    """A document a line, three in four of them two sentences long."""
    generator = np.random.default_rng(0)
    path = folder / "corpus.txt"
    lines = []
    for start in generator.integers(0, 27, 60):
        words = [WORDS[(start + i) % 27] for i in range(14)]
        lines += [" ".join(words[:7]), " ".join(words[7:]), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


class Kill(keras.callbacks.Callback):
    """Ends the process as if it lost power."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.at = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    kill_at = tuple(int(n) for n in sys.argv[2:]) or None
    arrays = train(folder, kill_at)
    np.savez(folder / "weights.npz", *arrays)
    print("done")
