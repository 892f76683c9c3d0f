# %% [markdown]
# # Pre-train on your own text
#
# From text files to a network of your own: a vocabulary, examples,
# replaced-token detection, and what was learnt. The text here is the
# documentation in Python's standard library; put your files in its place. Two
# minutes on two cores, so the network stays a beginner.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "torch")
import collections
import inspect
import pathlib

import keras

import keras_electra

keras.utils.set_random_seed(0)

# %% [markdown]
# ## Text
# Plain files, a blank line between documents.

# %%
documents = []
for path in sorted(pathlib.Path(inspect.__file__).parent.glob("*.py")):
    source = path.read_text(encoding="utf-8", errors="replace")
    parts = source.split('"""')[1::2]  # what stands between triple quotes
    documents += [" ".join(part.split()) for part in parts if len(part) > 80]
pathlib.Path("corpus.txt").write_text("\n\n".join(documents), encoding="utf-8")
print(f"{len(documents):,} documents, {sum(map(len, documents)):,} characters")

# %% [markdown]
# ## Vocabulary and examples
# Some documents are held out, to see what is learnt.

# %%
vocabulary = keras_electra.train_vocabulary(
    "corpus.txt", vocabulary_size=2048, lowercase=True
)
tokenizer = keras_electra.ElectraTokenizer(vocabulary, lowercase=True)
report = keras_electra.build_examples(
    "corpus.txt",
    "examples",
    tokenizer,
    sequence_length=32,
    validation_fraction=0.05,
    verbose=False,
)
train = keras_electra.load_examples("examples", "train", batch_size=32)
held_out = keras_electra.load_examples("examples", "validation", batch_size=32)
print(report)

# %% [markdown]
# ## Two networks
# For real use: `ElectraPretrainer.from_size("small", tokenizer=tokenizer)`.


# %%
def network(width):
    return keras_electra.ElectraBackbone(
        vocabulary_size=len(vocabulary),
        num_layers=1,
        num_heads=4,
        hidden_dim=width,
        intermediate_dim=4 * width,
        embedding_dim=128,
        max_sequence_length=32,
        dropout=0.0,
    )


pretrainer = keras_electra.ElectraPretrainer(
    network(128),
    network(64),
    preprocessor=keras_electra.ElectraPretrainerPreprocessor(
        tokenizer, sequence_length=32
    ),
    discriminator_weight=5.0,
)
steps = 400
pretrainer.compile(
    optimizer=keras_electra.pretraining_optimizer(
        num_steps=steps, learning_rate=1e-3, warmup_steps=40
    )
)
before = pretrainer.evaluate(held_out, verbose=0, return_dict=True)
history = pretrainer.fit(train, steps_per_epoch=steps, epochs=1, verbose=0)
after = pretrainer.evaluate(held_out, verbose=0, return_dict=True)

# %% [markdown]
# ## What it has learnt
# The area under the curve of the discriminator is 0.5 by chance. The generator
# learns first; the discriminator follows when proposals begin to fit.

# %%
for name in ("generator_loss", "generator_accuracy", "discriminator_auc"):
    print(f"{name:<20} {before[name]:.3f} -> {after[name]:.3f}")
ids = collections.Counter(sum(tokenizer.encode_batch(documents), []))
most = ids.most_common(1)[0][1] / ids.total()
print(f"always the most frequent token: accuracy {most:.3f}")

# %% [markdown]
# ## Use
# Every task opens what was saved.

# %%
pretrainer.save_to_preset("my_electra")
filler = keras_electra.ElectraMaskedLM.from_preset("my_electra")
print(filler.fill_mask("return a [MASK] of the object", top_k=3))
detector = keras_electra.ElectraReplacedTokenDetector.from_preset("my_electra")
detector.explain("return a string of the the object")
