# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benchmarks run on: a synthetic weld, its streams decoded to memory, and the model. All of it is made once a build folder."""
import glob
import json
import os
import shlex
import shutil

import numpy as np

from machine import stop

WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 25, 8
FRAME = WIDTH * HEIGHT * 3 // 2  # I420, what decoders give
MODALITY = {"video": "video", "sensors": "sensors", "sound": "sound"}  # pads of seaminspect to the names of the model's streams
STRETCH = {"sensors": 4, "sound": 50}  # buffers a second


class Material:
    def __init__(self, machine):
        self.machine = machine
        self.clip = self.make_clip()
        self.model = self.make_model()
        self.shipped = self.find_shipped()
        with open(os.path.join(self.model, "model.json"), encoding="utf-8") as file:
            self.config = json.load(file)["config"]
        self.streams = self.decode()
        self.frames = np.fromfile(self.streams["video"]["file"], np.uint8).reshape(-1, FRAME)[:, : WIDTH * HEIGHT].reshape(-1, HEIGHT, WIDTH)

    def modality(self, name):
        return next(m for m in self.config["modalities"] if m["name"] == name)

    def synth(self, folder, *options):
        """`seam synth` into a folder, all of it or nothing."""
        if not os.path.isdir(folder):
            shutil.rmtree(folder + ".part", ignore_errors=True)
            self.machine.call([self.machine.path("tools/seam"), "synth", "--out", folder + ".part", *options])
            os.rename(folder + ".part", folder)
        return folder

    def make_clip(self):
        folder = self.synth(self.machine.file("clip"), "--count", 1, "--seed", 7, "--size", f"{WIDTH}x{HEIGHT}", "--fps", FPS,
                            "--duration", SECONDS)
        found = {kind: glob.glob(os.path.join(folder, "*", "*." + end)) for kind, end in (("video", "avi"), ("sound", "flac"), ("sensors", "csv"))}
        found["sensors"] = [path for path in found["sensors"] if not path.endswith(".truth.csv")]
        if not all(found.values()):
            stop(f"{folder} has no video, sound or sensors: remove it")
        return {kind: paths[0] for kind, paths in found.items()}

    def make_model(self):
        """The recipe's model in the preset small, on pictures of 160x160, after one step of training: its speed is that of a trained one."""
        recipe_path = os.path.join(self.machine.source, "pipelines", "weld-inspection", "weld.json")
        model = self.machine.file("small.seam")
        made = os.path.join(model, "model.json")
        if not os.path.exists(made) or os.path.getmtime(made) < os.path.getmtime(recipe_path):
            with open(recipe_path, encoding="utf-8") as file:
                recipe = json.load(file)
            recipe["preset"] = "small"
            recipe["train"].update(steps=1, batch=2)
            for modality in recipe["config"]["modalities"]:
                if modality["front"] == "image":
                    modality.update(size=160, stem=[24, 48, 96, 192])
            with open(self.machine.file("recipe.json"), "w", encoding="utf-8") as file:
                json.dump(recipe, file)
            data = self.synth(self.machine.file("welds"), "--count", 20, "--seed", 3, "--fps", 4, "--size", "320x240", "--duration", "3..4")
            self.machine.call([self.machine.path("tools/seam"), "train", "--recipe", self.machine.file("recipe.json"), "--data", data,
                               "--out", model])
        return model

    def find_shipped(self):
        """The model that the demo uses, or None."""
        shipped = os.path.join(self.machine.source, "pipelines", "weld-inspection", "weld.seam")
        return shipped if os.path.exists(os.path.join(shipped, "model.json")) else None

    def decode(self):
        """{name: {file, caps, bytes, ns}}: each stream as it leaves its decoder, cut to the same whole seconds."""
        sensors, sound = (self.modality(MODALITY[n]) for n in ("sensors", "sound"))
        sources = {
            "video": (f"filesrc location={quoted(self.clip['video'])} ! decodebin ! videoconvert",
                      f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FPS}/1", FRAME, FPS),
            "sensors": (f"seamcsvsrc location={quoted(self.clip['sensors'])} model={quoted(self.model)}",
                        *audio(sensors["rate"], sensors["channels"], STRETCH["sensors"])),
            "sound": (f"filesrc location={quoted(self.clip['sound'])} ! decodebin ! audioconvert ! audioresample",
                      *audio(sound["rate"], sound["channels"], STRETCH["sound"]))}
        streams = {}
        for name, (source, caps, size, per_second) in sources.items():
            path = self.machine.file(name + ".raw")
            self.machine.call(["gst-launch-1.0", "-q", *shlex.split(f"{source} ! {caps} ! filesink location={quoted(path)}")])
            streams[name] = {"file": path, "caps": caps, "bytes": size, "ns": 10**9 // per_second, "per_second": per_second}
        seconds = min(os.path.getsize(s["file"]) // (s["bytes"] * s["per_second"]) for s in streams.values())
        if seconds < 2:
            stop(f"the clip is too short: remove {self.machine.folder}")
        for stream in streams.values():
            os.truncate(stream["file"], seconds * stream["bytes"] * stream["per_second"])
        return streams

    def scaled(self, pictures):
        """Pictures [n, 1, size, size] as the bytes that our network reads, in a file."""
        path = self.machine.file("pictures.raw")
        np.clip(np.rint(pictures * 64 + 127.5), 0, 255).astype(np.uint8).tofile(path)
        return path

    def config_file(self, dense):
        """The configuration as a file; dense: one expert as wide as those that a token uses, full attention."""
        config = dict(self.config)
        if dense:
            config.update(experts=1, groups=1, groups_kept=1, top_k=1, expert_width=config["top_k"] * config["expert_width"], mixer="global")
        path = self.machine.file("dense.json" if dense else "small.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        return path


def quoted(path):
    """A path as the text of a pipeline takes it."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def audio(rate, channels, per_second):
    """Caps, bytes a buffer, buffers a second."""
    caps = f"audio/x-raw,format=F32LE,rate={round(rate)},channels={channels},layout=interleaved"
    if channels > 2:
        caps += ",channel-mask=(bitmask)0"
    return caps, round(rate) // per_second * channels * 4, per_second
