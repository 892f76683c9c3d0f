# %% [markdown]
# # 用自己的文本预训练
#
# 在没有标签的外卖评论上用替换词检测预训练，看它学到了什么。环境变量 `REVIEWS`
# 是 `waimai_10k.csv.gz` 所在的文件夹。两个核大约一分钟。

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # 或 "jax"、"tensorflow"
import collections
import csv
import gzip
import pathlib
import random

import keras

import keras_electra

keras.utils.set_random_seed(0)

# %% [markdown]
# ## 文本
# 预训练不看标签。

# %%
path = pathlib.Path(os.environ.get("REVIEWS", "zh"), "waimai_10k.csv.gz")
with gzip.open(path, "rt", encoding="utf-8") as file:
    rows = [(row["review"], int(row["label"])) for row in csv.DictReader(file)]
random.Random(0).shuffle(rows)
reviews = [review for review, _ in rows[1000:]]  # 前一千条留作测试
text = "\n\n".join(reviews)
pathlib.Path("reviews.txt").write_text(text, encoding="utf-8")
print(f"{len(reviews):,} 条评论，{len(text):,} 个字")

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
        num_layers=1,
        num_heads=4,
        hidden_dim=width,
        intermediate_dim=4 * width,
        embedding_dim=128,
        max_sequence_length=64,
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
pretrainer.fit(examples, steps_per_epoch=steps, epochs=1, verbose=0)
after = pretrainer.evaluate(held_out, verbose=0, return_dict=True)
for name in ("generator_loss", "generator_accuracy", "discriminator_auc"):
    print(f"{name:<20} {before[name]:.3f} -> {after[name]:.3f}")
ids = collections.Counter(sum(tokenizer.encode_batch(reviews), []))
most = ids.most_common(1)[0][1] / ids.total()
print(f"总是最常见的字，准确率：{most:.3f}")
pretrainer.save_to_preset("electra_zh")

# %%
filler = keras_electra.ElectraMaskedLM.from_preset("electra_zh")
filler.fill_mask("味道很[MASK]，送餐很快", top_k=3)

# %% [markdown]
# ## 下一步
# 四百步只是开始：这样短的预训练对微调还没有帮助。训练几小时以后，用
# `ElectraTextClassifier.from_preset("electra_zh", labels=["差", "好"])` 微调，
# 并与 `load_weights=False` 的同一网络以及 `first_steps_zh` 里的朴素贝叶斯比较。
