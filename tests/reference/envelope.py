# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of the envelope front end: what a stretch of vibration says of a bearing.

    envelope.py [--check] FILE

As golden.py, whose files it uses. Written another way than the C code goes: a band's analytic signal is made at the full rate and every so many of its
samples taken, the spectrum of its envelope is a plain sum of cosines and sines. tests/core/test_golden_envelope.c holds the C code against the file.
"""
import numpy

import golden

RATE, PATCH, TURNS = 2048, 1500, 4
LOW, HIGH, BANDS, SHAPE = 64.0, 832.0, 3, 6
SHAFT, TOLERANCE, BACKGROUND, ORDERS = 20.0, 0.03125, 18.0, [1.0, 3.5, 5.25, 8.75]
TINY = 1e-9
SIZE = 2048  # of the transform: the power of two from 1500 on; bins of 1 Hz
SMALL = 1024  # of an envelope's: at least twice the 257 bins of a band and the one after it


def stretch(random, turn):
    """Strikes that ring, in noise, over a shaft that hums; the last one is silent."""
    t = numpy.arange(PATCH) / RATE
    z = random.standard_normal(PATCH) * (0.5 + 0.4 * turn) + 0.8 * numpy.sin(2 * numpy.pi * SHAFT * t)
    for at in numpy.arange(0.003, t[-1], 1 / (ORDERS[turn % len(ORDERS)] * SHAFT)):
        later = t >= at
        z[later] += 4 * numpy.exp(-(t[later] - at) * 300) * numpy.sin(2 * numpy.pi * (200 + 150 * turn) * (t[later] - at))
    return numpy.zeros(PATCH) if turn == TURNS - 1 else z


def bins(low, high):
    """Numbers of the bins from low up to high, without it."""
    return numpy.arange(numpy.ceil(low * SIZE / RATE), numpy.ceil(high * SIZE / RATE)).astype(int)


def parts(n):
    edges = LOW + (HIGH - LOW) * numpy.arange(n + 1) / n
    return [bins(a, b) for a, b in zip(edges[:-1], edges[1:])]


def envelope_spectrum(spectrum, band):
    alone = numpy.zeros(SIZE, complex)
    alone[band] = spectrum[band]
    analytic = numpy.fft.ifft(alone)[::SIZE // SMALL]
    envelope = abs(analytic)[:PATCH * SMALL // SIZE]
    if envelope.mean() == 0:
        return numpy.zeros(SMALL // 2)
    n = len(envelope)
    hann = numpy.sin(numpy.pi * (numpy.arange(n) + 0.5) / n) ** 2
    e = hann / numpy.sqrt((hann ** 2).sum()) * (envelope / envelope.mean() - 1)
    return abs(numpy.exp(-2j * numpy.pi * numpy.outer(numpy.arange(SMALL // 2), numpy.arange(n)) / SMALL) @ e) ** 2


def prominence(s, order):
    f, bin = order * SHAFT, RATE / SIZE
    reach, k = max(TOLERANCE * f, bin), numpy.arange(len(s))
    near = (k >= numpy.floor((f - reach) / bin)) & (k <= numpy.ceil((f + reach) / bin)) & (k >= 2)
    around = (k >= numpy.trunc((f - BACKGROUND) / bin)) & (k <= numpy.trunc((f + BACKGROUND) / bin)) & (k >= 2)
    ordered = numpy.sort(s[around])
    return (TINY + s[near].max()) / (TINY + ordered[len(ordered) // 2])  # the upper one of an even number


def features(z):
    spectrum = numpy.fft.fft(z, SIZE)
    power = abs(spectrum) ** 2 / PATCH
    level = numpy.log([TINY + power[part].mean() for part in parts(SHAPE)])
    lines = [numpy.mean([prominence(envelope_spectrum(spectrum, band), order) for band in parts(BANDS)]) for order in ORDERS]
    square = 2 * power[bins(LOW, HIGH)].sum() / SIZE
    return numpy.concatenate([(level - level.mean()) / 2, (numpy.log(lines) - 2) / 2, [numpy.clip(numpy.log2(TINY + square), -1, 1)]])


def make():
    random = numpy.random.RandomState(4)
    z = numpy.stack([stretch(random, turn) for turn in range(TURNS)]).astype(numpy.float32)
    config = numpy.array([RATE, PATCH, LOW, HIGH, BANDS, SHAPE, SHAFT, TOLERANCE, BACKGROUND] + ORDERS)
    out = {"config": config, "stretches": z, "features": numpy.stack([features(row.astype(float)) for row in z])}
    return {name: numpy.ascontiguousarray(value.astype(numpy.float32)) for name, value in out.items()}


if __name__ == "__main__":
    golden.main(make, lambda: {})
