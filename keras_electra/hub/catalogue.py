"""Which presets there are: ours, KerasHub's, Google's and well-known others.

What is not known for sure is `None`. `verified` says what was tried here; a
download never was, because the tests have no network.
"""

from keras_electra.hub import registry
from keras_electra.model.backbone import ElectraBackbone

OURS = "opened and run by the tests"
FORM = (
    "file format only: checkpoints written by the same library at small and "
    "at this size's shapes are read and compared; not downloaded"
)
SAME_FORM = "same file format as Google's in transformers; not downloaded"
ENGLISH = "English Wikipedia and BooksCorpus"

# Parameters of the encoders: embeddings and layers, without heads.
GOOGLE = {
    "small-discriminator": 13_483_008,
    "small-generator": 13_483_008,
    "base-discriminator": 108_891_648,
    "base-generator": 33_511_168,
    "large-discriminator": 334_092_288,
    "large-generator": 50_999_552,
}
# Well-known models of others: handle -> language, corpus, licence.
COMMUNITY = {
    "monologg/koelectra-base-v3-discriminator": ("Korean", None, "apache-2.0"),
    "monologg/koelectra-base-v3-generator": ("Korean", None, "apache-2.0"),
    "monologg/koelectra-small-v3-discriminator": ("Korean", None, "apache-2.0"),
    "hfl/chinese-electra-180g-base-discriminator": (
        "Chinese",
        "180 GB of text",
        None,
    ),
    "hfl/chinese-electra-180g-base-generator": (
        "Chinese",
        "180 GB of text",
        None,
    ),
    "deepset/gelectra-base": ("German", None, None),
    "deepset/gelectra-large": ("German", None, None),
    "dbmdz/electra-base-turkish-cased-discriminator": ("Turkish", None, None),
    "mrm8488/electricidad-base-discriminator": ("Spanish", None, None),
    "csebuetnlp/banglabert": ("Bengali", None, None),
    "kamalkraj/bioelectra-base-discriminator-pubmed": (
        "English",
        "PubMed abstracts",
        None,
    ),
    "cross-encoder/ms-marco-electra-base": ("English", "MS MARCO", None),
}


def presets():
    """Lists the presets that `from_preset` opens by name or handle.

    Any other folder or handle with ELECTRA in a form of `from_preset` opens
    as well; these are the known ones.

    Args:
        None.

    Returns:
        A dict from the name or handle to a dict with `parameters` (int, of
        the encoder), `language`, `corpus`, `licence`, `source` and
        `verified`: what was tried of it here. Unknown values are `None`.
    """
    found = {}
    for name, entry in registry.find_presets(registry.presets_folder()).items():
        found[name] = record(
            entry["metadata"]["params"],
            "English" if name.endswith("_en") else None,
            "see the card in its folder",
            "apache-2.0",
            "this package",
            OURS,
        )
    for name, entry in registry.kerashub_presets().items():
        found[name] = record(
            entry["metadata"]["params"],
            "English",
            ENGLISH,
            "apache-2.0",
            entry["kaggle_handle"],
            FORM,
        )
    for name, parameters in GOOGLE.items():
        corpus = None if name.startswith("large") else ENGLISH
        handle = f"hf://google/electra-{name}"
        found[handle] = record(
            parameters, "English", corpus, "apache-2.0", "Google", FORM
        )
    for name, (language, corpus, licence) in COMMUNITY.items():
        owner = name.split("/")[0]
        found[f"hf://{name}"] = record(
            None, language, corpus, licence, owner, SAME_FORM
        )
    return found


def record(parameters, language, corpus, licence, source, verified):
    """One entry of `presets`."""
    return {
        "parameters": parameters,
        "language": language,
        "corpus": corpus,
        "licence": licence,
        "source": source,
        "verified": verified,
    }


def register():
    """Makes `presets` of each class list all of these, too."""
    entries = {}
    for name, facts in presets().items():
        if facts["verified"] == OURS:
            continue  # registered by its folder already
        entries[name] = {
            "metadata": {
                "description": f"ELECTRA, {facts['language']}.",
                "params": facts["parameters"],
                "path": "electra",
                **facts,
            },
            "kaggle_handle": (
                facts["source"] if "://" in facts["source"] else name
            ),
        }
    registry.list_for(ElectraBackbone, entries)


register()
