# %% [markdown]
# # First steps
#
# A preset finds words that do not fit, fills gaps, learns labels and says why
# it decides. One minute on two cores. In Colab run first
# `%pip install keras_electra-*.whl` with the wheel uploaded
# (`pip wheel --no-deps .` in the repository makes it).

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # or "jax", "tensorflow"
import keras

import keras_electra

keras.utils.set_random_seed(0)

# %% [markdown]
# ## Words that do not fit
# The discriminator of an ELECTRA says of each token how probably it was
# replaced. This one has learnt for four minutes: it sees what breaks a
# sentence, and not yet that chefs seldom kick meals.

# %%
detector = keras_electra.ElectraReplacedTokenDetector.from_preset(
    "electra_small_en"
)
text = "The film was directed piano by a young man."
for token in detector.detect(text):
    print(f"{token.token:<12} {token.probability:.2f}")

# %% [markdown]
# The same as a picture: the darker, the more suspicious.

# %%
detector.explain(text)

# %% [markdown]
# ## Gaps
# The generator proposes tokens for `[MASK]`; that of `electra_tiny_en` knows
# which words are common, and little more.

# %%
filler = keras_electra.ElectraMaskedLM.from_preset("electra_tiny_en")
filler.fill_mask("He was born in the [MASK] of London.", top_k=3)

# %% [markdown]
# ## Labels
# Is a sentence a question? The question marks are left away, so that it has
# to be seen from the words. With so few examples this shows the way, not what
# can be reached.

# %%
asked = [
    f"{word} {rest}"
    for word in ("who", "where", "when", "why", "how")
    for rest in (
        "did the king leave the city",
        "is the old bridge closed",
        "was the letter written",
        "do they sell bread",
    )
]
told = [
    f"{word} {rest}"
    for word in ("yesterday", "there", "later", "perhaps", "in may")
    for rest in (
        "the king left the city",
        "the old bridge is closed",
        "the letter was written",
        "they sell bread",
    )
]
classifier = keras_electra.ElectraTextClassifier.from_preset(
    "electra_tiny_en", labels=["statement", "question"]
)
classifier.fit(
    asked + told,
    ["question"] * len(asked) + ["statement"] * len(told),
    batch_size=8,
    epochs=8,
    verbose=0,
)
tests = ["where did the queen find a horse", "the queen found a horse there"]
for text, result in zip(tests, classifier.classify(tests)):
    print(text, result[0])

# %% [markdown]
# What each word adds to the decision:

# %%
classifier.explain("why did the king leave the city")

# %% [markdown]
# It is saved as a folder, and opened by its name again.

# %%
classifier.save_to_preset("question_classifier")
opened = keras_electra.ElectraTextClassifier.from_preset("question_classifier")
opened.classify("where is the mill")
