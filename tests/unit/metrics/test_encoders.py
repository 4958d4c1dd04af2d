"""Encoders: layouts and sizes of the networks, missing, wrong and otherwise named files of weights, features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from radgen_lib.core.digest import file_sha256
from radgen_lib.core.errors import DataError
from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics import encoders
from radgen_lib.metrics.encoders import (
    ENCODERS,
    WeightsMissing,
    build_network,
    encoder_features,
    load_encoder,
    plain_names,
    prepare,
)
from radgen_lib.sources.registry import load_registry

State = dict[str, torch.Tensor]
IMAGES = make_rng(0, "encoder images").random((2, 64, 64)).astype(np.float32)


def file_of(name: str) -> str:
    return load_registry()[name].filename


def layout(network: str, *, head: bool = True) -> State:
    """State dict of the right names and shapes that takes no room: every tensor repeats one number."""
    with torch.device("meta"):
        wanted = build_network(network, head=head).state_dict()
    return {
        key: torch.tensor(1 if "tracked" in key else 1e-3, dtype=value.dtype).expand(value.shape)
        for key, value in wanted.items()
    }


@pytest.fixture(scope="module")
def resnet_state() -> State:
    """Weights of a ResNet50 without its classifier, drawn once, with statistics that are not those of a fresh one."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    network = build_network("ResNet50")
    found = {key: value.clone() for key, value in network.state_dict().items()}
    for key, value in found.items():
        if key.endswith("running_var"):
            value.uniform_(0.1, 0.3)
        elif key.endswith("running_mean"):
            value.uniform_(-0.05, 0.05)
    torch.random.set_rng_state(state)
    return found


@pytest.mark.parametrize(
    ("network", "parameters", "tensors"),
    [("VGG16", 138_357_544, 32), ("ResNet50", 25_557_032, 320), ("InceptionV3", 27_161_264, 580)],
)
def test_networks_have_the_published_number_of_parameters(network: str, parameters: int, tensors: int) -> None:
    with torch.device("meta"):
        whole = build_network(network, head=True)
    assert sum(p.numel() for p in whole.parameters()) == parameters
    assert len(whole.state_dict()) == tensors


@pytest.mark.parametrize(
    ("network", "key", "shape"),
    [
        ("VGG16", "features.28.weight", (512, 512, 3, 3)),
        ("VGG16", "classifier.6.bias", (1000,)),
        ("ResNet50", "layer1.0.downsample.1.running_mean", (256,)),
        ("ResNet50", "layer4.2.conv3.weight", (2048, 512, 1, 1)),
        ("ResNet50", "fc.weight", (1000, 2048)),
        ("InceptionV3", "Conv2d_4a_3x3.bn.running_var", (192,)),
        ("InceptionV3", "Mixed_5b.branch_pool.conv.weight", (32, 192, 1, 1)),
        ("InceptionV3", "Mixed_5d.branch5x5_2.conv.weight", (64, 48, 5, 5)),
        ("InceptionV3", "Mixed_6a.branch3x3dbl_3.conv.weight", (96, 96, 3, 3)),
        ("InceptionV3", "Mixed_6c.branch7x7dbl_4.conv.weight", (160, 160, 7, 1)),
        ("InceptionV3", "Mixed_6e.branch7x7_2.conv.weight", (192, 192, 1, 7)),
        ("InceptionV3", "Mixed_7a.branch7x7x3_4.conv.weight", (192, 192, 3, 3)),
        ("InceptionV3", "Mixed_7b.branch3x3_1.conv.weight", (384, 1280, 1, 1)),
        ("InceptionV3", "Mixed_7c.branch3x3dbl_3b.conv.weight", (384, 384, 3, 1)),
        ("InceptionV3", "AuxLogits.conv1.conv.weight", (768, 128, 5, 5)),
    ],
)
def test_parameters_have_the_names_and_shapes_of_torchvision(network: str, key: str, shape: tuple[int, ...]) -> None:
    with torch.device("meta"):
        assert tuple(build_network(network, head=True).state_dict()[key].shape) == shape


