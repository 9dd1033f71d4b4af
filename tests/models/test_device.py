"""The device asked for, the device there is, and the device that is really used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
from onnx import TensorProto, helper

from registry.errors import DeviceError, UsageError
from registry.models import catalogue, device
from registry.models.recognition import batch_size

CPU, CUDA, COREML = "CPUExecutionProvider", "CUDAExecutionProvider", "CoreMLExecutionProvider"


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [
        ("auto", [CPU], [CPU]),
        ("auto", [CPU, COREML], [CPU]),
        ("auto", [CPU, COREML, CUDA], [CUDA, CPU]),
        ("auto", ["AzureExecutionProvider", CPU], [CPU]),
        ("cpu", [CUDA, CPU], [CPU]),
        ("cuda", [CUDA, CPU], [CUDA, CPU]),
        ("coreml", [COREML, CUDA, CPU], [COREML, CPU]),
    ],
)
def test_the_best_provider_comes_first_and_the_processor_last(
    asked: str, available: list[str], expected: list[str]
) -> None:
    assert device.resolve(asked, available=available) == expected


def test_this_installation_is_asked_by_default() -> None:
    assert device.resolve("auto")[0] in onnxruntime.get_available_providers()


def test_an_absent_gpu_says_what_to_install() -> None:
    with pytest.raises(DeviceError, match=r"cuda is not available: .* offers cpu\. .*extra `gpu`"):
        device.resolve("cuda", available=[CPU])


def test_absent_coreml_says_where_it_is() -> None:
    with pytest.raises(DeviceError, match="macOS"):
        device.resolve("coreml", available=[CPU])


def test_no_device_of_that_name() -> None:
    with pytest.raises(UsageError, match="'tpu' is not a device: use one of auto, cuda"):
        device.resolve("tpu")


@pytest.fixture
def fallen_back() -> onnxruntime.InferenceSession:
    """A session that was asked for a GPU on a machine without one: ONNX Runtime says nothing."""
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("a machine without a GPU")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.warns(UserWarning, match="not in available provider names"):
        return onnxruntime.InferenceSession(
            model.SerializeToString(), device.session_options(1), providers=[CUDA, CPU]
        )


def test_a_silent_fall_back_is_an_error_if_the_device_was_named(
    fallen_back: onnxruntime.InferenceSession,
) -> None:
    with pytest.raises(DeviceError, match=r"cuda was requested, but .* fell back to cpu"):
        device.in_use("cuda", [fallen_back])


def test_a_silent_fall_back_of_auto_reads_cpu(fallen_back: onnxruntime.InferenceSession) -> None:
    assert device.in_use("auto", [fallen_back]) == "cpu"


@pytest.mark.parametrize("source", ["sface", "pack"])
def test_loading_on_an_absent_device_fails(
    source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    absent = {"CUDAExecutionProvider": "cuda", "CoreMLExecutionProvider": "coreml"}
    name = next(n for p, n in absent.items() if p not in onnxruntime.get_available_providers())
    if source == "pack":
        source = str(request.getfixturevalue("pack_folder"))
    with pytest.raises(DeviceError, match=f"Device {name} is not available"):
        catalogue.load(source, device=name, cache=tmp_path)


def test_threads_are_those_asked_for() -> None:
    assert device.session_options(1).intra_op_num_threads == 1
    assert device.session_options(None).intra_op_num_threads == 0


THREADS = """
import sys, cv2
from pathlib import Path
cv2.setNumThreads(2)
from registry.models import catalogue, insight, sface
counts = [cv2.getNumThreads()]
for threads in (None, 1):
    catalogue.load("sface", device="cpu", cache=Path("nowhere"), threads=threads)
    counts.append(cv2.getNumThreads())
print(counts)
"""


def test_opencv_keeps_its_threads_unless_a_number_is_asked_for(tmp_path: Path) -> None:
    """In a process of its own: OpenCV's threads are the whole process's."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{THREADS}"],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
    )
    assert done.stdout == "[2, 2, 1]\n"
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["nowhere"]  # optimised graphs


def test_only_cuda_embeds_many_faces_at_once() -> None:
    assert batch_size("coreml") == batch_size("cpu") < batch_size("cuda")
