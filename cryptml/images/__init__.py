"""Pictures as one kind of array: DICOM, PNG, JPEG, TIFF, BMP and PGM files in, float32 in [0, 1] out; square regions of them.

The clinic holds everything in this module: pictures are read, cropped and reduced in the clear, on the client. Files are decoded in a
process of their own (`cryptml.images.decoding.process`), which alone imports what decodes.
No message and no description repeats anything of a DICOM header but its size and encoding.
"""

from cryptml.images.breast import breast_mask, tile_all, tile_breast
from cryptml.images.description import Description
from cryptml.images.frames import FrameChoice
from cryptml.images.image import Image, image_from_array
from cryptml.images.limits import MAX_FILE_BYTES, MAX_PIXELS
from cryptml.images.reading import describe_file, load_frames, load_image, picture_of
from cryptml.images.regions import Region, brightest_region, central_region, crop, reduce_area

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "Description",
    "FrameChoice",
    "Image",
    "Region",
    "breast_mask",
    "brightest_region",
    "central_region",
    "crop",
    "describe_file",
    "image_from_array",
    "load_frames",
    "load_image",
    "picture_of",
    "reduce_area",
    "tile_all",
    "tile_breast",
]
