"""Rows of the table of the presets for which nothing is trained.

Each is a function of the program's arguments that yields a title, the rival's
value or `None`, and a list of values, one a seed.
"""

import numpy as np

import keras_electra
from harness import blimp
from harness import cloze
from harness import probes
from harness import sentence_scores
from harness.glue_data import read_glue
from harness.recipes import GLUE


def auc(right, wrong):
    """How often one of `right` scores higher than one of `wrong`, percent."""
    from sklearn.metrics import roc_auc_score

    labels = [1] * len(right) + [0] * len(wrong)
    return 100 * roc_auc_score(labels, np.concatenate([right, wrong]))


def spearman(first, second):
    from scipy.stats import spearmanr

    return 100 * float(spearmanr(first, second).statistic)


WORDS = {"token_pattern": r"\w+"}
# The best of four kinds on 1,500 pairs of the training set of STS-B.
CHARACTERS = {"analyzer": "char_wb", "ngram_range": (2, 4)}


def tfidf(texts, kind=WORDS):
    """TF-IDF, a function from texts to sparse rows of length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(sublinear_tf=True, **kind).fit(texts).transform


def read_task(args, task, split):
    return read_glue(args.data / "glue" / GLUE[task].folder, GLUE[task], split)


def row_vectors(args):
    """Cosines of vectors without training, on the development set of STS-B."""
    rival, score = vector_scores(args)
    yield "STS-B, untrained vectors", rival, [score(open_embedder(args))]
    random = open_embedder(args, load_weights=False)
    yield "the same of random weights", None, [score(random)]


def vector_scores(args):
    """Spearman of TF-IDF, and a function that gives it of an embedder."""
    train, dev = (read_task(args, "stsb", s) for s in ("train", "dev"))
    encode = tfidf([*train.texts[0], *train.texts[1]], CHARACTERS)
    first, second = map(encode, dev.texts)
    cosines = np.asarray(first.multiply(second).sum(axis=1)).ravel()

    def score(embedder):
        first, second = map(embedder.embed, dev.texts)
        return spearman((first * second).sum(axis=-1), dev.labels)

    return spearman(cosines, dev.labels), score


def open_embedder(args, **kwargs):
    return keras_electra.ElectraTextEmbedder.from_preset(
        args.preset, sequence_length=128, **kwargs
    )


def row_jfleg(args):
    """Words that two annotators changed, beside how rare they are."""
    texts, labels = probes.changed_words(args.data / "ged" / "jfleg")
    counts = probes.word_counts(
        args.data / "corpus/enwiki2015/wiki-train-00.txt.xz"
    )
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(
        args.preset
    )
    suspicion, rarity = [], []
    for text, tokens in zip(texts, detector.detect(texts)):
        for word in probes.WORD.finditer(text):
            inside = [
                token.probability
                for token in tokens
                if word.start() <= token.start < word.end()
            ]
            suspicion.append(max(inside, default=0.0))
            parts = probes.PART.findall(word.group().lower())  # of "n't"
            rarity.append(-min(counts[part] for part in parts))
    truth = np.concatenate(labels)

    def of(scores):
        scores = np.array(scores, "float64")
        return auc(scores[truth], scores[~truth])

    yield "JFLEG, words that two changed, AUC", of(rarity), [of(suspicion)]


def row_cloze(args):
    """Sentences for which the right word is among the first five."""
    filler = keras_electra.ElectraMaskedLM.from_preset(args.preset)
    texts, answers = zip(*cloze.SENTENCES)
    right = 0
    for found, known in zip(filler.fill_mask(list(texts)), answers):
        right += any(token in known for token, _ in found[0])
    frequent = ["the", ",", ".", "of", "and"]
    rival = sum(any(word in known for word in frequent) for known in answers)
    yield f"cloze, right of {len(texts)}", float(rival), [float(right)]


def row_blimp(args):
    """Minimal pairs, by the generator and by the discriminator."""
    path = args.data / "blimp" / "blimp.tar.xz"
    pairs = blimp.read_pairs(path, args.blimp_pairs)
    for name, cls, score in (
        (
            "discriminator",
            keras_electra.ElectraReplacedTokenDetector,
            sentence_scores.log_probability_of_original,
        ),
        (
            "generator",
            keras_electra.ElectraMaskedLM,
            sentence_scores.pseudo_log_likelihood,
        ),
    ):
        scores = blimp.score_pairs(score, cls.from_preset(args.preset), pairs)
        found = blimp.accuracies(pairs, scores)["overall"]
        yield f"BLiMP, {name}", 50.0, [found]


def row_retrieval(args):
    """An article by its first sentence among others, first places."""
    path = args.data / "corpus/enwiki2015/wiki-train-09.txt.xz"
    _, queries, rests = zip(*probes.articles(path, args.articles + 1))
    encode, embedder = tfidf(rests), open_embedder(args)

    def first_places(scores):
        return 100 * float(np.mean(scores.argmax(1) == np.arange(len(scores))))

    rival = (encode(queries) @ encode(rests).T).toarray()
    found = embedder.embed(list(queries)) @ embedder.embed(list(rests)).T
    name = f"an article of {len(rests):,} by its first sentence"
    yield name, first_places(rival), [first_places(found)]


ROWS = {
    "vectors": row_vectors,
    "jfleg": row_jfleg,
    "cloze": row_cloze,
    "blimp": row_blimp,
    "retrieval": row_retrieval,
}
