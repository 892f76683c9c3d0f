"""Tokenizing blocks: in order, by any process, with results kept."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from keras_electra.text import workers
from keras_electra.text.tokenizer import ElectraTokenizer
from keras_electra.text.workers import tokenize_blocks
from tests.text.tiny_corpus import EndingTokenizer
from tests.text.tiny_corpus import NumberTokenizer

BLOCKS = [([f"{i}", f"{i} {i + 1}"], [0]) for i in range(5, 25)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]


def tokenize(folder, tokenizer=None, **settings):
    tokenizer = tokenizer or NumberTokenizer()
    how = folder, tokenizer.encode_batch, tokenizer.fingerprint(), "uint16"
    return tokenize_blocks(BLOCKS, *how, **settings)


@pytest.mark.parametrize("num_processes", [1, 2])
def test_in_order_and_kept(tmp_path, num_processes):
    for was_found in (False, True):
        results = list(tokenize(tmp_path, num_processes=num_processes))
        assert [block for *block, _, _, _ in results] == list(map(list, BLOCKS))
        assert all(is_reused is was_found for *_, is_reused in results)
        for lines, _, ids, lengths, _ in results:
            numbers = " ".join(lines)
            assert ids.tolist() == [int(word) for word in numbers.split()]
            np.testing.assert_array_equal(lengths, [1, 2])
    others = tokenize(tmp_path, NumberTokenizer(name="others"))
    assert not any(is_reused for *_, is_reused in others)


def test_sudden_end_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="ended before.*num_processes"):
        list(tokenize(tmp_path, EndingTokenizer(), num_processes=2))


def test_stopping_half_way_ends_the_processes(tmp_path):
    results = tokenize(tmp_path, num_processes=2)
    next(results)
    results.close()  # would hang if a process went on


SCRIPT = """
import keras_electra

print("run")  # no guard: once all the same
tokenizer = keras_electra.ElectraTokenizer({vocabulary!r})
out = {folder!r} + "/out"
report = keras_electra.build_examples(
    __file__, out, tokenizer, num_processes=2, verbose=False
)
print(report.documents)
"""


def test_a_script_needs_no_guard(tmp_path):
    script = tmp_path / "script.py"
    folder = str(tmp_path)
    script.write_text(SCRIPT.format(vocabulary=VOCABULARY, folder=folder))
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True
    )
    assert result.stdout.split("\n")[:2] == ["run", "2"], result.stderr


def test_workers_need_no_keras(tmp_path):
    encode = ElectraTokenizer(VOCABULARY).pipeline.encode
    code = (
        f"folder = {workers.FOLDER!r}\n{workers.SETUP}\n"
        f"import pickle; pickle.loads({pickle.dumps(encode)!r})\n"
        "print(sys.modules.keys() & {'keras', 'keras_hub', 'tensorflow'})"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert output == "set()\n"
    # Of what a user's tokenizer asks for all is there, as in this package.
    package = tmp_path / "keras_electra"
    package.mkdir()
    (package / "__init__.py").write_text("name = 'found'")
    code = (
        f"folder = {str(package)!r}\n{workers.SETUP}\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import keras_electra; print(keras_electra.name)\n"
        "print(hasattr(keras_electra, 'none'))"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert output == "found\nFalse\n"
