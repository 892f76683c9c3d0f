"""What the original program does otherwise, to compare with its numbers."""

import bisect

from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from keras_electra.tasks.qa_windows import WORD
from keras_electra.tasks.token_classifier import TaggingRow


def original_rows(sentences, tokenizer, length):
    """Makes the rows of the original program, one a sentence.

    They lose words: the room left is counted in all words of the sentence
    plus the pieces so far (`tagging_tasks.py:138-140`), so of a sentence of
    more than half a row little is left. A word `[CLS]` or `[SEP]` becomes the
    special token and is not judged, and the labels of the words after it
    move to the word before. A word without pieces shares the position of
    the next. For comparison, not for use.

    Args:
        sentences: list of lists of str, words.
        tokenizer: `ElectraTokenizer`.
        length: int. Most tokens of a row.

    Returns:
        List of `TaggingRow`. `words[i]` is the number of the label that
        belongs to `positions[i]`.
    """
    special = {
        tokenizer.cls_token: tokenizer.cls_token_id,
        tokenizer.sep_token: tokenizer.sep_token_id,
    }
    rows = []
    for number, words in enumerate(sentences):
        pieces = [[tokenizer.cls_token_id]]
        pieces += tokenizer.encode_batch(words)
        pieces.append([tokenizer.sep_token_id])
        ids, positions = [], []
        for i, (word, own) in enumerate(zip(["", *words, ""], pieces)):
            if len(pieces) + len(ids) + 1 > length:
                ids.append(tokenizer.sep_token_id)
                break
            if word in special:
                own = [special[word]]
            elif 0 < i <= len(words):
                positions.append(len(ids))
            ids += own
        judged = list(range(len(positions)))
        rows.append(TaggingRow(ids, number, judged, positions))
    return rows


def original_texts(document, tokenizer):
    """A `Document` whose spans read as those of the original program."""
    word_spans, words = words_of(document)
    firsts, ends = zip(*document.offsets, strict=True)

    class Text(str):
        def __getitem__(self, part):
            first, last = firsts.index(part.start), ends.index(part.stop)
            pieces = map(tokenizer.id_to_token, document.ids[first : last + 1])
            spans = word_spans[words[first] : words[last] + 1]
            said = " ".join(document.text[start:end] for start, end in spans)
            spelled = " ".join(pieces).replace(" ##", "").removeprefix("##")
            return align(spelled, said, tokenizer.lowercase)

    return document._replace(text=Text(document.text))


def words_of(document):
    """Characters `(start, end)` of words; the number of each token's word."""
    spans = [match.span() for match in WORD.finditer(document.text)]
    starts = [start for start, _ in spans]
    return spans, [
        bisect.bisect_right(starts, start) - 1 for start, _ in document.offsets
    ]


def align(spelled, text, lowercase):
    """Finds tokens, spelled out, in the text they came from.

    Args:
        spelled: string. Words of the tokenizer with spaces between them.
        text: string.
        lowercase: bool. Whether the tokenizer lowers its texts.

    Returns:
        The part of `text` that reads like `spelled`, or all of it where there
        is none, or where the characters do not correspond one to one.
    """
    normal = BertNormalizer(lowercase=lowercase).normalize_str(text)
    parts = BertPreTokenizer().pre_tokenize_str(normal)
    words = " ".join(word for word, _ in parts)
    place = words.find(spelled)
    ours = [i for i, character in enumerate(words) if character != " "]
    theirs = [i for i, character in enumerate(text) if character != " "]
    end = place + len(spelled) - 1
    if place < 0 or len(ours) != len(theirs):
        return text
    if place not in ours or end not in ours:
        return text
    return text[theirs[ours.index(place)] : theirs[ours.index(end)] + 1]
