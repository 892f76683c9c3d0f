"""How good a text is, and how different several are.

BLEU is sacrebleu's and ROUGE rouge-score's; here is what they have not. Never a
perplexity by the network that wrote.
"""

import collections
import math

import numpy as np
import sacrebleu


def ngrams(words, size):
    """Counts of the n-grams of a list of words, a `Counter`."""
    return collections.Counter(zip(*(words[i:] for i in range(size))))


def distinct(texts, size=2):
    """Share of different n-grams among all of the texts, in percent."""
    counts = sum((ngrams(t.split(), size) for t in texts), ngrams([], size))
    return 100 * len(counts) / max(1, counts.total())


def self_bleu(groups):
    """Mean BLEU of each text of a group by the others of it; low is diverse."""
    scores = [
        sacrebleu.sentence_bleu(text, [*group[:i], *group[i + 1 :]]).score
        for group in groups
        for i, text in enumerate(group)
    ]
    return float(np.mean(scores))


def gleu(sources, texts, references):
    """GLEU of corrections, in percent (Napoles et al. 2016, without tuning).

    BLEU's precisions of the texts, from which n-grams are taken off that a
    source has and the reference has not; a mean over the references.

    Args:
        sources, texts: lists of strings, tokens between spaces.
        references: list of such lists, each parallel to the texts.
    """
    scores = []
    for reference in references:
        right, whole = np.zeros(4), np.zeros(4)
        lengths = np.zeros(2)  # of texts and of references
        for source, text, target in zip(sources, texts, reference):
            parts = [line.split() for line in (source, text, target)]
            lengths += len(parts[1]), len(parts[2])
            for size in range(1, 5):
                old, new, gold = (ngrams(words, size) for words in parts)
                wrong = {n: c for n, c in old.items() if n not in gold}
                wrong = collections.Counter(wrong)
                hits = (new & gold).total() - (new & wrong).total()
                right[size - 1] += max(0, hits)
                whole[size - 1] += max(0, len(parts[1]) - size + 1)
        if not right.all():
            scores.append(0.0)
            continue
        brevity = min(0.0, 1 - lengths[1] / lengths[0])
        scores.append(100 * math.exp(brevity + np.log(right / whole).mean()))
    return float(np.mean(scores))
