# %% [markdown]
# # Fine-tune and deploy
#
# A classifier from labelled text, beside its simplest rival; probabilities
# that mean what they say; a graph in eight bits that runs without Keras. It
# needs `pip install "keras-electra[torch,export]"`. Two minutes on two cores.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "torch")
import collections
import inspect
import math
import pathlib
import random

import keras
import numpy as np
import onnxruntime
import tokenizers

import keras_electra

keras.utils.set_random_seed(0)

# %% [markdown]
# ## Labelled text
# Which part of Python's standard library is a piece of documentation from?
# Files are split, so that no file is both learnt from and tested on.

# %%
library = pathlib.Path(inspect.__file__).parent
labels = ["asyncio", "email", "unittest"]
split = {"train": [], "held out": [], "test": []}
for label in labels:
    for number, path in enumerate(sorted((library / label).rglob("*.py"))):
        source = path.read_text(encoding="utf-8", errors="replace")
        for part in source.split('"""')[1::2]:
            text = " ".join(part.split())[:300]
            if len(text) > 40:
                part = ("train", "test", "train", "held out")[number % 4]
                split[part].append((text, label))
for name, examples in split.items():
    random.Random(0).shuffle(examples)
    split[name] = tuple(map(list, zip(*examples)))
    counts = collections.Counter(split[name][1])
    print(name, dict(counts))

# %% [markdown]
# ## Training, beside counts of words

# %%
classifier = keras_electra.ElectraTextClassifier.from_preset(
    "electra_tiny_en", labels=labels, sequence_length=64
)
texts, names = split["train"]
texts, names = texts[:400], names[:400]
classifier.fit(texts, names, batch_size=16, epochs=3, verbose=0)
found = classifier.evaluate(*split["test"], verbose=0, return_dict=True)
print(f"accuracy of the classifier: {found['accuracy']:.1%}")


# %%
def bayes(texts, names, tests):
    """Naive Bayes on words."""
    counts = collections.defaultdict(collections.Counter)
    for text, name in zip(texts, names):
        counts[name].update(text.lower().split())
    size = len({word for words in counts.values() for word in words})

    def score(name, text):
        total = counts[name].total() + size
        words = text.lower().split()
        scores = (math.log((counts[name][w] + 1) / total) for w in words)
        return math.log(names.count(name)) + sum(scores)

    return [max(counts, key=lambda name: score(name, text)) for text in tests]


guesses = bayes(texts, names, split["test"][0])
right = sum(guess == name for guess, name in zip(guesses, split["test"][1]))
print(f"accuracy of counts of words: {right / len(guesses):.1%}")

# %% [markdown]
# ## Probabilities to be trusted
# `calibrate` takes examples that were not trained on. `abstain_below` refuses
# what is less sure than the errors allow.

# %%
print(classifier.coverage_report(*split["test"]))
classifier.calibrate(*split["held out"])
print(classifier.coverage_report(*split["test"]))

# %% [markdown]
# ## A graph that runs without Keras

# %%
classifier.save_to_preset("part_classifier")
classifier.export("exported", "onnx", quantize="int8")

# %%
tokenizer = tokenizers.Tokenizer.from_file("exported/tokenizer.json")
tokenizer.enable_truncation(64)
session = onnxruntime.InferenceSession("exported/onnx/model_quantized.onnx")
for text in split["test"][0][:3]:
    row = tokenizer.encode(text)
    x = np.array([[row.ids], [row.attention_mask], [row.type_ids]])
    names = ("input_ids", "attention_mask", "token_type_ids")
    (logits,) = session.run(None, dict(zip(names, x)))[:1]
    print(labels[int(np.argmax(logits))], "|", text[:60])
