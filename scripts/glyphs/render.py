#!/usr/bin/env python3
"""Render the pre-training set of the embedded base `glyphs`.

Writes a folder per class of 32x32 8-bit greyscale PNGs, white ink on black:
digits and Latin letters in 47 classes (letters whose cases look alike are
merged, as in EMNIST-balanced), drawn with the fonts of the Debian packages
that README.md lists and distorted widely, so that features learnt from them
carry over to small pictures of real handwriting.

Needs numpy, scipy and pillow. The output depends only on the options, the
fonts and the versions of those three libraries: every image has a random
generator of its own, seeded by (seed, class, index).
"""

import argparse
import math
import multiprocessing
import os
import pathlib
import shutil
import string
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

OUT = 32  # side of the pictures written
CANVAS = 96  # side of the picture that a glyph is first drawn in
UNIT = 52.0  # canvas pixels to the longer side of an undistorted glyph
GLYPH = 72  # longer side of a glyph's cached distance fields
PAD = 22  # room around the glyph in those fields

MERGED = "cijklmopsuvwxyz"
CROSSED = "7zZ"  # drawn with a bar through the stem as often as without

CROWDED = "EMWmwaeg"  # broad strokes would fill these, though their gaps are open

# family: (package, [files], characters it is not used for).
# Fonts without lower case draw it as capitals, hence LOWER.
UPPER, LOWER = string.ascii_uppercase, string.ascii_lowercase
HAND = {
    "DKG": ("fonts-dkg-handwriting", ["dkg.ttf", "dkgIt.ttf", "dkgBd.ttf"], ""),
    "Breip": ("fonts-breip", ["Breip.ttf"], ""),
    "BecauseWeBuild": ("fonts-bwht", ["BecauseWeBuild-Regular.otf"], LOWER),
    "BecauseWeConnect": ("fonts-bwht", ["BecauseWeConnect-Regular.otf"], LOWER),
    "BecauseWeCreate": ("fonts-bwht", ["BecauseWeCreate-Regular.otf"], LOWER),
    "BecauseWeLearn": ("fonts-bwht", ["BecauseWeLearn-Regular.otf"], LOWER),
    "BecauseWeMentor": ("fonts-bwht", ["BecauseWeMentor-Regular.otf"], LOWER),
    "BecauseWeOrganize": ("fonts-bwht", ["BecauseWeOrganize-Regular.otf"], LOWER),
    "HumorSans": ("fonts-humor-sans", ["Humor-Sans.ttf"], LOWER),
    "Rufscript": ("fonts-rufscript", ["Rufscript010.ttf"], ""),
    "Delphine": ("fonts-sjfonts", ["Delphine.ttf"], ""),
    "SteveHand": ("fonts-sjfonts", ["SteveHand.ttf"], ""),
    "TomsonTalks": ("fonts-tomsontalks", ["TomsonTalks.ttf"], LOWER),
    "YuseiMagic": ("fonts-yusei-magic", ["YuseiMagic-Regular.ttf"], ""),
    # Its capitals are ornate and hard to read.
    "Ecolier": ("fonts-ecolier-court", ["Ecolier-court.ttf"], UPPER),
    "Purisa": ("fonts-tlwg-purisa-otf", ["Purisa.otf", "Purisa-BoldOblique.otf"], ""),
    "DancingScript": ("fonts-dancingscript", ["DancingScript-Regular.otf"], ""),
    "ComicNeue": ("fonts-comic-neue", ["ComicNeue-Regular.otf", "ComicNeue-BoldItalic.otf"], ""),
}
PRINT = {
    "DejaVuSans": ("fonts-dejavu-core", ["DejaVuSans.ttf"], ""),
    "DejaVuSerif": ("fonts-dejavu-core", ["DejaVuSerif.ttf"], ""),
    # The zeros of these two have a dot or a stroke inside.
    "DejaVuSansMono": ("fonts-dejavu-core", ["DejaVuSansMono.ttf"], "0"),
    "LiberationMono": ("fonts-liberation", ["LiberationMono-Regular.ttf"], "0"),
    "LiberationSans": ("fonts-liberation", ["LiberationSans-Regular.ttf", "LiberationSans-Italic.ttf"], ""),
    "LiberationNarrow": ("fonts-liberation", ["LiberationSansNarrow-Bold.ttf"], ""),
    "LiberationSerif": ("fonts-liberation", ["LiberationSerif-Regular.ttf", "LiberationSerif-Italic.ttf"], ""),
    "URWGothic": ("fonts-urw-base35", ["URWGothic-Book.otf"], ""),
    "URWBookman": ("fonts-urw-base35", ["URWBookman-Light.otf"], ""),
    "NimbusMono": ("fonts-urw-base35", ["NimbusMonoPS-Regular.otf"], ""),
    "P052": ("fonts-urw-base35", ["P052-Italic.otf"], ""),
    "Z003": ("fonts-urw-base35", ["Z003-MediumItalic.otf"], ""),
}
HAND_SHARE = 0.75


