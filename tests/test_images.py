import gzip
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from data_fixtures import (
    SHARED,
    as_bytes,
    class_folders,
    everything,
    needs_shared,
    picture,
    save,
    told,
    write,
)
from PIL import Image

from glassnet.data import keeping, pixels
from glassnet.data.imagefacts import ImageFacts
from glassnet.data.images import open_images
from glassnet.data.rawimages import read_raw, to_tensor
from glassnet.errors import UserError


def facts_of(**changes):
    plain = dict(channels=3, height=12, width=10, mean=[0.5], std=[0.5], classes=["a", "b"])
    return ImageFacts(**{**plain, **changes})


# --- Layouts --------------------------------------------------------------------------------------


def test_class_folders_become_rows_with_labels_and_no_parts(tmp_path):
    source = open_images(class_folders(tmp_path))
    assert source.classes == ["cat", "dog"]
    assert source.strata == [0] * 4 + [1] * 4
    assert source.parts is None
    assert source.name(5) == "dog/1.png"
    facts = source.facts(everything(source))
    assert (facts.channels, facts.height, facts.width) == (3, 12, 10)
    batch = source.examples(everything(source), facts).batch(torch.tensor([7, 0]))
    assert batch.inputs.dtype == torch.uint8 and batch.inputs.shape == (2, 3, 12, 10)
    assert batch.targets.tolist() == [1, 0] and batch.targets.dtype == torch.int64
    assert torch.equal(batch.inputs[0], to_tensor(tmp_path / "dog/3.png", facts))


def test_parts_are_found_under_their_usual_names(tmp_path):
    for part in ("train", "valid", "test"):
        class_folders(tmp_path / part, count=2)
    source = open_images(tmp_path)
    assert sorted(set(source.parts)) == ["test", "train", "validation"]
    assert source.parts.count("validation") == 4


def test_classes_may_be_named_like_parts(tmp_path):
    for name in ("train", "bus"):
        save(tmp_path / name / "1.png", picture(1))
        save(tmp_path / name / "2.png", picture(2))
    save(tmp_path / "loose.png", picture(3))
    source = open_images(tmp_path)
    assert source.classes == ["bus", "train"] and source.parts is None
    assert told(source.problems, "loose.png", "no label", "left out")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz"])
def test_an_archive_equals_its_folder(tmp_path, suffix):
    folder = class_folders(tmp_path / "pets")
    archive = tmp_path / f"packed{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for image in folder.rglob("*.png"):
                file.write(image, image.relative_to(tmp_path))
    else:
        with tarfile.open(archive, "w:" + ("gz" if "gz" in suffix else "")) as file:
            file.add(folder, "pets")
    packed, plain = open_images(archive), open_images(folder)
    assert packed.fingerprint == plain.fingerprint
    facts = plain.facts(everything(plain))
    assert packed.facts(everything(packed)) == facts
    rows = torch.tensor([6, 1])
    assert torch.equal(packed.examples(rows, facts).inputs, plain.examples(rows, facts).inputs)


def idx_file(path, array):
    data = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    data += struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    return write(path, gzip.compress(data) if path.suffix == ".gz" else data)


def mnist_like(folder, suffix=".gz"):
    random = np.random.default_rng(0)
    for part, n in (("train", 20), ("t10k", 10)):
        idx_file(folder / f"{part}-images-idx3-ubyte{suffix}", random.integers(0, 256, (n, 8, 6)))
        idx_file(folder / f"{part}-labels-idx1-ubyte{suffix}", np.arange(n) % 5)
    return folder


def test_idx_files_may_be_packed_in_several_members(tmp_path):
    whole = open_images(mnist_like(tmp_path / "whole"))
    mnist_like(tmp_path / "parts")
    images = tmp_path / "parts" / "train-images-idx3-ubyte.gz"
    plain = gzip.decompress(images.read_bytes())
    images.write_bytes(gzip.compress(plain[:500]) + gzip.compress(plain[500:]))
    parts, rows = open_images(tmp_path / "parts"), torch.arange(20)
    facts = whole.facts(rows)
    assert torch.equal(parts.examples(rows, facts).inputs, whole.examples(rows, facts).inputs)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_have_a_train_and_a_test_part(tmp_path, suffix):
    source = open_images(mnist_like(tmp_path, suffix))
    assert source.parts == ["train"] * 20 + ["test"] * 10
    facts = source.facts(torch.arange(20))
    assert (facts.channels, facts.height, facts.width) == (1, 8, 6)
    assert source.examples(torch.tensor([25]), facts).targets.tolist() == [0]


