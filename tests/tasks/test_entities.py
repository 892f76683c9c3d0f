import pytest

from keras_electra.tasks.entities import find_spans


@pytest.mark.parametrize(
    "tags, spans",
    [
        ("B-NP I-NP O S-VP", [("NP", 0, 2), ("VP", 3, 4)]),
        ("B-NP B-NP I-NP", [("NP", 0, 1), ("NP", 1, 3)]),
        # Beginnings that tags do not mark, as conlleval sees them.
        ("I-NP I-NP I-VP O", [("NP", 0, 2), ("VP", 2, 3)]),
        ("O E-NP E-NP", [("NP", 1, 2), ("NP", 2, 3)]),
        ("B-NP E-NP I-NP", [("NP", 0, 2), ("NP", 2, 3)]),
        ("B-A-B L-A-B U-C", [("A-B", 0, 2), ("C", 2, 3)]),
        ("O O", []),
        ("", []),
    ],
)
def test_spans(tags, spans):
    assert find_spans(tags.split()) == spans


@pytest.mark.parametrize("tag", ["NOUN", "X-NP", 3])
def test_other_labels(tag):
    with pytest.raises(ValueError, match="Spans are read from tags"):
        find_spans(["O", tag])
