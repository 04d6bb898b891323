# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benchmarks run on: cores, instruction sets, versions; and how programs are called. It names no machine."""
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys

INSTRUCTIONS = ["sse4_2", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"]
PEERS = ["onnxruntime", "openvino", "torch"]
STAMP = ["date", "commit", "command", "threads", "machine", "versions", "rounds"]  # of a part's file: when and on what it was measured
PROGRAMS = ["tools/seam", "tests/bench/bench_elements", "tests/bench/bench_network", "tests/bench/libseamprobe.so", "plugins/libgstseam.so"]


def stop(text):
    raise SystemExit(f"bench: {text}")


class Machine:
    """A build folder on so many cores of this machine."""

    def __init__(self, build, threads):
        self.build, self.threads = os.path.abspath(build), threads
        self.source = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
        self.folder = os.path.join(self.build, "bench")
        for program in PROGRAMS:
            if not os.path.exists(self.path(program)):
                stop(f"{self.path(program)} is missing: run ./run build first")
        os.makedirs(self.folder, exist_ok=True)
        self.cores = sorted(os.sched_getaffinity(0))
        if len(self.cores) < threads:
            stop(f"--threads {threads}: this machine lets us use {len(self.cores)} cores")
        os.sched_setaffinity(0, self.cores[:threads])  # and with it of all programs that are called
        self.environment = dict(os.environ, GST_PLUGIN_PATH=self.path("plugins"), GST_REGISTRY=os.path.join(self.folder, "registry.bin"),
                                SEAM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
        self.environment.pop("GST_DEBUG", None)

    def path(self, name):
        return os.path.join(self.build, name)

    def file(self, name):
        """A file in the folder that the benchmarks own."""
        return os.path.join(self.folder, name)

    def call(self, command, **more_environment):
        """Runs a program; its standard output."""
        done = subprocess.run([str(c) for c in command], env={**self.environment, **more_environment}, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            stop(f"{os.path.basename(command[0])} failed ({done.returncode}): {' '.join(map(str, command))}\n{done.stderr.strip()[-2000:]}")
        return done.stdout

    def measure(self, command, **more_environment):
        return json.loads(self.call(command, **more_environment))

    def describe(self):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line.split(":")[1].split() for line in file if line.startswith("flags")), [])
        with open("/proc/meminfo", encoding="utf-8") as file:
            memory = int(file.readline().split()[1]) / 2**20
        return {"architecture": platform.machine(), "cores": len(self.cores), "cores_used": self.threads,
                "instructions": [i for i in INSTRUCTIONS if i in flags], "memory_gib": round(memory),
                "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())}

    def versions(self):
        dnnl = subprocess.run(["dpkg-query", "-W", "-f", "${source:Upstream-Version}", "libdnnl-dev"], text=True, capture_output=True, check=False)
        return {"seam": self.call([self.path("tools/seam"), "--version"]).split()[-1],
                "gstreamer": self.call(["gst-launch-1.0", "--version"]).split("\n")[0].split()[-1],
                "onednn": dnnl.stdout or "unknown", "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in PEERS}}

    def stamp(self):
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=self.source, text=True, capture_output=True, check=False).stdout.strip()
        return {"date": datetime.date.today().isoformat(), "commit": commit or "unknown", "command": "./run bench" + "".join(" " + a for a in shown_arguments()),
                "threads": self.threads, "machine": self.describe(), "versions": self.versions()}


def shown_arguments():
    """The command line without the build folder, which ./run adds."""
    arguments = sys.argv[1:]
    if "--build" in arguments:
        at = arguments.index("--build")
        arguments = arguments[:at] + arguments[at + 2:]
    return arguments