def test_one_idx_file_brings_its_labels_along(tmp_path):
    source = open_images(mnist_like(tmp_path) / "t10k-images-idx3-ubyte.gz")
    assert len(source) == 10 and source.parts is None


def test_classes_txt_names_the_classes_of_arrays(tmp_path):
    write(mnist_like(tmp_path) / "classes.txt", "null\none\ntwo\nthree\nfour\n")
    assert open_images(tmp_path).classes == ["null", "one", "two", "three", "four"]


def test_an_idx_file_without_labels_is_refused(tmp_path):
    (mnist_like(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match="without its labels.*t10k-labels-idx3"):
        open_images(tmp_path)


def test_a_cut_idx_file_is_refused(tmp_path):
    file = mnist_like(tmp_path) / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-50])
    source = open_images(tmp_path)
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz is cut short.*Fetch it again"):
        source.facts(torch.arange(20))


def test_cifar_batches_are_read_with_their_names(tmp_path):
    random = np.random.default_rng(0)
    folder = tmp_path / "cifar-10-batches-bin"
    for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
        records = random.integers(0, 256, (6, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(6) % 3
        write(folder / name, records.tobytes())
    write(folder / "batches.meta.txt", "airplane\nautomobile\nbird\n\n")
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as file:
        file.add(folder, folder.name)
    for path in (folder, tmp_path / "cifar-10-binary.tar.gz"):
        source = open_images(path)
        assert source.classes == ["airplane", "automobile", "bird"]
        assert source.parts == ["train"] * 12 + ["test"] * 6
        facts = source.facts(torch.arange(12))
        examples = source.examples(torch.tensor([17]), facts)
        assert torch.equal(
            examples.inputs[0], torch.from_numpy(records[5, 1:].reshape(3, 32, 32).copy())
        )


@pytest.mark.parametrize("keys", [("x", "y"), ("images", "labels"), ("X", "y")])
def test_npz_with_one_pair(tmp_path, keys):
    x = np.random.default_rng(0).integers(0, 256, (10, 5, 5, 3), dtype=np.uint8)
    names = np.array(["cat", "dog"])
    arrays = dict(zip(keys, (x, np.arange(10) % 2), strict=True))
    np.savez(tmp_path / "a.npz", class_names=names, **arrays)
    source = open_images(tmp_path / "a.npz")
    assert source.classes == ["cat", "dog"] and source.parts is None
    facts = source.facts(everything(source))
    assert torch.equal(
        source.examples(everything(source), facts).inputs[3],
        torch.from_numpy(x[3]).permute(2, 0, 1),
    )


def test_npz_with_parts_and_floats_in_0_to_1(tmp_path):
    x = np.random.default_rng(0).random((10, 5, 5))
    y = np.array(["b", "a"] * 5)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    source = open_images(tmp_path / "a.npz")
    assert source.parts == ["train"] * 10 + ["test"] * 4
    facts = source.facts(torch.arange(10))
    assert facts.whites == {"f": 1.0}
    inputs = source.examples(torch.arange(10), facts).inputs
    assert inputs.max() > 200
    assert torch.equal(read_raw(x, facts)[1], inputs)


def test_a_dark_image_of_a_bright_float_set_is_scaled_like_the_others(tmp_path):
    x = np.full((6, 4, 4), 200.0)
    x[0] = 1.0
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1] * 3)
    source = open_images(tmp_path / "a.npz")
    facts = source.facts(everything(source))
    assert source.examples(torch.tensor([0]), facts).inputs.max() == 1
    assert to_tensor(x[0], facts).max() == 1


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.array([object()]), "y": np.zeros(1)}, "pickle.*np.savez"),
        ({"a": np.zeros(3)}, "holds the arrays a. Expected x and y"),
        ({"x": np.zeros((4, 9)), "y": np.arange(4) % 2}, r"x has shape \(4, 9\).*\(N, H, W\)"),
        ({"x": np.zeros((4, 3, 3)), "y": np.arange(3)}, "4 images, but there are 3 labels"),
        ({"x": np.zeros((4, 3, 3)), "y": np.zeros(4)}, "one class only"),
        ({"x": np.zeros((4, 3, 3)), "y": np.arange(4) / 3}, "expected integers or names"),
    ],
)
def test_bad_npz_files_are_explained(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=words):
        open_images(tmp_path / "a.npz")


