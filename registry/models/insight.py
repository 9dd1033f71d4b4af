"""InsightFace packs, run by InsightFace's `FaceAnalysis`.

Their weights are for non-commercial research only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from insightface.app import FaceAnalysis

from registry.domain import Chips, Detection, Image, ModelInfo
from registry.errors import DeviceError, ModelError
from registry.models import device as devices
from registry.models import graphs, scrfd
from registry.models.base import DETECTION_THRESHOLD
from registry.models.detections import can_contain_face, sorted_detections
from registry.models.network import SIZES, OnnxNetwork, SingleNetwork
from registry.models.paired import Detector, PairedModel
from registry.models.recognition import CHIP_SIZE
from registry.models.weights import combined_digest, file_digest

DETECTION_SIZES = [(128, 128), (640, 640)]
"""px. SCRFD at 640 alone misses faces that fill the frame. The default of insightface 2; earlier
versions used 640 only."""

_PASSED_THROUGH = {"QuantizeLinear", "DequantizeLinear", "Cast", "Identity"}


class _Scrfd:
    """InsightFace's detector, one image at a time; threads can share it, as it changes nothing."""

    def __init__(self, detector: Any) -> None:
        """`detector` is prepared."""
        self._detector = detector

    def detect_all(self, images: Sequence[Image]) -> list[list[Detection]]:
        """As `FaceModel.detect_all`."""
        return [self._detect(image) for image in images]

    def _detect(self, image: Image) -> list[Detection]:
        if not can_contain_face(image):
            return []
        height, width = image.shape[:2]
        try:
            rows, landmarks = self._detector.detect(image)
        except Exception as exc:  # errors of OpenCV and ONNX Runtime
            raise ModelError(f"SCRFD failed on an image of {width}x{height}: {exc}") from exc
        return sorted_detections(rows[:, :4], landmarks, rows[:, 4], width=width, height=height)


def load(
    folder: Path,
    *,
    name: str,
    verification_threshold: float,
    device: str,
    threads: int | None,
    fast: bool = False,
) -> PairedModel:
    """The pack with the .onnx files in `folder`.

    Raises:
        ModelError: the folder has no detector with landmarks and recogniser of 112 px that
            InsightFace can load.
        DeviceError: the requested device is not available or could not be started.
    """
    providers = devices.resolve(device)
    devices.prepare(providers, threads)
    # InsightFace finds out what the files are. On an accelerator, it does so on the CPU.
    batched = devices.is_batched(providers)
    analysis = _analysis(folder, devices.resolve("cpu") if batched else providers, threads)
    detector, recogniser = analysis.models["detection"], analysis.models["recognition"]
    if not detector.use_kps:
        raise ModelError(f"The detector of {folder} returns no landmarks: faces cannot be aligned.")
    if recogniser.input_size != (CHIP_SIZE, CHIP_SIZE):
        raise ModelError(
            f"The recogniser of {folder} takes faces of {recogniser.input_size} px; "
            f"only {CHIP_SIZE}x{CHIP_SIZE} is supported."
        )
    files = [Path(model.model_file) for model in (detector, recogniser)]
    network = onnx.load(files[1])
    graph = network.graph
    if analysis.model_package is None and scales_its_input(graph):
        recogniser.input_mean, recogniser.input_std = 0.0, 1.0  # a manifest declares it
    info = ModelInfo(
        name=name,
        digest=combined_digest(map(file_digest, files)),
        dimension=_dimension(recogniser, folder),
        verification_threshold=verification_threshold,
    )
    jointly = embeds_batch_jointly(graph)
    if batched and not jointly:
        return _load_in_batches(detector, recogniser, info, device, providers, threads)
    if batched and device != "auto":
        raise DeviceError(
            f"Device {device} was requested, but the recogniser of {folder} was quantised for the "
            f"CPU: {providers[0]} has no DynamicQuantizeLinear and ConvInteger. Use a pack with "
            "float weights, or device cpu."
        )
    if providers == devices.resolve("cpu"):
        graphs.replace_prelu(graph, exactly=True)
        content = bytes(network.SerializeToString())
        recogniser.session = devices.open_session(content, providers, threads, str(files[1]))
    used = devices.in_use(device, [detector.session, recogniser.session])
    one_by_one = isinstance(recogniser.input_shape[0], int) or jointly

    def forward(chips: Chips) -> Any:
        return recogniser.get_feat(list(chips))

    found: Detector = _Scrfd(detector)
    if fast:
        names = detector.output_names
        found_graph = scrfd.batched(Path(detector.model_file).read_bytes(), names)
        sides = [width for width, _ in detector.input_sizes]
        found = scrfd.BatchedScrfd(
            SingleNetwork(devices.open_session(found_graph, providers, threads, "SCRFD"), "SCRFD"),
            sides,
            len(names),
            whole_squares=False,
        )
    return PairedModel(found, forward, info, used, batch=1 if one_by_one else None)


