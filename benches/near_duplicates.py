"""Near-duplicates: how many changed copies of photos and texts `engraft audit` finds, and what it takes for copies that are none.

    python3 benches/near_duplicates.py target/release/engraft PHOTOS [--copies 120] [--sheet pairs.png] [--texts FILE]

PHOTOS is a folder of classes. Needs Pillow. FILE has a text a line; a word is changed in those of 20 to 44 words.
"""
import argparse, io, json, pathlib, random, subprocess, tempfile, time

from PIL import Image, ImageDraw, ImageEnhance, ImageOps


def saved(image, scale=1.0, quality=75):
    small = image.resize((max(32, round(image.width * scale)), max(32, round(image.height * scale))))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=quality)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


def crop(image, left, top, right, bottom):
    w, h = image.size
    return image.crop((round(left * w), round(top * h), w - round(right * w), h - round(bottom * h)))


def brightness(image, by=1.15):
    return ImageEnhance.Brightness(image).enhance(by)


def contrast(image, by=1.3):
    return ImageEnhance.Contrast(image).enhance(by)


def turned(image, degrees=3, **how):
    return image.rotate(degrees, Image.BICUBIC, **how)


CHANGES = {
    "JPEG 50, half the size": lambda i: saved(i, 0.5, 50),
    "brightness x 1.15": brightness,
    "contrast x 1.3": contrast,
    "5 % cut off, half on each side": lambda i: crop(i, 0.025, 0.025, 0.025, 0.025),
    "5 % cut off each side": lambda i: crop(i, 0.05, 0.05, 0.05, 0.05),
    "5 % cut off one side": lambda i: crop(i, 0.05, 0, 0, 0),
    "mirrored": ImageOps.mirror,
    "turned by 3 degrees": turned,
    "turned by -3 degrees, the frame grown": lambda i: turned(i, -3, expand=True),
    "mirrored, 5 % off two sides, JPEG 60": lambda i: saved(crop(ImageOps.mirror(i), 0.05, 0.05, 0, 0), 1, 60),
    "turned, contrast, half the size, JPEG 75": lambda i: saved(contrast(turned(i)), 0.5),
    "mirrored, turned, brightness": lambda i: brightness(turned(ImageOps.mirror(i), -3)),
}


def audited(binary, data):
    start = time.time()
    audit = json.loads(subprocess.run([binary, "--json", "audit", data], check=True, capture_output=True).stdout)
    return audit, time.time() - start


def recall(binary, photos, name, change):
    with tempfile.TemporaryDirectory() as temp:
        for at, path in enumerate(photos):
            folder = pathlib.Path(temp, f"c{at % 2}")
            folder.mkdir(exist_ok=True)
            image = Image.open(path).convert("RGB")
            image.save(folder / f"{at:04}a.png")
            change(image).save(folder / f"{at:04}b.png")
        names = sorted(str(file.relative_to(temp)) for file in pathlib.Path(temp).glob("*/*"))
        groups = [[names[index][:-5] for index in group] for group in audited(binary, temp)[0]["groups"]]
        found = {name for group in groups for name in group if group.count(name) == 2}
        wrong = sum(len(set(group)) > 1 for group in groups)
        print(f"| {name} | {len(found)} of {len(photos)} | {wrong} |", flush=True)


def pairs_of(audit):
    for finding in audit["findings"]:
        alike = "look the same" in finding["message"] and finding["kind"] in ("near-duplicate", "label-conflict")
        if alike:
            yield from zip(finding["files"][::2], finding["files"][1::2])


def sheet(root, pairs, out):
    image = Image.new("RGB", (8 * 210, -(-len(pairs) // 8) * 120), "white")
    draw = ImageDraw.Draw(image)
    for at, pair in enumerate(pairs):
        x, y = at % 8 * 210, at // 8 * 120
        for side, file in enumerate(pair):
            image.paste(Image.open(root / file).convert("RGB").resize((100, 100)), (x + 102 * side, y))
        draw.text((x, y + 102), str(at), fill="black")
    image.save(out)


def texts(binary, file):
    lines = sorted({" ".join(line.split()) for line in open(file, encoding="utf-8", errors="replace")} - {""})
    rng = random.Random(0)
    words = sorted({word for line in lines for word in line.split() if word.isalpha()})
    length = lambda line: sum(any(c.isalnum() for c in part) for part in line.split())
    middle = [line for line in lines if 20 <= length(line) <= 44]
    changed = []
    for line in middle:
        parts = line.split()
        at = rng.choice([at for at, part in enumerate(parts) if part.isalpha()] or [0])
        parts[at] = rng.choice(words)
        changed.append(" ".join(parts))
    with tempfile.TemporaryDirectory() as temp:
        table = pathlib.Path(temp, "texts.jsonl")

        def write(rows):
            table.write_text("".join(json.dumps({"text": row, "label": "ab"[at % 2]}) + "\n" for at, row in enumerate(rows)))

        write(lines)
        audit, seconds = audited(binary, table)
        print(f"{len(lines)} different texts, {seconds:.1f} s: {sum(map(len, audit['groups']))} are near another, in {len(audit['groups'])} groups")
        for group in audit["groups"][:40]:
            print("   ", " | ".join(lines[at][:110] for at in group[:3]))
        write(middle + changed)
        groups = audited(binary, table)[0]["groups"]
        of = {index: number for number, group in enumerate(groups) for index in group}
        found = sum(at in of and of[at] == of.get(at + len(middle)) for at in range(len(middle)))
        print(f"one word changed in 20 to 44: {found} of {len(middle)} found")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("--copies", type=int, default=120)
    parser.add_argument("--sheet")
    parser.add_argument("--texts")
    args = parser.parse_args()
    files = sorted(file for file in args.photos.glob("*/*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if args.copies:
        chosen = random.Random(0).sample(files, min(args.copies, len(files)))
        print("| change | found | groups of different photos |\n| --- | --- | --- |")
        for name, change in CHANGES.items():
            recall(args.binary, chosen, name, change)
    audit, seconds = audited(args.binary, args.photos)
    pairs = list(pairs_of(audit))
    grouped = sum(map(len, audit["groups"]))
    print(f"{len(files)} images, {seconds:.2f} s: {len(pairs)} pairs look the same, {grouped} images are in groups")
    if args.sheet:
        sheet(args.photos, pairs, args.sheet)
    if args.texts:
        texts(args.binary, args.texts)


main()
