"""Features of pretrained image networks, where their weights are there (PROTOCOLS 8.2 and B.5).

The weights lie in one folder under the names of the registry of downloads; the digits of the SHA-256 that their
publisher names are checked. Grey images are repeated over three channels. Two ways to prepare them:

``per_network`` (ours)
    resized to what the network was trained on and scaled the way it was trained; the feature is the mean of the last
    maps over the image (512 values for VGG16, else 2048). VGG16 and ResNet50: 224 pixels, mean and deviation of
    ImageNet; Inception: 299 pixels, [-1, 1] (its ``pool3``); RadImageNet: 224 pixels, [-1, 1].
``vgg_for_all`` (as published for system B, register entry B-W05)
    128 pixels, the ImageNet means of 8-bit blue, green and red subtracted from values in [0, 1], for every network;
    the last maps flattened and z-scored within each image. The authors used Keras' weights; these are torchvision's.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radgen_lib.core.digest import file_sha256
from radgen_lib.core.errors import RadgenError, data_error
from radgen_lib.sources.registry import Source, load_registry

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 16
PREPARATIONS = ("per_network", "vgg_for_all")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SYMMETRIC = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
VGG_MEANS_8_BIT = (103.939, 116.779, 123.68)  # blue, green, red
PUBLISHED_SIZE = 128
# Wrappers and prefixes that files of weights carry around torchvision's names.
WRAPPERS = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "model.", "encoder.", "backbone.")
# RadImageNet's file numbers the children of a ResNet (backbone.0.weight, backbone.4.0.conv1.weight).
CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


class WeightsMissing(RadgenError):
    """The weights of an encoder are not there; the text names the file, the folder and where to get it."""


@dataclass(frozen=True)
class Encoder:
    """A network: how it is built, what its weight file holds beside it, and how its images are prepared."""

    network: str
    head: tuple[str, ...]
    size: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    other_files: tuple[str, ...] = ()


ENCODERS = {
    "vgg16": Encoder("VGG16", ("classifier.",), 224, *IMAGENET),
    "resnet50": Encoder("ResNet50", ("fc.",), 224, *IMAGENET),
    "inception": Encoder("InceptionV3", ("fc.", "AuxLogits."), 299, *SYMMETRIC),
    "radimagenet": Encoder("ResNet50", ("fc.",), 224, *SYMMETRIC, ("RadImageNet_ResNet50.pt", "ResNet50.pt")),
}


def encoder_features(
    name: str, images: np.ndarray, *, weights: Path | None, preprocessing: str, verify: bool = True
) -> np.ndarray:
    """Features of ``images`` [n, H, W] in [0, 1] by the encoder ``name``: float32 [n, d], in order.

    Args:
        name: one of :data:`ENCODERS`; weights: folder with the files of weights; preprocessing: see the module.
        verify: check the published digits of the file's SHA-256 (off only for files one has made oneself).

    Raises WeightsMissing when the file is not there, DataError when it is not what it should be.
    """
    if name not in ENCODERS or preprocessing not in PREPARATIONS:
        allowed = f"{', '.join(ENCODERS)} with {', '.join(PREPARATIONS)}"
        raise ValueError(f"encoder {name!r} with preprocessing {preprocessing!r}: allowed are {allowed}")
    images = np.asarray(images, dtype=np.float32)
    if images.ndim != 3 or not np.isfinite(images).all():
        raise ValueError(f"images {images.shape}: need finite [n, H, W]")
    network = load_encoder(name, weights, verify=verify)
    import torch  # a second or two, which a job without weights need not spend

    found = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            prepared = prepare(name, torch.from_numpy(images[start : start + BATCH]), preprocessing)
            found.append(_pooled(network(prepared), preprocessing).numpy())
    return np.concatenate(found) if found else np.empty((0, 0), dtype=np.float32)


def prepare(name: str, images: Tensor, preprocessing: str) -> Tensor:
    """Network input [n, 3, S, S] from images [n, H, W] in [0, 1]."""
    import torch
    from torch.nn.functional import interpolate

    encoder = ENCODERS[name]
    published = preprocessing == "vgg_for_all"
    size = PUBLISHED_SIZE if published else encoder.size
    x = images[:, None]
    if x.shape[2:] != (size, size):
        x = interpolate(x, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
    mean, deviation = (VGG_MEANS_8_BIT, (1.0, 1.0, 1.0)) if published else (encoder.mean, encoder.deviation)
    return (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(deviation).view(1, 3, 1, 1)


def _pooled(maps: Tensor, preprocessing: str) -> Tensor:
    if preprocessing == "per_network":
        return maps.mean(dim=(2, 3))
    flat = maps.flatten(1)
    spread = flat.std(dim=1, keepdim=True, correction=0)
    return (flat - flat.mean(dim=1, keepdim=True)) / spread.clamp_min(1e-12)


def load_encoder(name: str, weights: Path | None, *, verify: bool = True) -> nn.Module:
    """The network in evaluation mode with its weights; raises as :func:`encoder_features`."""
    source = load_registry()[name]
    path = _weight_file(name, source, weights)
    digest = file_sha256(path)
    expected = source.sha256 if source.sum_known else source.sha256_prefix or ""
    if verify and not digest.startswith(expected):
        problem = f"its SHA-256 begins {digest[: len(expected)]}, that of the weights of {name} begins {expected}"
        raise data_error(path, problem, "Download the file again.")
    logging.getLogger("radgen").info("encoder %s: weights %s, SHA-256 %s", name, path.name, digest)
    return _filled(name, path, _read(path))


def _weight_file(name: str, source: Source, weights: Path | None) -> Path:
    names = (source.filename, *ENCODERS[name].other_files)
    stems = {f"{Path(file).stem}.safetensors": None for file in names}
    if weights is not None:
        for file in (*names, *stems):
            if (weights / file).is_file():
                return weights / file
    origin = f"Download {source.url}" if source.url else source.ask
    if weights is None:
        raise WeightsMissing(
            f"{names[0]}: no folder of encoder weights is set. {origin}, set cpdm.weights to its folder."
        )
    raise WeightsMissing(f"{names[0]}: not in {weights}. {origin} and put the file there.")


def _read(path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    # torch.load reads tensors only (weights_only) and refuses everything else with this class of errors.
    refused = torch.serialization.pickle.UnpicklingError  # type: ignore[attr-defined]
    faults = (OSError, EOFError, RuntimeError, refused, SafetensorError)
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except faults as error:
        reason = str(error).split("\n")[0]
        raise data_error(path, f"cannot be read as weights ({reason})", "Download the file again.") from error
    for wrapper in WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise data_error(path, "holds no table of tensors", "Give the state dict of the network.")
    return found


def plain_names(state: dict[str, Tensor], network: str) -> dict[str, Tensor]:
    """Weights under torchvision's names: prefixes taken off, numbered children of a ResNet named."""
    found = {}
    for key, value in state.items():
        while key.startswith(PREFIXES):
            key = key.split(".", 1)[1]
        first, _, rest = key.partition(".")
        if network == "ResNet50" and first in CHILDREN:
            key = f"{CHILDREN[first]}.{rest}"
        found[key] = value
    return found