def _load_in_batches(
    detector: Any,
    recogniser: Any,
    info: ModelInfo,
    device: str,
    providers: Sequence[str],
    threads: int | None,
) -> PairedModel:
    """The pack on an accelerator. `detector` and `recogniser` are InsightFace's."""
    names = detector.output_names
    found_graph = scrfd.batched(Path(detector.model_file).read_bytes(), names)
    embedded_graph = graphs.recogniser(
        Path(recogniser.model_file).read_bytes(),
        mean=recogniser.input_mean,
        scale=recogniser.input_std,
    )
    found = OnnxNetwork(found_graph, providers, threads, "SCRFD")
    fixed = isinstance(recogniser.input_shape[0], int)  # the network was exported for one face
    embedded = OnnxNetwork(
        embedded_graph, providers, threads, info.name, sizes=(1,) if fixed else SIZES
    )
    sizes = [width for width, _ in detector.input_sizes]
    return PairedModel(
        scrfd.BatchedScrfd(found, sizes, len(names)),
        embedded.run,
        info,
        devices.in_use(device, [found.session, embedded.session]),
    )


def _analysis(folder: Path, providers: list[str], threads: int | None) -> FaceAnalysis:
    try:
        with devices.output_to_stderr():
            analysis = FaceAnalysis(
                str(folder),
                allowed_modules=["detection", "recognition"],
                providers=providers,
                sess_options=devices.session_options(threads),
            )
            # With a negative ctx_id, the sessions would be created again without their options.
            analysis.prepare(0, det_thresh=DETECTION_THRESHOLD, det_size=DETECTION_SIZES)
    except Exception as exc:  # AssertionError without a detector, ONNX Runtime's, and others
        reason = str(exc) or "it has no detector"
        raise ModelError(f"InsightFace cannot load the pack in {folder}: {reason}.") from exc
    if "recognition" not in analysis.models:
        raise ModelError(f"The pack in {folder} has no recogniser: it needs an ArcFace .onnx file.")
    return analysis


def scales_its_input(graph: onnx.GraphProto) -> bool:
    """Whether the network subtracts a mean from its input, and so takes RGB 0-255.

    InsightFace infers this from the names of the first eight nodes, which is wrong if weights are
    stored as integers; the input is then scaled twice, and all faces are alike.
    """
    reached = {value.name for value in graph.input} - {value.name for value in graph.initializer}
    for node in graph.node:
        if reached.isdisjoint(node.input):
            continue
        if node.op_type not in _PASSED_THROUGH:
            return bool(node.op_type == "Sub")
        reached.update(node.output)
    return False


def embeds_batch_jointly(graph: onnx.GraphProto) -> bool:
    """Whether a face's embedding depends on the other faces of the batch.

    Dynamic quantisation of activations uses one range for the whole batch. Measured with w600k
    MobileFaceNet int8: embeddings of a face in batches of 1 and 32 differ, down to a cosine of
    0.97.
    """
    return any(node.op_type == "DynamicQuantizeLinear" for node in graph.node)


def _dimension(recogniser: Any, folder: Path) -> int:
    """D, from a test run: exported models often do not declare it."""
    try:
        black = np.zeros((CHIP_SIZE, CHIP_SIZE, 3), dtype=np.uint8)
        return int(recogniser.get_feat([black]).shape[1])
    except Exception as exc:  # ONNX Runtime's errors have no common base class
        raise ModelError(f"The recogniser of {folder} does not run: {exc}") from exc
