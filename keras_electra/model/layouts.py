"""How weights are split over devices, for Keras' `ModelParallel`."""

import keras

from keras_electra.arguments import check_option

# By path. The first product of a block is split by columns, the second by rows:
# devices meet once a block. Tables stay whole, as few sizes of vocabularies can
# be divided, and logits, the largest arrays, would have to be summed.
LAYER = r"(.*/)?transformer_layer_\d+/"
COLUMNS = f"{LAYER}(attention/query_key_value|intermediate_dense)"
ROWS = f"{LAYER}(attention/)?output_dense/kernel"


def layout_map(device_mesh: object, model_dim_name: str = "model") -> object:
    """Layouts of the weights of every model here, for `ModelParallel` on JAX.

    The products of encoder layers are split, with the slots of optimizers; all
    else, a fifth of a `base` network, is on each device. Set it before a model
    is made:

    ```python
    mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"))
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layout_map(mesh))
    )
    ```

    Args:
        device_mesh: `keras.distribution.DeviceMesh`; its first axis is of rows
            of a batch, one is named `model_dim_name`. The size of that must
            divide `hidden_dim` and `intermediate_dim` of all networks.
        model_dim_name: str, the axis over which weights are split.

    Returns a `keras.distribution.LayoutMap`, to which rules can be added.
    """
    check_option("model_dim_name", model_dim_name, device_mesh.axis_names)
    layouts = keras.distribution.LayoutMap(device_mesh)
    layouts[f"{COLUMNS}/kernel"] = (None, model_dim_name)
    layouts[f"{COLUMNS}/bias"] = (model_dim_name,)
    layouts[ROWS] = (model_dim_name, None)
    return layouts