def _filled(name: str, path: Path, state: dict[str, Tensor]) -> nn.Module:
    """Build the network without memory of its own and give it the tensors of ``state``."""
    import torch

    encoder = ENCODERS[name]
    with torch.device("meta"):
        network = build_network(encoder.network)
    named = plain_names(state, encoder.network)
    given = {key: value for key, value in named.items() if not key.startswith(encoder.head)}
    wanted = network.state_dict()
    for key in wanted:
        if key.endswith("num_batches_tracked"):  # of training only; older files lack it
            given.setdefault(key, torch.zeros((), dtype=torch.long))
    wrong = sorted(set(wanted) ^ set(given))
    wrong += [key for key in wanted if key in given and wanted[key].shape != given[key].shape]
    if wrong:
        fault = f"{len(wrong)} tensors are missing, unknown or of another shape, first {wrong[0]}"
        raise data_error(path, f"does not fit {encoder.network}: {fault}", "Give weights in torchvision's layout.")
    single = {key: value.float() if value.is_floating_point() else value for key, value in given.items()}
    network.load_state_dict(single, assign=True)
    return network.eval()


def build_network(network: str, *, head: bool = False) -> nn.Module:
    """A network by class name, with random weights; ``head`` adds the classifier of its weight file."""
    from radgen_lib.metrics.encoder_networks import VGG16, ResNet50
    from radgen_lib.metrics.inception import InceptionV3

    return {"VGG16": VGG16, "ResNet50": ResNet50, "InceptionV3": InceptionV3}[network](head=head)
