"""ResNet50 against MONAI's, with the same weights."""

from __future__ import annotations

import numpy as np
import torch

from radgen_lib.metrics.encoders import build_network


def test_resnet50_computes_what_monai_computes() -> None:
    from monai.networks.nets.resnet import resnet50

    torch_state = torch.random.get_rng_state()
    torch.manual_seed(1)
    theirs = resnet50(
        pretrained=False, spatial_dims=2, n_input_channels=3, num_classes=1000, conv1_t_stride=2, bias_downsample=False
    )
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    images = torch.rand(2, 3, 64, 64)
    torch.random.set_rng_state(torch_state)
    ours = build_network("ResNet50", head=True)
    ours.load_state_dict(theirs.state_dict())
    with torch.inference_mode():
        found = ours.eval()(images).mean(dim=(2, 3))
        expected = theirs.eval()(images)
        assert (expected[0] - expected[1]).abs().max() > 1e-2
        np.testing.assert_allclose(ours.fc(found).numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
