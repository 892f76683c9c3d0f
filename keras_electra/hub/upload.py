"""Uploads presets with their cards.

KerasHub's `upload_preset` writes a card of its own over that of the folder,
and removes it afterwards, when the repository has none. So the card goes
first.
"""

import pathlib

import keras_hub

HUGGING_FACE = "hf://"


def upload_preset(uri, preset):
    """Uploads a folder as `keras_hub.upload_preset` does, card included.

    Args:
        uri: string. `"hf://user/model"` or
            `"kaggle://user/model/keras/variant"`.
        preset: path of the folder, as `save_to_preset` wrote it.

    Raises:
        FileNotFoundError: when there is no such folder, or it is no preset.
        ValueError: when `uri` is of neither form.
        ImportError: when the library of the hub is not installed.
    """
    preset = pathlib.Path(preset)
    card = preset / "README.md"
    is_complete = (preset / "config.json").is_file()
    if uri.startswith(HUGGING_FACE) and is_complete and card.is_file():
        try:
            import huggingface_hub
        except ImportError as error:
            raise ImportError(
                f"Uploading to {uri!r} needs the library of the hub: "
                "`pip install huggingface_hub`."
            ) from error
        repository = huggingface_hub.create_repo(
            repo_id=uri.removeprefix(HUGGING_FACE), exist_ok=True
        )
        huggingface_hub.upload_file(
            path_or_fileobj=str(card),
            path_in_repo=card.name,
            repo_id=repository.repo_id,
        )
    keras_hub.upload_preset(uri, str(preset))