def test_a_text_file_named_npz_is_explained(tmp_path):
    write(tmp_path / "a.npz", "no array")
    with pytest.raises(UserError, match="a.npz.*np.savez"):
        open_images(tmp_path / "a.npz")


# --- Forms of images ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "YCbCr"])
def test_images_of_any_mode_become_grey_or_colour(mode):
    image = Image.new("L", (10, 12), 255).convert("1" if mode == "1" else "L")
    if mode == "I;16":
        image = Image.fromarray(np.full((12, 10), 65535, np.uint16))
    elif mode != "1":
        image = image.convert("RGB").convert("RGBA").convert(mode) if mode != "L" else image
    data = as_bytes(image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    for channels in (1, 3):
        for form in (data, image):
            tensor = to_tensor(form, facts_of(channels=channels))
            assert tensor.shape == (channels, 12, 10)
            assert tensor.min() >= 253, (mode, tensor.min())


def test_alpha_is_put_on_white():
    image = Image.new("RGBA", (10, 12), (0, 0, 0, 0))
    assert to_tensor(as_bytes(image), facts_of()).min() == 255
    grey = Image.new("LA", (10, 12), (0, 128))
    assert to_tensor(as_bytes(grey), facts_of(channels=1)).unique().tolist() == [127]


def test_16_bit_grey_keeps_its_scale():
    ramp = np.linspace(0, 65535, 120).reshape(12, 10).astype(np.uint16)
    tensor = to_tensor(as_bytes(Image.fromarray(ramp)), facts_of(channels=1))
    assert np.abs(tensor[0].numpy() - ramp / 257.0).max() <= 0.51


QUARTERS = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [200, 200, 10]]], np.uint8)


def quarters():
    """Red and green above blue and yellow, 12 x 10: where each lies tells how it was turned."""
    return Image.fromarray(QUARTERS.repeat(6, 0).repeat(5, 1))


def corners(tensor):
    """One colour out of each quarter, as in QUARTERS."""
    height, width = tensor.shape[1:]
    picked = tensor[:, [2, height - 3]][:, :, [2, width - 3]]
    return picked.permute(1, 2, 0).to(torch.int16).numpy()


TURNED = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a),
}  # fmt: skip


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation_is_applied(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}
    data = as_bytes(quarters(), format, exif=exif, **lossless.get(format, {}))
    shape = pixels.header(data)
    assert (shape.height, shape.width) == ((10, 12) if orientation >= 5 else (12, 10))
    tensor = to_tensor(data, facts_of(height=shape.height, width=shape.width))
    assert np.abs(corners(tensor) - TURNED[orientation](QUARTERS.astype(np.int16))).max() <= 4