def classes():
    """Every class as (folder name, its characters), in a fixed order.

    The names differ even where a file system takes `a` and `A` for the same.
    """
    found = [(f"digit_{d}", d) for d in string.digits]
    found += [(f"upper_{c}", c.upper()) for c in LOWER if c not in MERGED]
    found += [(f"lower_{c}", c) for c in LOWER if c not in MERGED]
    found += [(f"both_{c}", c.upper() + c) for c in MERGED]
    return found


# --- glyphs -----------------------------------------------------------------


def find_fonts(root):
    """File name to path for every listed font; ends the program if one is missing."""
    at = {}
    for path in sorted(pathlib.Path(root).rglob("*")):
        at.setdefault(path.name, path)
    missing = [
        (file, package)
        for package, files, _ in [*HAND.values(), *PRINT.values()]
        for file in files
        if file not in at
    ]
    if missing:
        for file, package in missing:
            print(f"render.py: {file} is missing: apt-get install {package}", file=sys.stderr)
        sys.exit(1)
    return at


def draw(font, char):
    """The glyph's coverage, cropped to its ink, or None if it has none."""
    mask = Image.new("L", (420, 420), 0)
    ImageDraw.Draw(mask).text((130, 270), char, font=font, fill=255, anchor="ls")
    box = mask.getbbox()
    return mask.crop(box) if box else None


def crossed(mask):
    """The glyph with a short bar through its stem, as many hands write 7 and z."""
    wide, tall = mask.size
    ink = np.asarray(mask) >= 128
    middle = round(tall * 0.52)
    across = np.flatnonzero(ink[middle])
    if not len(across):
        return None
    centre, reach = (across[0] + across[-1]) / 2, max(0.3 * wide, 0.2 * tall)
    thick = 2 * max(1.0, float(ndimage.distance_transform_edt(np.pad(ink, 1)).max()) * 0.8)
    pad = math.ceil(reach)
    out = Image.new("L", (wide + 2 * pad, tall), 0)
    out.paste(mask, (pad, 0))
    bar = (centre + pad - reach, middle + 0.03 * tall, centre + pad + reach, middle - 0.03 * tall)
    ImageDraw.Draw(out).line(bar, fill=255, width=round(thick))
    return out.crop(out.getbbox())


def thinning_table(step):
    """Zhang and Suen's rule: for each code of 8 neighbours, whether to erase."""
    table = np.zeros(256, bool)
    for code in range(256):
        p = [code >> i & 1 for i in range(8)]  # N, NE, E, SE, S, SW, W, NW
        n, e, s, w = p[0], p[2], p[4], p[6]
        turns = sum(p[i] == 0 and p[(i + 1) % 8] == 1 for i in range(8))
        if step == 0:
            ends = n * e * s == 0 and e * s * w == 0
        else:
            ends = n * e * w == 0 and n * s * w == 0
        table[code] = 2 <= sum(p) <= 6 and turns == 1 and ends
    return table


TABLES = [thinning_table(0), thinning_table(1)]
AROUND = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]


def skeleton(ink):
    """The middle lines of the ink; the ink must not touch the border."""
    ink = ink.copy()
    rows, cols = ink.shape
    code = np.zeros((rows - 2, cols - 2), np.uint8)
    inner = ink[1:-1, 1:-1]
    while True:
        gone = 0
        for table in TABLES:
            code[:] = 0
            for bit, (dy, dx) in enumerate(AROUND):
                part = ink[1 + dy : rows - 1 + dy, 1 + dx : cols - 1 + dx]
                code |= part.view(np.uint8) << bit
            erase = table[code] & inner
            gone += int(erase.sum())
            inner &= ~erase
        if not gone:
            return ink