@pytest.mark.parametrize(
    ("name", "pooled", "published"),
    [("vgg16", 512, 512 * 16), ("resnet50", 2048, 2048 * 16), ("inception", 2048, 2048 * 4)],
)
def test_each_encoder_reads_its_file_and_gives_its_number_of_features(
    name: str, pooled: int, published: int, tmp_path: Path
) -> None:
    torch.save(layout(ENCODERS[name].network), tmp_path / file_of(name))
    for preprocessing, width in (("per_network", pooled), ("vgg_for_all", published)):
        found = encoder_features(name, IMAGES[:1], weights=tmp_path, preprocessing=preprocessing, verify=False)
        assert found.shape == (1, width) and found.dtype == np.float32 and np.isfinite(found).all()


def test_features_do_not_depend_on_the_rest_of_the_batch_or_on_training_mode(
    resnet_state: State, tmp_path: Path
) -> None:
    torch.save(resnet_state, tmp_path / file_of("resnet50"))
    network = load_encoder("resnet50", tmp_path, verify=False)
    assert not any(module.training for module in network.modules())
    both = encoder_features("resnet50", IMAGES, weights=tmp_path, preprocessing="per_network", verify=False)
    alone = encoder_features("resnet50", IMAGES[1:], weights=tmp_path, preprocessing="per_network", verify=False)
    np.testing.assert_allclose(both[1:], alone, rtol=1e-4, atol=1e-6)
    assert np.abs(both[0] - both[1]).max() > 1e-3 * np.abs(both).max() > 0
    again = encoder_features("resnet50", IMAGES, weights=tmp_path, preprocessing="per_network", verify=False)
    np.testing.assert_array_equal(both, again)
    published = encoder_features("resnet50", IMAGES, weights=tmp_path, preprocessing="vgg_for_all", verify=False)
    np.testing.assert_allclose(published.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(published.std(axis=1), 1, atol=1e-4)


def test_radimagenet_files_are_read_in_every_known_layout(resnet_state: State, tmp_path: Path) -> None:
    numbers = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    numbered = {
        f"backbone.{numbers[key.split('.')[0]]}.{key.split('.', 1)[1]}": value for key, value in resnet_state.items()
    }
    layouts = [
        numbered,
        {f"module.{key}": value for key, value in numbered.items()},
        {f"backbone.{key}": value for key, value in resnet_state.items()},
        {"encoder.fc.weight": torch.zeros(2, 2048)} | {f"encoder.{k}": v for k, v in resnet_state.items()},
    ]
    for given in layouts:
        plain = plain_names(given, "ResNet50")
        assert {key for key in plain if not key.startswith("fc.")} == set(resnet_state)
        assert plain["layer3.4.conv2.weight"] is resnet_state["layer3.4.conv2.weight"]
    older = {key: value for key, value in numbered.items() if "tracked" not in key}
    torch.save({"state_dict": older}, tmp_path / "RadImageNet_ResNet50.pt")
    found = load_encoder("radimagenet", tmp_path).state_dict()
    assert torch.equal(found["layer2.1.conv1.weight"], resnet_state["layer2.1.conv1.weight"])


def test_numbers_are_translated_for_resnets_only() -> None:
    state = {"features.0.weight": torch.zeros(1), "0.weight": torch.zeros(1)}
    assert set(plain_names(state, "VGG16")) == set(state)


def test_weights_may_lie_there_as_safetensors(tmp_path: Path) -> None:
    state = {key: value.contiguous() for key, value in layout("VGG16", head=False).items()}
    save_file(state, tmp_path / f"{Path(file_of('vgg16')).stem}.safetensors")
    network = load_encoder("vgg16", tmp_path, verify=False)
    assert float(network.state_dict()["features.0.bias"][0]) == pytest.approx(1e-3)


@pytest.mark.parametrize("name", list(ENCODERS))
def test_missing_weights_say_which_file_where_and_how_to_get_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=file_of(name)) as caught:
        encoder_features(name, IMAGES, weights=tmp_path, preprocessing="per_network")
    assert str(tmp_path) in str(caught.value) and "https://" in str(caught.value)
    with pytest.raises(WeightsMissing, match="no folder of encoder weights"):
        encoder_features(name, IMAGES, weights=None, preprocessing="per_network")
    assert "\n" not in str(caught.value)