def png_of_16_bits(array, colour_type):
    """A PNG as Pillow cannot write it."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def ycck(image):
    """A CMYK JPEG whose colours are stored as brightness and two differences, as Adobe does it."""
    cmy, k = np.array(image.convert("CMYK"))[..., :3], np.array(image.convert("CMYK"))[..., 3:]
    ycc = np.array(Image.fromarray(cmy).convert("YCbCr"))  # the decoder's 255 - RGB
    four = Image.fromarray(np.concatenate([255 - ycc, k], 2), "CMYK")
    data = bytearray(as_bytes(four, "JPEG", quality=98, subsampling=0))
    adobe = data.index(b"Adobe")
    data[adobe + 11] = 2  # the transform: YCCK
    return bytes(data)


def forms_of_colour():
    image, array = quarters(), np.array(quarters())
    palette, sixteen = image.convert("P", palette=Image.Palette.ADAPTIVE), array.astype(">u2") * 257
    opaque = np.full((12, 10, 1), 65535, ">u2")
    cmyk = image.convert("CMYK")
    fine = {"quality": 98, "subsampling": 0}
    return {
        "palette PNG": as_bytes(palette),
        "GIF": as_bytes(palette, "GIF"),
        "16-bit RGB PNG": png_of_16_bits(sixteen, 2),
        "16-bit RGBA PNG": png_of_16_bits(np.concatenate([sixteen, opaque], 2), 6),
        "CMYK JPEG": as_bytes(cmyk, "JPEG", **fine),
        "YCCK JPEG": ycck(image),
        "CMYK TIFF": as_bytes(cmyk, "TIFF"),
        "YCbCr TIFF": as_bytes(image.convert("YCbCr"), "TIFF"),
        "progressive JPEG": as_bytes(image, "JPEG", progressive=True, **fine),
        "animated GIF": as_bytes(palette, "GIF", save_all=True, append_images=[picture(1)]),
        "animated PNG": as_bytes(image, save_all=True, append_images=[picture(1)]),
        "animated WebP": as_bytes(
            image, "WEBP", save_all=True, append_images=[picture(1)], lossless=True
        ),
        "TIFF of two pages": as_bytes(image, "TIFF", save_all=True, append_images=[picture(1)]),
    }


@pytest.mark.parametrize("form", forms_of_colour())
def test_colours_are_the_same_in_every_form(form):
    data = forms_of_colour()[form]
    assert np.abs(corners(to_tensor(data, facts_of())) - QUARTERS.astype(np.int16)).max() <= 6
    assert pixels.header(data) == pixels.Shape(12, 10, 3)
    assert pixels.num_frames(data) == (2 if "animated" in form or "two" in form else 1)


def forms_of_grey():
    levels = np.array(quarters())[..., 0]
    whole = levels.astype(np.float32)
    sixteen = Image.fromarray(levels.astype(np.uint16) * 257)
    with_alpha = np.stack([levels.astype(">u2") * 257, np.full((12, 10), 65535, ">u2")], 2)
    return {
        "16-bit PNG": as_bytes(sixteen),
        "16-bit TIFF": as_bytes(sixteen, "TIFF"),
        "16-bit PNG with alpha": png_of_16_bits(with_alpha, 4),
        "float TIFF to 1": as_bytes(Image.fromarray(whole / 255), "TIFF"),
        "float TIFF to 255": as_bytes(Image.fromarray(whole), "TIFF"),
        "32-bit TIFF": as_bytes(Image.fromarray(levels.astype(np.int32)), "TIFF"),
        "grey and alpha": as_bytes(Image.fromarray(levels).convert("LA")),
    }


@pytest.mark.parametrize("form", forms_of_grey())
def test_grey_is_the_same_in_every_form(form):
    data = forms_of_grey()[form]
    found = corners(to_tensor(data, facts_of(channels=1)))[..., 0]
    assert np.abs(found - QUARTERS[..., 0].astype(np.int16)).max() <= 1
    assert pixels.header(data) == pixels.Shape(12, 10, 1)


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_colour_of_a_palette_is_put_on_white(format):
    palette = quarters().convert("P", palette=Image.Palette.ADAPTIVE)
    data = as_bytes(palette, format, transparency=palette.getpixel((0, 0)))
    found = corners(to_tensor(data, facts_of()))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[1].tolist() == QUARTERS[1].tolist()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_simplejpeg_and_pillow_decode_alike(mode):
    data = as_bytes(picture(3, 12, 10, mode), "JPEG", quality=90)
    facts = facts_of(channels=1 if mode == "L" else 3)
    with Image.open(io.BytesIO(data)) as image:
        assert torch.equal(to_tensor(data, facts), to_tensor(image, facts))


def test_grey_from_colour_is_what_pillow_makes_of_it():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8))
    expected = torch.from_numpy(np.array(image.convert("L")))
    assert torch.equal(to_tensor(image, facts_of(channels=1))[0], expected)


def test_the_first_frame_of_an_animation_is_used_and_that_is_said_once(tmp_path):
    class_folders(tmp_path)
    frames = [picture(n, mode="P") for n in (1, 2, 3)]
    for name in ("x.gif", "y.gif"):
        save(tmp_path / "cat" / name, frames[0], save_all=True, append_images=frames[1:])
    source = open_images(tmp_path)
    source.facts(everything(source))
    told_of = [p for p in source.problems if "frames" in p.what]
    assert (
        len(told_of) == 1 and "2 images" in told_of[0].what and "first frame" in told_of[0].remedy
    )


def test_one_image_gives_one_tensor_in_every_form(tmp_path):
    image = picture(5, 30, 21)
    path = save(tmp_path / "a.png", image)
    array = np.array(image)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    facts = facts_of()
    expected = to_tensor(path, facts)
    for form in (str(path), path.read_bytes(), image, array, tensor, tensor.numpy()):
        assert torch.equal(to_tensor(form, facts), expected)
    assert torch.equal(to_tensor(expected, facts), expected)


def test_resizing_crops_the_middle_and_keeps_the_shape():
    array = np.zeros((40, 100, 3), np.uint8)
    array[:, 30:70] = 255  # the middle square
    tensor = to_tensor(array, facts_of(height=20, width=20))
    assert tensor.min() == 255


def test_a_size_is_chosen_by_the_median_and_can_be_set(tmp_path):
    for n in range(3):
        save(tmp_path / "cat" / f"{n}.png", picture(n, 50, 61))
        save(tmp_path / "dog" / f"{n}.png", picture(n, 55 + n, 50))
    source = open_images(tmp_path)
    facts = source.facts(everything(source))
    assert (facts.height, facts.width) == (48, 48)
    facts = open_images(tmp_path, size=17).facts(everything(source))
    assert (facts.height, facts.width) == (17, 17)
    with pytest.raises(UserError, match="size must be at least 1"):
        open_images(tmp_path, size=0)


def test_images_of_one_aspect_ratio_keep_it(tmp_path):
    class_folders(tmp_path, height=300, width=400, count=1)
    source = open_images(tmp_path)
    facts = source.facts(everything(source))
    assert (facts.height, facts.width) == (128, 171)


def test_images_that_lose_much_by_cropping_are_reported(tmp_path):
    save(class_folders(tmp_path) / "cat" / "long.png", picture(1, 10, 50))
    source = open_images(tmp_path)
    source.facts(everything(source))
    assert told(source.problems, "1 images lose more than half", "crop or pad")


def test_one_pixel_is_enough(tmp_path):
    class_folders(tmp_path, height=1, width=1)
    source = open_images(tmp_path)
    facts = source.facts(everything(source))
    assert source.examples(everything(source), facts).inputs.shape == (8, 3, 1, 1)
    assert to_tensor(Image.new("RGB", (1, 1), "red"), facts_of())[:, 0, 0].tolist() == [255, 0, 0]


def png_header(width, height):
    return as_bytes(Image.new("L", (1, 1)))[:16] + struct.pack(">II", width, height) + b"\x08\0" * 9


@pytest.mark.parametrize("size", [(20000, 20000), (60000, 60000)])
def test_an_image_of_400_megapixels_is_a_problem_not_a_crash(tmp_path, size):
    write(class_folders(tmp_path) / "cat" / "huge.png", png_header(*size))
    bmp = bytearray(as_bytes(Image.new("L", (1, 1)), "BMP"))
    bmp[18:26] = struct.pack("<ii", *size)
    write(tmp_path / "cat" / "huge.bmp", bytes(bmp))
    source = open_images(tmp_path)
    facts = source.facts(everything(source))
    assert len(source.examples(everything(source), facts)) == 8
    assert told(source.problems, "huge.png", f"{size[0]} x {size[1]} pixels", "smaller")
    assert told(source.problems, "huge.bmp", "pixels", "smaller")


def test_a_large_jpeg_is_shrunk_while_it_is_decoded():
    data = as_bytes(picture(2, 2400, 2000), "JPEG")
    small = to_tensor(data, facts_of(height=24, width=20)).float()
    exact = to_tensor(picture(2, 2400, 2000), facts_of(height=24, width=20)).float()
    assert (small - exact).abs().mean() < 3


# --- Bad input ------------------------------------------------------------------------------------


def spoiled(folder):
    class_folders(folder, count=6)
    good = as_bytes(picture(1, 60, 60))
    write(folder / "cat" / "text.png", "this is a note")
    write(folder / "cat" / "cut.png", good[: len(good) // 2])
    write(folder / "cat" / "empty.png", b"")
    jpeg = as_bytes(picture(1, 60, 60), "JPEG")
    write(folder / "dog" / "cut.jpg", jpeg[: len(jpeg) // 2])
    return folder


def test_unreadable_images_are_reported_with_a_remedy_and_left_out(tmp_path):
    source = open_images(spoiled(tmp_path))
    facts = source.facts(everything(source))
    examples = source.examples(everything(source), facts)
    assert len(examples) == 12 and len(source) == 16
    assert "cat/text.png" not in [source.name(int(row)) for row in examples.rows]
    assert told(source.problems, "cat/text.png", "is a text file", "left out")
    assert told(source.problems, "cat/cut.png", "cut short or damaged", "again")
    assert told(source.problems, "cat/empty.png", "0 bytes", "again")
    assert told(source.problems, "dog/cut.jpg", "cut short or damaged", "again")
    assert len(source.problems) == 4, "each once, however often rows are read"


def test_more_than_half_unreadable_is_refused(tmp_path):
    class_folders(tmp_path, count=2)
    for n in range(5):
        write(tmp_path / "cat" / f"bad{n}.png", "text")
    source = open_images(tmp_path)
    with pytest.raises(UserError, match="5 of 9 images cannot be read, such as cat/bad0.png"):
        source.facts(everything(source))


def test_a_class_without_a_readable_image_is_refused(tmp_path):
    class_folders(tmp_path)
    write(tmp_path / "emu" / "1.png", "text")
    source = open_images(tmp_path)
    with pytest.raises(UserError, match="class emu can be read"):
        source.facts(everything(source))


def test_litter_is_ignored_and_strangers_are_counted(tmp_path):
    class_folders(tmp_path)
    for name in ("Thumbs.db", ".hidden.png", "__MACOSX/x.png", ".ipynb_checkpoints/a.png"):
        write(tmp_path / "cat" / name, "x")
    for name in ("a.txt", "b.txt", "c.xml"):
        write(tmp_path / "dog" / name, "x")
    source = open_images(tmp_path)
    assert len(source) == 8 and len(source.problems) == 2
    assert told(source.problems, "2 files of type .txt", "left out")
    assert told(source.problems, "c.xml", "1 file of type .xml")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], r"no images \(found: nothing\)(.|\n)*/cat/1.png"),
        (["a.txt"], r"no images \(found: 1 × .txt\)"),
        (["1.png", "2.png"], "2 images, but no class folders(.|\n)*/cat/1.png"),
        (["cat/1.png", "cat/2.png"], r"one class only \('cat'\)"),
        (["train/1.png", "test/2.png"], "hold no class folders(.|\n)*/train/cat/1.png"),
        (["train/Cat/1.png", "train/dog/1.png", "test/cat/1.png"], "lacks: cat.*Cat, dog"),
    ],
)
def test_other_layouts_are_refused_with_the_expected_one(tmp_path, files, words):
    for name in files:
        save(tmp_path / name, picture(1)) if name.endswith("png") else write(tmp_path / name, "x")
    with pytest.raises(UserError, match=words):
        open_images(tmp_path)


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist.*glassnet datasets"):
        open_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match="a.png is a single file.*one sub-folder per class"):
        open_images(save(tmp_path / "a.png", picture(1)))


def test_a_class_that_the_test_part_lacks_is_reported(tmp_path):
    class_folders(tmp_path / "train")
    save(tmp_path / "test" / "cat" / "1.png", picture(1))
    assert told(open_images(tmp_path).problems, "test part", "dog", "add images")


def test_unlabelled_and_stray_images_beside_parts_are_reported(tmp_path):
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "test", count=1)
    save(tmp_path / "test" / "loose.png", picture(1))
    save(tmp_path / "extra" / "cat" / "1.png", picture(1))
    source = open_images(tmp_path)
    assert len(source) == 10
    assert told(source.problems, "test part", "1 images lie outside of class folders")
    assert told(source.problems, "extra", "left out")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((12, 10), np.nan), "NaN"),
        (-np.ones((12, 10)), "negative values.*standardizes by itself"),
        (np.zeros((12,)), r"shape \(12,\)"),
        (np.zeros((0, 5)), r"shape \(0, 5, 1\)"),
        ("nowhere.png", "cannot be read.*check the path"),
        (b"hello", "text file"),
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>no such page", "web page.*download that failed.*fetch"),
        ("<html>\n<title>Größe".encode(), "web page"),
        (b'<?xml version="1.0"?>\n<svg width="9"/>', "drawing .SVG.*export it as PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90), "HEIC.*convert it to JPEG"),
        (b"%PDF-1.7\n%\xe2\xe3", "document.*export its pages"),
        (b"II*\0" + bytes(90), "TIFF of a kind that cannot be read.*export it as 8-bit"),
        (b"\1\2\3\xff" * 30, "is no image"),
        ({"a": 1}, "is a dict.*give a path"),
    ],
)
def test_bad_single_images_are_explained(image, words):
    with pytest.raises(UserError, match=words):
        to_tensor(image, facts_of())


def test_pictures_of_other_programs_are_to_be_converted(tmp_path):
    for number in range(2):
        write(tmp_path / "cat" / f"{number}.HEIC", "x")
    with pytest.raises(UserError, match=r"no images \(found: 2 × .heic\). Conv"):
        open_images(tmp_path)
    class_folders(tmp_path)
    problems = open_images(tmp_path).problems
    assert told(problems, "0.HEIC", "2 files of type .heic cannot be read", "convert them to JPEG")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_no_damage_to_a_file_escapes_as_another_error(format):
    good = as_bytes(picture(4), format)
    random = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(good[: random.integers(1, len(good) + 1)])
        for position in random.integers(0, len(data), random.integers(0, 6)):
            data[position] = random.integers(0, 256)
        try:
            assert to_tensor(bytes(data), facts_of()).shape == (3, 12, 10)
        except UserError as error:
            assert "image" in str(error)


def test_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "memory", lambda: 1000.0)
    source = open_images(class_folders(tmp_path), cache="memory")
    with pytest.raises(UserError, match="8 images of 12 x 10 pixels need .* smaller size than 10"):
        source.facts(everything(source))


def test_arrays_with_alpha_are_put_on_white(tmp_path):
    x = np.zeros((4, 3, 3, 4), np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1, 0, 1])
    source = open_images(tmp_path / "a.npz")
    facts = source.facts(torch.arange(4))
    assert facts.channels == 3 and source.examples(torch.arange(4), facts).inputs.min() == 255
    assert len(source.examples(torch.arange(0), facts)) == 0


# --- What a source promises -----------------------------------------------------------------------


def test_facts_touch_only_the_rows_that_they_are_learned_from(tmp_path):
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "test")
    source = open_images(tmp_path)
    train = torch.tensor([row for row, part in enumerate(source.parts) if part == "train"])
    shutil.rmtree(tmp_path / "test")  # sealed: nobody may miss it
    facts = source.facts(train)
    assert len(source.examples(train, facts)) == 8


def test_mean_and_deviation_are_those_of_the_rows(tmp_path):
    source = open_images(class_folders(tmp_path))
    rows = torch.tensor([0, 5])
    facts = source.facts(rows)
    x = source.examples(rows, facts).inputs.double() / 255
    assert torch.allclose(torch.tensor(facts.mean).double(), x.mean((0, 2, 3)), atol=1e-6)
    deviation = x.std((0, 2, 3), correction=0)
    assert torch.allclose(torch.tensor(facts.std).double(), deviation, atol=1e-6)
    assert source.facts(torch.tensor([5, 0])) == facts


def test_a_constant_set_of_images_is_not_divided_by_nothing(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 3, 3), np.uint8), y=[0, 1, 0, 1])
    assert open_images(tmp_path / "a.npz").facts(torch.arange(4)).std == [1.0]


def test_the_fingerprint_changes_with_contents_names_and_nothing_else(tmp_path):
    first = class_folders(tmp_path / "a")
    second = class_folders(tmp_path / "b" / "c")
    os.utime(second / "cat" / "0.png", (0, 0))
    write(second / "cat" / "Thumbs.db", "x")
    assert open_images(first).fingerprint == open_images(second).fingerprint
    save(second / "cat" / "0.png", picture(77))
    changed = open_images(second).fingerprint
    assert changed != open_images(first).fingerprint
    (second / "cat" / "0.png").rename(second / "dog" / "0b.png")
    assert open_images(second).fingerprint != changed


def test_facts_survive_json():
    facts = facts_of(whites={"f": 1.0})
    assert ImageFacts.model_validate_json(facts.model_dump_json()) == facts


def test_progress_ends_with_all_images(tmp_path):
    seen = []
    source = open_images(class_folders(tmp_path), progress=lambda *numbers: seen.append(numbers))
    source.facts(everything(source))
    assert seen[-1] == (8, 8)


def test_prediction_reads_folders_archives_lists_and_arrays(tmp_path):
    facts = facts_of()
    folder = class_folders(tmp_path / "new", count=2)
    names, inputs, problems = read_raw(folder, facts)
    assert names == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"] and not problems
    archive = shutil.make_archive(str(tmp_path / "new"), "zip", folder)
    assert torch.equal(read_raw(archive, facts)[1], inputs)
    files = [folder / name for name in names]
    assert torch.equal(read_raw(files, facts)[1], inputs)
    arrays = np.stack([np.array(Image.open(file)) for file in files])
    assert torch.equal(read_raw(arrays, facts)[1], inputs)
    assert torch.equal(read_raw(torch.from_numpy(arrays).permute(0, 3, 1, 2), facts)[1], inputs)
    assert torch.equal(read_raw(files[2], facts)[1], inputs[2:3])
    grey = read_raw(arrays[..., 0], facts)
    assert grey[1].shape == (4, 3, 12, 10) and grey[0][3] == "image 3"


def test_prediction_keeps_the_order_of_many_images(tmp_path):
    random = np.random.default_rng(0)
    arrays = random.integers(0, 256, (200, 12, 10, 3), dtype=np.uint8)
    given = [Image.fromarray(array) for array in arrays]
    given[150:150] = [b"no image"]
    names, inputs, problems = read_raw(given, facts_of())
    assert names == [f"image {n}" for n in range(201) if n != 150]
    assert torch.equal(inputs, torch.from_numpy(arrays).permute(0, 3, 1, 2))
    assert [problem.where for problem in problems] == ["image 150"]


def test_one_picture_may_be_given_many_times(tmp_path):
    lazy = Image.open(save(tmp_path / "a.jpg", picture(1, 400, 400)))
    inputs = read_raw([lazy] * 100, facts_of())[1]
    assert (inputs == inputs[0]).all()


def test_odd_exif_data_are_passed_over_in_silence(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0"  # promises five entries, has none
    save(tmp_path / "a.jpg", picture(1), exif=exif)
    program = (
        "import sys; from glassnet.data.imagefacts import ImageFacts; "
        "from glassnet.data.rawimages import read_raw; facts = ImageFacts(channels=3, height=12,"
        "width=10, mean=[], std=[], classes=[]); print(len(read_raw(sys.argv[1], facts)[0]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.jpg")]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert (answer.stdout, answer.stderr) == ("1\n", "")


def test_prediction_leaves_out_and_reports_what_it_cannot_read(tmp_path):
    folder = spoiled(tmp_path)
    write(folder / "note.txt", "x")
    names, inputs, problems = read_raw(folder, facts_of())
    assert len(names) == len(inputs) == 12 and len(problems) == 5
    with pytest.raises(UserError, match="text.png is a text file"):
        read_raw(folder / "cat" / "text.png", facts_of())
    with pytest.raises(UserError, match="nowhere does not exist"):
        read_raw(tmp_path / "nowhere", facts_of())


def test_file_names_need_not_be_utf_8(tmp_path):
    class_folders(tmp_path)
    before = open_images(tmp_path).fingerprint
    old = tmp_path / "cat" / "0.png"
    try:
        old.rename(os.fsdecode(os.fsencode(old.parent) + b"/0\xff.png"))
    except OSError:
        pytest.skip("this file system knows UTF-8 only")
    source = open_images(tmp_path)
    assert len(source) == 8 and source.fingerprint != before
    old.parent.rename(os.fsdecode(os.fsencode(tmp_path) + b"/c\xff"))
    with pytest.raises(UserError, match=r"class folder 'c\\udcff' is not named in UTF-8. Rename"):
        open_images(tmp_path)


# --- Real sets ------------------------------------------------------------------------------------


@needs_shared
def test_mnist_opens_in_two_seconds():
    start = time.perf_counter()
    source = open_images(Path(SHARED) / "image_mnist")
    assert time.perf_counter() - start < 2
    assert len(source) == 70000 and source.parts.count("test") == 10000
    rows = torch.arange(60000)
    facts = source.facts(rows)
    assert facts.mean[0] == pytest.approx(0.1307, abs=1e-4)
    assert facts.std[0] == pytest.approx(0.3081, abs=1e-4)
    one = source.layout.store.raw(5)
    assert torch.equal(source.examples(rows[5:6], facts).inputs[0], to_tensor(one, facts))


@needs_shared
def test_cifar_as_jpeg_opens_and_decodes_each_part():
    source = open_images(Path(SHARED) / "image_cifar10_jpg" / "cifar10_jpg.tar.gz")
    assert len(source) == 60000 and source.parts.count("train") == 50000
    rows = torch.arange(0, 50000, 25)
    facts = source.facts(rows)
    assert (facts.channels, facts.height, facts.width) == (3, 32, 32)
    assert source.examples(rows, facts).targets.bincount().tolist() == [200] * 10
