# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers of our layer of experts: the same layer with a dense router, in PyTorch and in ONNX Runtime's operations MoE and QMoE.

Each gives a function of tokens [n, dim]; all are compared with PyTorch's loop over experts before they are timed.
"""
import time

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

EXPERTS, TOP_K = 16, 4
SIZES = {192: 192, 1280: 1280}  # width of a token: hidden width of an expert
TOKENS = (1, 4, 16, 64, 256)
MOST_ERROR = {"f32": 5e-3, "int8": 0.2}  # of the largest output; MoE's gelu is another form than PyTorch's


class Weights:
    """router [experts, dim], up [experts, width, dim], down [experts, dim, width]."""

    def __init__(self, dim, width):
        random = np.random.default_rng(3)
        self.dim, self.width = dim, width
        self.router = random.standard_normal((EXPERTS, dim), np.float32) / np.float32(np.sqrt(dim))
        self.up = random.standard_normal((EXPERTS, width, dim), np.float32) / np.float32(np.sqrt(dim))
        self.down = random.standard_normal((EXPERTS, dim, width), np.float32) / np.float32(np.sqrt(width))


def routed(x, router):
    """The chosen experts and their gates [n, top_k]."""
    gate, index = torch.softmax(x @ router.T, -1).topk(TOP_K, -1)
    return index, gate / gate.sum(-1, keepdim=True)


class Looped:
    """For each expert the tokens that chose it."""

    def __init__(self, w):
        self.router, self.up, self.down = map(torch.from_numpy, (w.router, w.up, w.down))

    def __call__(self, x):
        with torch.inference_mode():
            x = torch.from_numpy(x)
            index, gate = routed(x, self.router)
            y = torch.zeros_like(x)
            for e in range(EXPERTS):
                token, choice = torch.where(index == e)
                if len(token):
                    y.index_add_(0, token, self.expert(e, x[token]) * gate[token, choice, None])
            return y.numpy()

    def expert(self, e, x):
        return F.gelu(x @ self.up[e].T, approximate="tanh") @ self.down[e].T


class LoopedInt8(Looped):
    """The loop with experts of PyTorch's dynamic quantisation."""

    def __init__(self, w):
        super().__init__(w)
        self.experts = [torch.ao.quantization.quantize_dynamic(self.layers(e), {torch.nn.Linear}, torch.qint8) for e in range(EXPERTS)]

    def layers(self, e):
        pair = torch.nn.Sequential(torch.nn.Linear(*self.up[e].T.shape, bias=False), torch.nn.GELU("tanh"), torch.nn.Linear(*self.down[e].T.shape, bias=False))
        pair[0].weight.data, pair[2].weight.data = self.up[e], self.down[e]
        return pair.eval()

    def expert(self, e, x):
        return self.experts[e](x)


class Sorted(Looped):
    """Rows sorted by expert, so that each expert has a stretch of them; and one sum at the end."""

    def __call__(self, x):
        with torch.inference_mode():
            x = torch.from_numpy(x)
            index, gate = routed(x, self.router)
            order = index.flatten().argsort(stable=True)
            rows = x[order // TOP_K]
            parts = rows.split(torch.bincount(index.flatten(), minlength=EXPERTS).tolist())
            out = torch.cat([self.expert(e, part) for e, part in enumerate(parts) if len(part)])
            return torch.zeros_like(x).index_add_(0, order // TOP_K, out * gate.flatten()[order, None]).numpy()


def rounded(w):
    """Weights [experts, rows, k] as bytes about 128 and a scale a row, as QMoE wants them."""
    scale = np.abs(w).max(-1) / 127
    return (np.clip(np.rint(w / scale[..., None]), -127, 127) + 128).astype(np.uint8), scale.astype(np.float32)


def onnx_layer(w, threads, int8):
    """ONNX Runtime's operation behind a dense router."""
    tensors = {"router": np.ascontiguousarray(w.router.T)}
    if int8:
        (tensors["up"], tensors["up_scale"]), (tensors["down"], tensors["down_scale"]) = rounded(w.up), rounded(w.down)
        inputs, more = ["x", "logits", "up", "up_scale", "", "down", "down_scale"], {"expert_weight_bits": 8}
    else:
        tensors["up"], tensors["down"] = w.up, w.down
        inputs, more = ["x", "logits", "up", "", "down"], {}
    nodes = [helper.make_node("MatMul", ["x", "router"], ["logits"]),
             helper.make_node("QMoE" if int8 else "MoE", inputs, ["y"], domain="com.microsoft", k=TOP_K, activation_type="gelu", normalize_routing_weights=1,
                              **more)]
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", w.dim])
    graph = helper.make_graph(nodes, "experts", [value("x")], [value("y")], [numpy_helper.from_array(t, name) for name, t in tensors.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def build(dim, threads):
    """{peer: function of tokens}; one that this machine's runtime does not have is left out and said so: (peers, {peer: why})."""
    torch.set_num_threads(threads)
    w = Weights(dim, SIZES[dim])
    makers = {"pytorch_looped": lambda: Looped(w), "pytorch_sorted": lambda: Sorted(w), "pytorch_looped_int8": lambda: LoopedInt8(w),
              "onnxruntime_moe": lambda: onnx_layer(w, threads, False), "onnxruntime_qmoe_int8": lambda: onnx_layer(w, threads, True)}
    x = tokens(dim, 16)
    expected, peers, absent = Looped(w)(x), {}, {}
    for name, make in makers.items():
        try:
            peers[name] = make()
            got = peers[name](x)
        except (RuntimeError, onnxruntime.capi.onnxruntime_pybind11_state.Fail, onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented) as error:
            peers.pop(name, None)
            absent[name] = str(error).split("\n")[0][:200]
            continue
        error = float(np.abs(expected - got).max() / np.abs(expected).max())
        if not error < MOST_ERROR["int8" if name.endswith("_int8") else "f32"]:
            del peers[name]
            absent[name] = f"gives another result than PyTorch (relative error {error:.2g})"
    return peers, absent


def tokens(dim, n):
    return np.random.default_rng(n).standard_normal((n, dim), np.float32)


def microseconds(run, x, seconds):
    """Of a call, the median over at least `seconds`, after a tenth of it."""
    def spin(least):
        took, start = [], time.perf_counter()
        while (before := time.perf_counter()) - start < least or not took:
            run(x)
            took.append(time.perf_counter() - before)
        return took
    spin(seconds / 10)
    return 1e6 * float(np.median(spin(seconds)))
