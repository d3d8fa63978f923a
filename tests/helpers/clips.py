"""Clips of moving colour, written as people have them."""

import av
import numpy as np
from PIL import Image

KINDS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


def pictures(frames, colour, size=(48, 32), seed=0):
    """Return uint8 (T, H, W, 3): a square of a colour that moves over a still pattern."""
    width, height = size
    random = np.random.default_rng(seed)
    ground = (
        random.integers(0, 60, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    )
    clip = np.repeat(ground[None], frames, axis=0)
    for number, frame in enumerate(clip):
        left = 2 * number % (width - 16)
        frame[8:24, left : left + 16] = colour
    return clip


def write_video(path, clip, codec="mpeg4", rate=25):
    """Encode a clip; mpeg4 goes into .avi and .mp4 and loses little."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = clip.shape[2], clip.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for picture in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_frames(folder, clip, name="{}.png"):
    """Write a folder of frames that are numbered from 1, without leading zeros."""
    folder.mkdir(parents=True)
    for number, picture in enumerate(clip, 1):
        Image.fromarray(picture).save(folder / name.format(number))


def write_classes(top, per_class=12, frames=range(4, 8)):
    """Write class folders of clips of several lengths and kinds of file, two from a recording."""
    for kind, colour in KINDS.items():
        (top / kind).mkdir(parents=True)
        for number in range(per_class):
            clip = pictures(frames[number % len(frames)], colour, seed=number)
            name = f"v_{kind}_g{number // 2:02d}_c{number % 2:02d}"
            if number % 4 == 0:
                write_video(top / kind / f"{name}.mp4", clip)
            elif number % 4 == 1:
                write_video(top / kind / f"{name}.avi", clip)
            elif number % 4 == 2:
                write_frames(top / kind / name, clip)
            else:
                np.save(top / kind / f"{name}.npy", clip)
