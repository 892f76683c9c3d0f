# %% [markdown]
# # Fine-tune and deploy
#
# A classifier from labelled text, beside its simplest rival; probabilities
# that mean what they say; a graph in eight bits that runs without Keras. It
# needs `pip install "keras-electra[torch,export]"`. A minute on two cores.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "torch")
import collections
import inspect
import math
import pathlib
import random
import re

import keras
import numpy as np
import onnxruntime
import tokenizers

import keras_electra

keras.utils.set_random_seed(0)

# %% [markdown]
# ## Labelled text
# Have two words of a sentence changed places? The sentences are from the
# documentation in Python's standard library. Files are split, so that no file
# is both learnt from and tested on.

# %%
library = pathlib.Path(inspect.__file__).parent
paths = [*sorted(library.glob("*.py")), *sorted(library.glob("[a-r]*/*.py"))]
sentences = {"train": [], "held out": [], "test": []}
for number, path in enumerate(paths):
    source = path.read_text(encoding="utf-8", errors="replace")
    text = " ".join(" ".join(source.split('"""')[1::2]).split())
    part = ("train", "test", "train", "held out")[number % 4]
    sentences[part] += re.findall(r"[A-Z][a-z',; -]{40,140}\.", text)

labels = ["right", "swapped"]
draws = random.Random(0)


def swap(sentence):
    words = sentence.split()
    places = range(1, len(words) - 2)
    i = draws.choice([i for i in places if words[i] != words[i + 1]])
    words[i], words[i + 1] = words[i + 1], words[i]
    return " ".join(words)


def examples(part, count):
    right = draws.sample(sorted(set(sentences[part])), count)
    pairs = [(text, "right") for text in right]
    pairs += [(swap(text), "swapped") for text in right]
    return tuple(map(list, zip(*draws.sample(pairs, len(pairs)))))


train, held_out, test = (
    examples("train", 400),
    examples("held out", 500),
    examples("test", 500),
)
for text, label in list(zip(*train))[:3]:
    print(f"{label:<8} {text}")

# %% [markdown]
# ## Training, beside counts of words
# The rival is naive Bayes on pairs of neighbouring words.

# %%
classifier = keras_electra.ElectraTextClassifier.from_preset(
    "electra_tiny_en", labels=labels, sequence_length=48
)
classifier.fit(*train, batch_size=16, epochs=3, verbose=0)
found = classifier.evaluate(*test, verbose=0, return_dict=True)
print(f"accuracy of the classifier: {found['accuracy']:.1%}")


# %%
def pairs_of(text):
    words = text.lower().split()
    return list(zip(words, words[1:]))


counts = {label: collections.Counter() for label in labels}
for text, label in zip(*train):
    counts[label].update(pairs_of(text))
size = len(counts["right"] | counts["swapped"])


def score(label, text):
    total = counts[label].total() + size
    pairs = pairs_of(text)
    return sum(math.log((counts[label][pair] + 1) / total) for pair in pairs)


guesses = [max(labels, key=lambda label: score(label, x)) for x in test[0]]
right = sum(guess == label for guess, label in zip(guesses, test[1]))
print(f"accuracy of counts: {right / len(guesses):.1%}")

# %% [markdown]
# ## Probabilities to be trusted
# `calibrate` takes examples that were not trained on. `abstain_below` refuses
# what is less sure than the errors allow. One scale for all logits changes no
# order, so as many are decided within 5 % of errors as before. Look at the
# error beside what chance leaves: few examples do not always calibrate better.

# %%
print(classifier.coverage_report(*test))
classifier.calibrate(*held_out)
print(classifier.coverage_report(*test))

# %% [markdown]
# ## A graph that runs without Keras
# It prints the true label, and what the graph says.

# %%
classifier.save_to_preset("swap_classifier")
classifier.export("exported", "onnx", quantize="int8")

# %%
tokenizer = tokenizers.Tokenizer.from_file("exported/tokenizer.json")
tokenizer.enable_truncation(48)
session = onnxruntime.InferenceSession("exported/onnx/model_quantized.onnx")
for text, label in list(zip(*test))[:5]:
    row = tokenizer.encode(text)
    x = np.array([[row.ids], [row.attention_mask], [row.type_ids]])
    names = ("input_ids", "attention_mask", "token_type_ids")
    (logits,) = session.run(None, dict(zip(names, x)))[:1]
    print(f"{label:<8} {labels[int(np.argmax(logits))]:<8} {text[:60]}")
