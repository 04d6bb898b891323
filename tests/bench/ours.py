# SPDX-License-Identifier: LGPL-2.1-or-later
"""Seam itself: whole pipelines of elements, and the network alone. Each function starts a program, which measures a stretch of its life."""
import os
import statistics
import time

from material import FPS, MODALITY, TINY, quoted
from symbols import Symbols

ONE_THREAD = {"SEAM_THREADS": "1", "OMP_NUM_THREADS": "1"}
PICTURE_WAY = ("seamvideoembed", "seamencoder")  # the elements that each picture passes and whose kernels bench_network runs
SETTLE = 8  # windows until pools and queues have found their size
TAIL = "! fakesink name=out sync=false  i.results ! fakesink name=results sync=false async=false"


class Ours:
    def __init__(self, machine, material):
        self.machine, self.material = machine, material
        sources = {name: f"appsrc name={name} caps={stream['caps']}" for name, stream in material.streams.items()}
        more = "".join(f"  {sources[name]} ! i.sensor_{MODALITY[name]}" for name in ("sensors", "sound"))
        every = list(material.streams)
        tiny = f"video/x-raw,format=GRAY8,width={TINY},height={TINY},framerate={FPS}/1"
        self.pipelines = {
            "video": (f"{sources['video']} ! {inspect(material.model)} {TAIL}", ["video"]),
            "video_int8": (f"{sources['video']} ! {inspect(material.int8)} {TAIL}", ["video"]),
            "all": (f"{sources['video']} ! {inspect(material.model)} {TAIL}{more}", every),
            "all_int8": (f"{sources['video']} ! {inspect(material.int8)} {TAIL}{more}", every),
            "decoding": (f"filesrc location={quoted(material.clip['video'])} ! decodebin ! {inspect(material.model)} {TAIL}", [])}
        if material.shipped:
            self.pipelines["shipped"] = (f"{sources['video']} ! {inspect(material.shipped)} {TAIL}", ["video"])
        self.by_frame = {  # a verdict a frame
            "camera": (f"{sources['video']} ! {inspect(material.camera)} {TAIL}", ["video"]),
            "camera_int8": (f"{sources['video']} ! {inspect(material.camera_int8)} {TAIL}", ["video"]),
            "near_zero": (f"appsrc name=tiny caps={tiny} ! {inspect(material.near_zero)} {TAIL}", ["tiny"])}

    def run(self, name, windows, *options, **environment):
        """One process: JSON of bench_elements."""
        pipeline, feeds = {**self.pipelines, **self.by_frame}[name]
        window = 1 / FPS if name in self.by_frame else self.material.config["window"]
        command = [self.machine.path("tests/bench/bench_elements"), "--pipeline", pipeline, "--windows", windows, "--window", window, "--fps", self.material.streams["video"]["per_second"], *options]
        for feed in feeds:
            stream = self.material.tiny if feed == "tiny" else self.material.streams[feed]
            command += ["--feed", f"{feed}={stream['file']},{stream['bytes']},{stream['ns']}"]
        return self.machine.measure(command, **environment)

    def fps(self, name, windows):
        if name == "decoding":  # no longer than the clip
            windows = int(len(self.material.frames) / self.material.streams["video"]["per_second"] / self.material.config["window"]) - 1
        run = self.run(name, windows)
        return run["frames"] / run["seconds"], run

    def network(self, config, pixels, seconds, streams, number_type="f32", modality=MODALITY["video"], **environment):
        """Through embedding and encoder: {rate: pictures a second, cpu_us: processor time of one}."""
        return self.machine.measure([self.machine.path("tests/bench/bench_network"), "--config", config, "--modality", modality, "--pixels", pixels,
                                     "--seconds", seconds, "--streams", streams, "--type", number_type], **environment)

    # ---- what is counted, not timed ----

    def element_times(self, name, windows):
        """{element: {us, pushes, bytes}} a frame of video; processor time, all on one kernel thread so that none of it is elsewhere."""
        run = self.run(name, windows, "--elements", **ONE_THREAD)
        per_frame = {name: {key: value / run["frames"] for key, value in e.items()} for name, e in run["elements"].items()}
        return {name: e for name, e in sorted(per_frame.items(), key=lambda item: -item[1]["us"]) if e["us"] >= 0.05 or e["pushes"] >= 0.01}

    def overhead(self, windows, seconds):
        """What the elements of a picture's way take beyond their kernels, microseconds a buffer: of a model with hardly any arithmetic, their processor
        time without that of embedding and encoder called directly. The tracing hooks' own time, about a microsecond a push, is in it."""
        times = self.element_times("near_zero", windows)
        way = {name: times[name] for name in PICTURE_WAY}
        config = self.material.config_of(self.material.near_zero)
        kernels = self.network(config, self.material.tiny["file"], seconds, 1, **ONE_THREAD)["cpu_us"]
        us, pushes = (sum(e[key] for e in way.values()) for key in ("us", "pushes"))
        return {"us_per_buffer": (us - kernels) / pushes, "elements_us": us, "kernels_us": kernels, "buffers": pushes, "elements": times}

    def allocations(self, windows):
        run = self.run("all", windows + SETTLE, "--from", SETTLE, G_SLICE="always-malloc",
                       LD_PRELOAD=self.machine.path("tests/bench/libseamprobe.so"))
        probe, frames = run["probe"], run["frames"]
        symbols = Symbols(self.machine.path("plugins/libgstseam.so"), self.machine.source)
        places = {}
        for site in probe["sites"]:
            function, room = symbols.find(site["offset"]) if site["offset"] else ("", "none")
            direct = site["via"].startswith("libgstseam")
            place = (room if direct else site["via"].split(".so")[0], function, room)
            calls, size = places.get(place, (0, 0))
            places[place] = (calls + site["calls"], size + site["bytes"])
        sites = [{"by": by, "for": function, "room": room, "per_frame": calls / frames, "bytes_per_frame": size / frames}
                 for (by, function, room), (calls, size) in places.items()]
        return {"sites": sorted(sites, key=lambda s: -s["per_frame"]), "all_per_frame": probe["allocations"] / frames,
                "frees_per_frame": probe["frees"] / frames, "copies_per_frame": probe["copies"] / frames,
                "copied_bytes_per_frame": probe["copied_bytes"] / frames,
                "our_copied_bytes_per_frame": probe["our_copied_bytes"] / frames,
                "video_copies_per_frame": probe["video_copies_per_frame"],
                "lost": probe["lost"]}

    def delays(self, name, windows):
        """Milliseconds from the end of a window, as a camera and sensors would deliver it, to its decision."""
        delays = sorted(self.run(name, windows, "--pace")["delays_ms"])
        return {"p50": statistics.median(delays), "p99": delays[min(len(delays) - 1, int(0.99 * len(delays)))], "max": delays[-1], "n": len(delays)}

    def cold_start(self, name, rounds):
        """Milliseconds from the start of a process to its first decision, files being in the page cache; and resident MiB at its end."""
        runs = []
        for _ in range(rounds):
            start = time.monotonic()  # the same clock as g_get_monotonic_time
            run = self.run(name, 2)
            runs.append((run["first_decision_us"] / 1e3 - start * 1e3, run["resident_mb"]))
        return {"ms": statistics.median(r[0] for r in runs), "mb": statistics.median(r[1] for r in runs)}


def inspect(model):
    return f"seaminspect name=i windows=true model={quoted(model)}"


def model_size(model):
    return sum(os.path.getsize(os.path.join(folder, file)) for folder, _, files in os.walk(model) for file in files)