class Glyph:
    """A glyph as distance fields, in units of its longer side.

    `edge`: distance to the outline, negative in the ink; `line`: distance to
    the middle line. Thresholding them draws the glyph at any weight. The
    `room` values say how far each may grow before it fills a counter.
    """

    def __init__(self, mask, room=1.0):
        scale = GLYPH / max(mask.size)
        size = [max(1, round(side * scale)) for side in mask.size]
        small = np.asarray(mask.resize(size, Image.BOX), np.uint8)
        ink = np.pad(small >= 112, PAD)
        edge = ndimage.distance_transform_edt(~ink) - ndimage.distance_transform_edt(ink)
        edge = np.where(edge > 0, edge - 0.5, edge + 0.5)
        line = ndimage.distance_transform_edt(~skeleton(ink))
        holes, count = ndimage.label(~ink)
        self.edge_room = self.line_room = room
        for hole in range(1, count + 1):
            inside = holes == hole
            if inside[0, 0]:
                continue
            if edge[inside].max() / GLYPH > 0.03:  # smaller ones are not counters
                self.edge_room = min(self.edge_room, edge[inside].max() / GLYPH)
                self.line_room = min(self.line_room, line[inside].max() / GLYPH)
        self.edge = (edge / GLYPH).astype(np.float32)
        self.line = (line / GLYPH).astype(np.float32)
        self.weight = float(-edge.min() / GLYPH)


class Fonts:
    def __init__(self, root):
        self.groups = []
        at = find_fonts(root)
        for group in (HAND, PRINT):
            self.groups.append(
                [
                    ([ImageFont.truetype(str(at[file]), 180) for file in files], skip)
                    for _, files, skip in group.values()
                ]
            )
        self.cache = {}

    def glyphs(self, char):
        """For each group, a list of families, each a list of the styles' glyphs."""
        if char not in self.cache:
            self.cache[char] = [
                [found for fonts, skip in group if (found := self.family(fonts, skip, char))]
                for group in self.groups
            ]
        return self.cache[char]

    @staticmethod
    def family(fonts, skip, char):
        found = []
        for font in fonts if char not in skip else []:
            mask, notdef = draw(font, char), draw(font, "\U0010fffe")
            if mask is None or (notdef is not None and mask.tobytes() == notdef.tobytes()):
                continue
            found.append(Glyph(mask, 0.12 if char in CROWDED else 1.0))
            bar = crossed(mask) if char in CROSSED else None
            if bar is not None:
                found.append(Glyph(bar))
        return found

    def forget(self):
        self.cache.clear()


# --- distortions ------------------------------------------------------------


def smoother(sigma, nodes=24):
    """A matrix that takes noise on `nodes` to a smooth curve of unit variance."""
    at = np.arange(CANVAS)[:, None]
    node = (np.linspace(-0.1, 1.1, nodes) * CANVAS)[None]
    basis = np.exp(-0.5 * ((at - node) / sigma) ** 2)
    return (basis / np.sqrt((basis**2).sum(1, keepdims=True))).astype(np.float32)


SMOOTHERS = [smoother(sigma) for sigma in (7.0, 10.0, 14.0, 20.0)]
GRID = ((np.arange(CANVAS, dtype=np.float32) + 0.5) - CANVAS / 2) / UNIT
PIXELS = np.arange(CANVAS, dtype=np.float32)


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def sample_glyph(rng, fonts, chars):
    hand, printed = fonts.glyphs(pick(rng, chars))
    group = hand if (rng.random() < HAND_SHARE and hand) or not printed else printed
    return pick(rng, pick(rng, group))


