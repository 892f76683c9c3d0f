# %% [markdown]
# # 第一步
#
# 用中文外卖评论（`waimai_10k.csv.gz`，一列 `label`，一列 `review`）训练一个
# 情感分类器，并与按字计数的朴素贝叶斯比较。环境变量 `REVIEWS` 是数据所在的
# 文件夹。两个核大约一分钟。

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # 或 "jax"、"tensorflow"
import collections
import csv
import gzip
import math
import pathlib
import random

import keras

import keras_electra

keras.utils.set_random_seed(0)

# %% [markdown]
# ## 数据
# 每一类取同样多的评论；没有用来训练的留作测试。

# %%
path = pathlib.Path(os.environ.get("REVIEWS", "zh"), "waimai_10k.csv.gz")
with gzip.open(path, "rt", encoding="utf-8") as file:
    rows = [(row["review"], int(row["label"])) for row in csv.DictReader(file)]
random.Random(0).shuffle(rows)
good = [row for row in rows if row[1] == 1][:2000]
bad = [row for row in rows if row[1] == 0][:2000]
rows = [row for pair in zip(good, bad) for row in pair]
train, test = rows[:3000], rows[3000:]
texts, numbers = map(list, zip(*train))
test_texts, test_numbers = map(list, zip(*test))
print(len(train), len(test), texts[:2])

# %% [markdown]
# ## 词表
# `split_on_cjk` 使每个汉字成为一个词。这里从评论学习词表；也可以读取现成的：
# `ElectraTokenizer.from_preset("hf://bert-base-chinese")`。

# %%
pathlib.Path("reviews.txt").write_text("\n".join(texts), encoding="utf-8")
vocabulary = keras_electra.train_vocabulary(
    "reviews.txt", vocabulary_size=4000, max_alphabet=2000
)
tokenizer = keras_electra.ElectraTokenizer(vocabulary)
print(tokenizer.encode_batch(["味道不错，送餐很快"]))

# %% [markdown]
# ## 分类器
# 没有预训练的小网络；预训练见 `pretrain_zh`。

# %%
backbone = keras_electra.ElectraBackbone(
    vocabulary_size=len(vocabulary),
    num_layers=1,
    num_heads=4,
    hidden_dim=128,
    intermediate_dim=512,
    max_sequence_length=64,
)
classifier = keras_electra.ElectraTextClassifier(
    backbone,
    labels=["差", "好"],
    preprocessor=keras_electra.ElectraTextClassifierPreprocessor(
        tokenizer, sequence_length=64
    ),
)
classifier.compile(optimizer=keras_electra.ElectraAdamW(5e-4))
classifier.fit(texts, numbers, batch_size=32, epochs=4, verbose=0)
found = classifier.evaluate(
    test_texts, test_numbers, verbose=0, return_dict=True
)
print(f"分类器的准确率：{found['accuracy']:.1%}")

# %% [markdown]
# ## 最简单的对手
# 按字计数的朴素贝叶斯。

# %%
counts = [collections.Counter(), collections.Counter()]
for text, number in train:
    counts[number].update(text)
size = len(counts[0] | counts[1])


def score(text, number):
    """一个类别下一条评论的对数概率。"""
    total = counts[number].total() + size
    return sum(math.log((counts[number][c] + 1) / total) for c in text)


right = sum((score(t, 1) > score(t, 0)) == bool(n) for t, n in test)
print(f"朴素贝叶斯的准确率：{right / len(test):.1%}")

# %% [markdown]
# ## 使用，以及为什么

# %%
for text in ("味道很好，下次还来", "等了两个小时，菜都凉了"):
    print(text, classifier.classify(text)[0])
classifier.explain("等了两个小时，菜都凉了")
