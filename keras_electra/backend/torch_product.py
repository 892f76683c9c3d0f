"""Matrix products of an encoder layer on a CPU.

torch sends half precision to oneDNN and float32 to MKL, whose kernels use half
of what some processors have: on an AMD EPYC oneDNN's are twice as fast, at
float32 all the same. Its function is the one that torch's own compiler calls;
where it is missing, torch's usual product is taken. It adds a bias to what it
has in registers, where `addmm` writes the bias into the result first: with one,
products in half precision are faster by it, too. A processor without AVX-512
has no such function for bfloat16, and torch's own product there has a tenth of
the speed of float32: `type_to_compute_in` says what to take instead.

Shapes: T rows, I inputs, O outputs.
"""

import functools

import torch

USES_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)


@functools.cache
def type_to_compute_in(dtype):
    """`dtype`, or float32 for a bfloat16 that oneDNN cannot multiply."""
    if dtype != torch.bfloat16:
        return dtype
    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return torch.float32 if check is not None and not check() else dtype


def product(x, kernel, bias=None):
    """`x @ kernel + bias` for `(T, I)`, `(I, O)` and `(O,)`."""
    if _by_onednn(x, torch.float32, torch.bfloat16):
        return _linear(x, kernel.t(), bias)
    return x @ kernel if bias is None else torch.addmm(bias, x, kernel)


def input_gradient(gradient, kernel, total=None):
    """`gradient @ kernel.t() + total` for `(T, O)`, `(I, O)` and `(T, I)`.

    `total` may be overwritten.
    """
    if _by_onednn(gradient, torch.float32):
        result = _linear(gradient, kernel)
        return result if total is None else total.add_(result)
    if total is None:
        return gradient @ kernel.t()
    return torch.addmm(total, gradient, kernel.t())


def kernel_gradient(x, gradient):
    """`x.t() @ gradient` for `(T, I)` and `(T, O)`."""
    if not _by_onednn(x, torch.float32):
        return x.t() @ gradient
    # The faster of the two: more columns than rows.
    if x.shape[1] <= gradient.shape[1]:
        return _linear(x.t(), gradient.t())
    return _linear(gradient.t(), x.t()).t()


def _by_onednn(x, *dtypes):
    supported = USES_ONEDNN and type_to_compute_in(x.dtype) == x.dtype
    return supported and x.dtype in dtypes and x.numel() > 0


def _linear(x, kernel, bias=None):
    """`x @ kernel.t() + bias`."""
    nothing = ("none", [], "")  # no activation after it
    return torch.ops.mkldnn._linear_pointwise(x, kernel, bias, *nothing)
