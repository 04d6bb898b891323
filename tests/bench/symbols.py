# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which function of our plugin an address is in, and to which room of the tree it belongs. Reads the symbol table; no debug information is needed."""
import bisect
import glob
import os
import re
import subprocess

ROOMS = ("core", "kernels", "plugins")
ROOM_OF_PREFIX = [("gst_", "plugins"), *((f"seam_{k}", "kernels") for k in ("ref", "cpu", "avx", "kernels", "pool", "scratch", "status")),
                  ("seam_", "core")]
LINE = re.compile(r"^\s*\d+: ([0-9a-f]+)\s+(\d+|0x[0-9a-f]+) (\w+)\s+\w+\s+\w+\s+(\w+) (.*)$")


class Symbols:
    def __init__(self, library, source):
        self.room_of_file = {os.path.basename(path): room for room in ROOMS
                             for path in glob.glob(os.path.join(source, room, "**", "*.c*"), recursive=True)}
        table = subprocess.run(["readelf", "-sWC", "--syms", library], text=True, capture_output=True, check=True).stdout
        functions, file = {}, ""
        for match in filter(None, map(LINE.match, table.splitlines())):
            address, size, kind, section, name = match.groups()
            if kind == "FILE":
                file = name.strip()  # of the local symbols that follow; empty for those that the linker made local
            elif kind == "FUNC" and section != "UND" and int(size, 0):
                functions[int(address, 16)] = (int(size, 0), name.split("@")[0].strip(), file)
        self.functions = sorted((address, *rest) for address, rest in functions.items())
        self.starts = [f[0] for f in self.functions]

    def find(self, offset):
        """(function, room) of a return address."""
        i = bisect.bisect_right(self.starts, offset - 1) - 1
        if i < 0 or offset - 1 >= self.starts[i] + self.functions[i][1]:
            return f"{offset:#x}", "unknown"
        _, _, name, file = self.functions[i]
        name = name.replace("(anonymous namespace)::", "").split("(")[0].split(".")[0]  # without gcc's copies: seam_x.isra.0
        if not file:
            return name, next((room for prefix, room in ROOM_OF_PREFIX if name.startswith(prefix)), "unknown")
        return f"{name} ({file})", self.room_of_file.get(file, "plugins" if file.startswith("gst") else "unknown")