def test_a_file_with_other_content_than_published_is_refused(tmp_path: Path) -> None:
    path = tmp_path / file_of("resnet50")
    torch.save(layout("ResNet50"), path)
    with pytest.raises(DataError, match="SHA-256 begins") as caught:
        load_encoder("resnet50", tmp_path)
    assert file_sha256(path)[:8] in str(caught.value) and "0676ba61" in str(caught.value)


def test_a_file_whose_digits_agree_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / file_of("resnet50")
    torch.save(layout("ResNet50"), path)
    registry = load_registry()
    agreeing = registry["resnet50"].model_copy(update={"sha256_prefix": file_sha256(path)[:8]})
    monkeypatch.setattr(encoders, "load_registry", lambda: {**registry, "resnet50": agreeing})
    assert not load_encoder("resnet50", tmp_path).training


def _without_one(state: State) -> State:
    return {key: value for key, value in state.items() if key != "layer4.2.bn3.bias"}


def _with_one_more(state: State) -> State:
    return state | {"layer5.weight": torch.zeros(1)}


def _of_another_shape(state: State) -> State:
    return state | {"conv1.weight": torch.zeros(64, 1, 7, 7)}


@pytest.mark.parametrize(
    ("change", "first"),
    [(_without_one, "layer4.2.bn3.bias"), (_with_one_more, "layer5.weight"), (_of_another_shape, "conv1.weight")],
)
def test_weights_of_another_network_are_refused(change: object, first: str, tmp_path: Path) -> None:
    torch.save(change(layout("ResNet50")), tmp_path / file_of("resnet50"))
    with pytest.raises(DataError, match=f"does not fit ResNet50: 1 tensors .* first {first}"):
        load_encoder("resnet50", tmp_path, verify=False)


class Anything:
    """An object that a file of weights must not bring along."""


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut off"])
def test_a_broken_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / file_of("vgg16")).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as weights") as caught:
        load_encoder("vgg16", tmp_path, verify=False)
    assert "\n" not in str(caught.value)


def test_a_file_with_more_than_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / file_of("vgg16")
    torch.save({"network": Anything()}, path)
    with pytest.raises(DataError, match="cannot be read as weights"):
        load_encoder("vgg16", tmp_path, verify=False)
    torch.save({"epoch": 3}, path)
    with pytest.raises(DataError, match="no table of tensors"):
        load_encoder("vgg16", tmp_path, verify=False)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / f"{path.stem}.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read as weights"):
        load_encoder("vgg16", tmp_path / "broken", verify=False)


def test_images_are_prepared_as_each_network_was_trained() -> None:
    flat = torch.full((1, 32, 32), 0.5)
    for name, size in (("vgg16", 224), ("resnet50", 224), ("inception", 299), ("radimagenet", 224)):
        found = prepare(name, flat, "per_network")
        assert found.shape == (1, 3, size, size)
        middle = found[0, :, size // 2, size // 2].numpy()
        imagenet = (0.5 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
        expected = imagenet if name in ("vgg16", "resnet50") else np.zeros(3)
        np.testing.assert_allclose(middle, expected, atol=1e-5)
    extremes = prepare("inception", torch.stack([torch.zeros(8, 8), torch.ones(8, 8)]), "per_network")
    assert extremes[0].max() == pytest.approx(-1) and extremes[1].min() == pytest.approx(1)


@pytest.mark.parametrize("name", list(ENCODERS))
def test_the_published_preparation_subtracts_8_bit_means_from_unit_values(name: str) -> None:
    found = prepare(name, torch.full((1, 128, 128), 0.5), "vgg_for_all")
    assert found.shape == (1, 3, 128, 128)
    np.testing.assert_allclose(found[0, :, 5, 5].numpy(), [0.5 - 103.939, 0.5 - 116.779, 0.5 - 123.68], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "preprocessing", "images"),
    [
        ("vgg19", "per_network", IMAGES),
        ("vgg16", "imagenet", IMAGES),
        ("vgg16", "per_network", IMAGES[0]),
        ("vgg16", "per_network", np.full((1, 8, 8), np.nan)),
    ],
)
def test_nonsense_is_refused(name: str, preprocessing: str, images: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"allowed|need"):
        encoder_features(name, images, weights=tmp_path, preprocessing=preprocessing)
