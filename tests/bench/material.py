# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benchmarks run on: a synthetic weld, its streams decoded to memory, and the model. All of it is made once a build folder."""
import functools
import glob
import json
import os
import shlex
import shutil

import numpy as np

from machine import stop

WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 25, 8
TINY = 16  # pixels a side of what the model of hardly any arithmetic sees
FRAME = WIDTH * HEIGHT * 3 // 2  # I420, what decoders give
MODALITY = {"video": "video", "sensors": "sensors", "sound": "sound"}  # pads of seaminspect to the names of the model's streams
STRETCH = {"sensors": 4, "sound": 50}  # buffers a second


class Material:
    def __init__(self, machine):
        self.machine = machine
        self.clip = self.make_clip()
        self.model = self.make_model("small", self.small)
        self.camera = self.make_model("camera", self.every_frame)
        self.near_zero = self.make_model("near-zero", self.hardly_any)
        self.shipped = self.find_shipped()
        self.int8 = self.quantised(self.model)
        self.camera_int8 = self.quantised(self.camera)
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

    # ---- models: after one step of training, as their speed is that of trained ones -------------------------------------------------

    @staticmethod
    def small(recipe):
        """The preset small on pictures of 160x160, with all streams of the recipe."""
        recipe["preset"] = "small"
        for modality in recipe["config"]["modalities"]:
            if modality["front"] == "image":
                modality.update(size=160, stem=[24, 48, 96, 192])

    @staticmethod
    def every_frame(recipe):
        """The same with the camera alone, and a window, and so a verdict, a frame."""
        Material.small(recipe)
        config = recipe["config"]
        recipe["augment"].pop("offset", None)  # of a channel that is not there
        config.update(window=1 / FPS, modalities=[m for m in config["modalities"] if m["name"] == MODALITY["video"]])

    @staticmethod
    def hardly_any(recipe):
        """The camera alone and hardly any arithmetic: what elements cost beside it shows."""
        Material.every_frame(recipe)
        recipe["config"].update(dim=16, layers=1, mixer="global", heads=1, experts=1, groups=1, groups_kept=1, top_k=1, expert_width=16, fusion_width=16)
        recipe["config"]["modalities"][0].update(size=TINY, stem=[4, 8, 16])
        recipe["config"]["tasks"] = [t for t in recipe["config"]["tasks"] if t["kind"] == "classify"]

    def make_model(self, name, change):
        recipe_path = os.path.join(self.machine.source, "pipelines", "weld-inspection", "weld.json")
        model, own_recipe = self.machine.file(name + ".seam"), self.machine.file(name + "-recipe.json")
        if not newer(model, recipe_path):
            with open(recipe_path, encoding="utf-8") as file:
                recipe = json.load(file)
            recipe["train"].update(steps=1, batch=2)
            change(recipe)
            with open(own_recipe, "w", encoding="utf-8") as file:
                json.dump(recipe, file)
            self.machine.call([self.machine.path("tools/seam"), "train", "--recipe", own_recipe, "--data", self.welds(), "--out", model])
        return model

    def welds(self):
        """A few short ones, to train a step and to quantise on."""
        return self.synth(self.machine.file("welds"), "--count", 20, "--seed", 3, "--fps", 4, "--size", "320x240", "--duration", "3..4")

    def quantised(self, model):
        """All of its weights that can be in int8: of a model that has learnt nothing the loss tells nothing, so that any is allowed."""
        out = model.removesuffix(".seam") + "-int8.seam"
        if not newer(out, os.path.join(model, "model.json")):
            records = self.machine.file("records.txt")
            with open(records, "w", encoding="utf-8") as file:
                file.write("\n".join(sorted(n for n in os.listdir(self.welds()) if os.path.isdir(os.path.join(self.welds(), n)))[:2]) + "\n")
            self.machine.call([self.machine.path("tools/seam"), "quantize", "--model", model, "--data", self.welds(), "--records", records, "--frames", 1,
                               "--loss", 100, "--out", out])
        return out

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

    def scaled(self, pictures, name="pictures.raw"):
        """Pictures [n, 1, size, size] as the bytes that our network reads, in a file."""
        path = self.machine.file(name)
        np.clip(np.rint(pictures * 64 + 127.5), 0, 255).astype(np.uint8).tofile(path)
        return path

    @functools.cached_property
    def tiny(self):
        """Grey pictures of noise, as the model of hardly any arithmetic wants them: nothing is scaled."""
        path = self.machine.file("tiny.raw")
        np.random.default_rng(1).integers(0, 256, FPS * TINY * TINY, np.uint8).tofile(path)
        return {"file": path, "bytes": TINY * TINY, "ns": 10**9 // FPS}

    def config_of(self, model):
        """The configuration of a model as a file."""
        with open(os.path.join(model, "model.json"), encoding="utf-8") as file:
            return self.config_file(os.path.basename(model).removesuffix(".seam"), json.load(file)["config"])

    def dense_config(self):
        """That of our dense twin: one expert as wide as those that a token uses, full attention."""
        config = dict(self.config)
        config.update(experts=1, groups=1, groups_kept=1, top_k=1, expert_width=config["top_k"] * config["expert_width"], mixer="global")
        return self.config_file("dense", config)

    def vit(self):
        """The dense ViT of vit.py in words."""
        picture = self.modality(MODALITY["video"])
        tokens = (picture["size"] >> len(picture["stem"])) ** 2 + 1
        return (f"width {self.config['dim']}, {self.config['layers']} layers, {self.config['heads']} heads, an MLP of"
                f" {self.config['top_k'] * self.config['expert_width']} and {tokens} tokens a picture")

    def nano(self):
        """All sizes of the preset nano, of which the shipped model is."""
        if not self.shipped:
            stop("the shipped model is missing: name a model with --job-model")
        with open(os.path.join(self.shipped, "model.json"), encoding="utf-8") as file:
            return json.load(file)["config"]

    def job(self, model):
        """The model of the job: (configuration file, its picture stream, size). Without a path the recipe of neu-det."""
        if model:
            path = os.path.join(model, "model.json")
        else:
            path = os.path.join(self.machine.source, "pipelines", "surface-defects", "neu-det.json")
        try:
            with open(path, encoding="utf-8") as file:
                document = json.load(file)
        except OSError as error:
            stop(f"--job-model: {error}")
        config = document["config"] if model else {**self.nano(), **document["config"]}
        pictures = [m for m in config["modalities"] if m["front"] == "image"]
        if len(pictures) != 1 or pictures[0]["channels"] != 1:
            stop(f"{path}: the job wants one stream of grey pictures")
        return self.config_file("job", config), pictures[0]["name"], pictures[0]["size"]

    def config_file(self, name, config):
        path = self.machine.file(name + ".json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        return path


def newer(model, than):
    made = os.path.join(model, "model.json")
    return os.path.exists(made) and os.path.getmtime(made) >= os.path.getmtime(than)


def quoted(path):
    """A path as the text of a pipeline takes it."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def audio(rate, channels, per_second):
    """Caps, bytes a buffer, buffers a second."""
    caps = f"audio/x-raw,format=F32LE,rate={round(rate)},channels={channels},layout=interleaved"
    if channels > 2:
        caps += ",channel-mask=(bitmask)0"
    return caps, round(rate) // per_second * channels * 4, per_second
