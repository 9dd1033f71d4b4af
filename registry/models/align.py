"""Faces cut out and turned upright, as recognisers were trained to see them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from registry.domain import Chips, Detection, Image

CHIP_SIZE = 112
"""px. The side of an aligned face: the ArcFace template of `insightface.utils.face_align`."""


def align(image: Image, detections: Sequence[Detection]) -> Chips:
    """The faces moved onto the ArcFace template: BGR uint8 (n, 112, 112, 3), in order.

    The five landmarks are fitted by the similarity transform of InsightFace's own `norm_crop`; what
    the image does not show is black. Landmarks that fit no such transform give a black chip.
    """
    # Loaded here: it brings scipy and scikit-image with it, which no other command needs.
    from insightface.utils.face_align import norm_crop

    chips = np.zeros((len(detections), CHIP_SIZE, CHIP_SIZE, 3), dtype=np.uint8)
    with warnings.catch_warnings():
        # norm_crop calls SimilarityTransform.estimate, deprecated since scikit-image 0.26.
        warnings.simplefilter("ignore", FutureWarning)
        for chip, detection in zip(chips, detections, strict=True):
            chip[:] = norm_crop(image, detection.landmarks, CHIP_SIZE)
    return chips