def warp(rng, field):
    """The field seen through a random affine map and an elastic distortion."""
    turn = math.radians(rng.uniform(-20, 20))
    shear = rng.uniform(-0.4, 0.4)
    wide, tall = rng.uniform(0.6, 1.2, 2)
    grow = 1.0 / max(wide, tall)  # the size in the picture is chosen later
    cos, sin = math.cos(turn), math.sin(turn)
    forward = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]])
    forward = forward @ np.diag([wide * grow, tall * grow])
    (a, b), (c, d) = np.linalg.inv(forward)

    smooth = pick(rng, SMOOTHERS)
    amount = rng.uniform(0.0, 0.055) * (1 if rng.random() < 0.85 else 0)
    noise = rng.standard_normal((2, smooth.shape[1], smooth.shape[1]), dtype=np.float32)
    shift = np.float32(amount) * (smooth @ noise @ smooth.T)
    x = GRID[None, :] + shift[0]
    y = GRID[:, None] + shift[1]
    rows, cols = field.shape
    at_x = (a * x + b * y) * GLYPH + (cols - 1) / 2
    at_y = (c * x + d * y) * GLYPH + (rows - 1) / 2
    return ndimage.map_coordinates(
        field, (at_y, at_x), np.float32, order=1, mode="nearest", prefilter=False
    )


def weigh(rng, glyph):
    """A field whose zero line is the outline of the glyph at a random weight."""
    if rng.random() < 0.65:  # a round pen along the middle line
        half = min(rng.uniform(0.025, 0.125), 0.72 * glyph.line_room)
        return glyph.line - np.float32(max(half, 0.022))
    # the font's own strokes, thinner or thicker
    more = rng.uniform(-0.6 * glyph.weight, 0.065)
    more = min(more, 0.6 * glyph.edge_room)
    field = glyph.edge - np.float32(more)
    return np.minimum(field, glyph.line - np.float32(0.022))


def damage(rng, ink):
    """A small gap in the ink, or now and then a stray blot, in place."""
    ys, xs = np.nonzero(ink > 0.5)
    if not len(ys):
        return
    at = int(rng.integers(len(ys)))
    away = (PIXELS[None, :] - xs[at]), (PIXELS[:, None] - ys[at])
    kind = rng.random()
    if kind < 0.45:  # a round gap
        ink[np.hypot(*away) < rng.uniform(1.5, 5.0)] = 0
    elif kind < 0.85:  # a scratch
        angle = rng.uniform(0, math.pi)
        off = away[0] * math.cos(angle) + away[1] * math.sin(angle)
        ink[np.abs(off) < rng.uniform(0.5, 2.0)] = 0
    else:  # a blot on the stroke
        ink[np.hypot(*away) < rng.uniform(3.0, 7.0)] = 1


def place(rng, ink):
    """Choose the part of the canvas that becomes the picture.

    Gives its (left, top, right, bottom) and the share of its height that is ink.
    """
    rows = np.flatnonzero(ink.max(1) > 0.3)
    cols = np.flatnonzero(ink.max(0) > 0.3)
    top, bottom = float(rows[0]), float(rows[-1] + 1)
    left, right = float(cols[0]), float(cols[-1] + 1)
    tall, wide = bottom - top, right - left
    aspect = wide / tall
    if rng.random() < 0.55:  # the ink's box stretched to nearly the whole picture
        high = rng.uniform(0.92, 1.04)
        if aspect < 0.4:  # a lone stroke stays one
            broad = high * aspect * rng.uniform(0.8, 1.7)
        elif rng.random() < 0.6:
            broad = rng.uniform(0.6, 1.0)
        else:
            broad = min(1.0, high * aspect * rng.uniform(0.75, 1.25))
        if aspect > 1.4 and rng.random() < 0.5:  # a wide letter may stay wide
            high = max(0.6, broad / aspect)
    else:
        size = rng.uniform(0.5, 0.95)
        stretch = math.exp(rng.uniform(-0.2, 0.2))
        high = size if aspect < 1 else max(0.45, size / aspect)
        broad = min(0.98, high * aspect * stretch)
    centred = rng.random() < 0.5
    free_x, free_y = max(0.0, 1 - broad), max(0.0, 1 - high)
    spread = 0.15 if centred else 0.5
    mid_x = 0.5 + free_x * rng.uniform(-spread, spread)
    mid_y = 0.5 + free_y * rng.uniform(-spread, spread)
    side_x, side_y = wide / broad, tall / high
    start_x = (left + right) / 2 - mid_x * side_x
    start_y = (top + bottom) / 2 - mid_y * side_y
    return (start_x, start_y, start_x + side_x, start_y + side_y), high


