# %% [markdown]
# # 用自己的文本预训练
#
# 先在没有标签的评论上用替换词检测预训练，再用很少的标签微调，并与没有预训练
# 的同一网络比较。环境变量 `REVIEWS` 是 `waimai_10k.csv.gz` 所在的文件夹。两个
# 核大约一分半钟。

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # 或 "jax"、"tensorflow"
import csv
import gzip
import pathlib
import random

import keras

import keras_electra

keras.utils.set_random_seed(0)

# %% [markdown]
# ## 文本
# 预训练不看标签，也不看测试用的评论。

# %%
path = pathlib.Path(os.environ.get("REVIEWS", "zh"), "waimai_10k.csv.gz")
with gzip.open(path, "rt", encoding="utf-8") as file:
    rows = [(row["review"], int(row["label"])) for row in csv.DictReader(file)]
random.Random(0).shuffle(rows)
test, rest = rows[:1000], rows[1000:]
text = "\n\n".join(review for review, _ in rest)
pathlib.Path("reviews.txt").write_text(text, encoding="utf-8")
print(f"{len(rest):,} 条评论，{len(text):,} 个字")

# %% [markdown]
# ## 词表与样本

# %%
vocabulary = keras_electra.train_vocabulary(
    "reviews.txt", vocabulary_size=4000, max_alphabet=2500
)
tokenizer = keras_electra.ElectraTokenizer(vocabulary)
report = keras_electra.build_examples(
    "reviews.txt",
    "examples_zh",
    tokenizer,
    sequence_length=32,
    validation_fraction=0.05,
    verbose=False,
)
examples = keras_electra.load_examples("examples_zh", "train", batch_size=32)
held_out = keras_electra.load_examples(
    "examples_zh", "validation", batch_size=32
)
print(report)

# %% [markdown]
# ## 预训练
# 生成器提出替换的词，判别器找出它们。`discriminator_auc` 靠猜是 0.5。


# %%
def network(width):
    return keras_electra.ElectraBackbone(
        vocabulary_size=len(vocabulary),
        num_layers=2,
        num_heads=4,
        hidden_dim=width,
        intermediate_dim=4 * width,
        embedding_dim=128,
        max_sequence_length=64,
        dropout=0.0,
        initializer_range=0.08,
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
        num_steps=steps, learning_rate=2e-3, warmup_steps=40
    )
)
before = pretrainer.evaluate(held_out, verbose=0, return_dict=True)
pretrainer.fit(examples, steps_per_epoch=steps, epochs=1, verbose=0)
after = pretrainer.evaluate(held_out, verbose=0, return_dict=True)
for name in ("generator_loss", "generator_accuracy", "discriminator_auc"):
    print(f"{name:<20} {before[name]:.3f} -> {after[name]:.3f}")
pretrainer.save_to_preset("electra_zh")

# %%
filler = keras_electra.ElectraMaskedLM.from_preset("electra_zh")
filler.fill_mask("味道很[MASK]，送餐很快", top_k=3)

# %% [markdown]
# ## 用 300 个标签微调
# 同样的网络、同样的步数，有和没有预训练；多数类是最简单的对手。

# %%
texts, numbers = map(list, zip(*rest[:300]))
test_texts, test_numbers = map(list, zip(*test))
most = max(test_numbers.count(0), test_numbers.count(1)) / len(test)
print(f"总是多数类：{most:.1%}")
for name, load in (("没有预训练", False), ("有预训练", True)):
    keras.utils.set_random_seed(0)
    classifier = keras_electra.ElectraTextClassifier.from_preset(
        "electra_zh", load_weights=load, labels=["差", "好"], sequence_length=64
    )
    classifier.fit(texts, numbers, batch_size=16, epochs=4, verbose=0)
    found = classifier.evaluate(
        test_texts, test_numbers, verbose=0, return_dict=True
    )
    print(f"{name}：{found['accuracy']:.1%}")
