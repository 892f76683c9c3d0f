"""The text of a span as the original program finds it.

It spells the tokens and looks for that in the words they came from
(`finetune/qa/qa_metrics.py:283-379`), so it may return the same characters of
an earlier place, or whole words where the spelling is not found. For numbers
that must equal the original's; `rank_answers` is exact without it.
"""

from keras_electra.text.normalization import WordSplitter
from keras_electra.text.word_pieces import join_pieces


def original_span_text(tokenizer):
    """The rule of the original as an argument of `rank_answers`.

    Args:
        tokenizer: `ElectraTokenizer`.

    Returns:
        A function of a `Document` and the first and last token of a span.
    """
    splitter = WordSplitter(
        tokenizer.lowercase, tokenizer.strip_accents, tokenizer.split_on_cjk
    )

    def span_text(document, first, last):
        pieces = [
            tokenizer.id_to_token(id) for id in document.ids[first : last + 1]
        ]
        spans = document.word_spans[
            document.words[first] : document.words[last] + 1
        ]
        words = " ".join(document.text[start:end] for start, end in spans)
        spelled = join_pieces(pieces)
        if pieces[0].startswith("##"):
            spelled = spelled.removeprefix("##")
        return align(spelled, words, splitter)

    return span_text


def align(spelled, text, splitter):
    """Finds tokens, spelled out, in the text they came from.

    Args:
        spelled: string. Words of the tokenizer with spaces between them.
        text: string.
        splitter: `WordSplitter` of the tokenizer.

    Returns:
        The part of `text` that reads like `spelled`, or all of it where there
        is none, or where the characters do not correspond one to one.
    """
    words = " ".join(splitter.split(text))
    place = words.find(spelled)
    ours = [i for i, character in enumerate(words) if character != " "]
    theirs = [i for i, character in enumerate(text) if character != " "]
    end = place + len(spelled) - 1
    if place < 0 or len(ours) != len(theirs):
        return text
    if place not in ours or end not in ours:
        return text
    return text[theirs[ours.index(place)] : theirs[ours.index(end)] + 1]