def cut(ink, box, side):
    """That part of the canvas, averaged over areas down to side x side."""
    left, top, right, bottom = box
    pad = int(math.ceil(max(0, -left, -top, right - CANVAS, bottom - CANVAS)))
    if pad:
        ink = np.pad(ink, pad)
    image = Image.fromarray(ink)
    box = tuple(min(max(edge + pad, 0.0), float(len(ink))) for edge in box)
    return image.resize((side, side), Image.BOX, box)


def render(rng, fonts, chars):
    """One picture, 32x32, uint8."""
    while True:
        field = warp(rng, weigh(rng, sample_glyph(rng, fonts, chars)))
        ink = np.clip(0.5 - field * np.float32(UNIT), 0, 1)
        if ink.max() > 0.9:
            break
    box, high = place(rng, ink)
    if rng.random() < 0.2:
        damage(rng, ink)

    noise = rng.uniform(0.0, 0.08) if rng.random() < 0.5 else 0.0
    early = rng.random() < 0.5  # noise before or after the loss of resolution
    if rng.random() < 0.55:
        side = 8 if rng.random() < 0.4 else int(rng.integers(9, 17))
        side = max(side, math.ceil(7 / high))  # with fewer rows of ink none can be read
        image = cut(ink, box, side)
        if noise and early:
            image = Image.fromarray(
                np.asarray(image) + np.float32(noise) * rng.standard_normal((side, side), np.float32)
            )
        back = Image.BILINEAR if rng.random() < 0.65 else Image.BICUBIC
        picture = np.array(image.resize((OUT, OUT), back))
        late = noise if not early else 0.0
    else:
        picture = np.array(cut(ink, box, OUT))
        if rng.random() < 0.6:
            picture = ndimage.gaussian_filter(picture, rng.uniform(0.3, 1.4), truncate=3.0)
        late = noise
    if late:
        picture += np.float32(late) * rng.standard_normal((OUT, OUT), np.float32)

    picture = np.clip(picture, 0, 1)
    if rng.random() < 0.5:
        picture **= np.float32(math.exp(rng.uniform(-0.6, 0.5)))
    peak = picture.max()
    gain = 1.0 if rng.random() < 0.5 else rng.uniform(0.55, 1.15)
    floor = 0.0 if rng.random() < 0.8 else rng.uniform(0.0, 0.12)
    picture = floor + (gain / max(peak, 0.3) - floor) * picture
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


# --- the run ----------------------------------------------------------------

STATE = {}


def start(root):
    STATE["fonts"] = Fonts(root)


def render_class(job):
    number, name, chars, seed, count, out = job
    folder = out / name
    folder.mkdir(parents=True)
    fonts = STATE["fonts"]
    for index in range(count):
        rng = np.random.default_rng((seed, number, index))
        Image.fromarray(render(rng, fonts, chars)).save(folder / f"{name}_{index:05d}.png")
    fonts.forget()
    return name, count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write (must not exist)")
    parser.add_argument("--per-class", type=int, default=1500, help="images per class (default 1500)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the whole set (default 0)")
    parser.add_argument("--fonts", default="/usr/share/fonts", help="where to look for the fonts")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--force", action="store_true", help="replace --out if it exists")
    options = parser.parse_args()
    find_fonts(options.fonts)
    if options.out.exists():
        if not options.force:
            sys.exit(f"render.py: {options.out} exists already (--force replaces it)")
        shutil.rmtree(options.out)

    jobs = [
        (number, name, chars, options.seed, options.per_class, options.out)
        for number, (name, chars) in enumerate(classes())
    ]
    began, done = time.monotonic(), 0
    with multiprocessing.Pool(options.jobs, start, (options.fonts,)) as pool:
        for name, count in pool.imap_unordered(render_class, jobs):
            done += count
            print(f"{name}: {count} images", flush=True)
    took = time.monotonic() - began
    print(f"{done} images in {len(jobs)} classes, {took:.0f} s, {done / took:.0f} images/s")


if __name__ == "__main__":
    main()
