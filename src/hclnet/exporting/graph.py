"""The network as a file has it: squares and asked classes in, everything that a box is made of out.

docs/export.md says what inputs and outputs are called and what they hold. Here the network of
`hclnet.localizer.network` is called so that a trace of it has that form; nothing of it is computed in another way.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hclnet.localizer.network import Network
from hclnet.maps.augmentation import views
from hclnet_runtime.data.images import enlarged

BATCH, ASKED = "batch", "k"
"""What the two sizes are called that a file leaves open: how many images, and how many classes of each."""

CLASSES = "classes"
"""The input that asks for classes."""

OUTPUTS = frozenset({
    "probabilities", "classes_used", "maps", "grids", "branches", "foreground", "features",
})  # fmt: skip
"""What a file may put out; the second and the following ones but for the last are of each class that is asked for."""


class ExportedNetwork(nn.Module):
    """A network whose backbone sees each image once, and whose heads answer for each class that is asked for.

    Args:
        network: on a processor, in float32.
        with_features: put out the features that the foreground score reads, for a box rule that needs them.
    """

    def __init__(self, network: Network, with_features: bool = False) -> None:
        super().__init__()
        self.network, self.with_features = network, with_features
        self.training = False

    @property
    def inputs(self) -> dict[str, int]:
        """The sides of the squares, pixels, by the name of their input; in the order in which `forward` takes them."""
        network = self.network
        named = {
            f"image_{side}": side for side in sorted({view.size for view in views(network.settings, network.size)})
        }
        if network.settings.crops == 10:
            side = enlarged(network.size)
            named[f"crops_{side}"] = side
        return named

    def example(self) -> tuple[list[Tensor], Tensor]:
        """Squares and classes to trace with: 2 images, and 3 classes of each."""
        generator = torch.Generator().manual_seed(0)
        sides = self.inputs.values()
        squares = [torch.randint(256, (2, s, s, 3), dtype=torch.uint8, generator=generator) for s in sides]
        return squares, torch.tensor([[-1, 0, 0], [0, -1, 0]])

    def forward(self, squares: Sequence[Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Args:
            squares: for each of `inputs` the images in that size, uint8, batch x side x side x 3.
            classes: the classes to map, int64, batch x k; -1: the most probable one of the image.

        Returns:
            By name, in the order that a file has: `probabilities`, batch x c; `classes_used`, batch x k; `maps`,
            batch x k x h x w, and the others, as docs/export.md has them.
        """
        network = self.network
        of = dict(zip(self.inputs, squares, strict=True))
        seen = views(network.settings, network.size)
        features = {view: network.features(of[f"image_{view.size}"], view.mirrored) for view in seen}
        if network.settings.crops == 10:
            probabilities = network.crop_probabilities(of[f"crops_{enlarged(network.size)}"])
        else:
            probabilities = network.probabilities(features)
        used = torch.where(classes < 0, probabilities.argmax(1, keepdim=True), classes)
        images, asked = used.shape
        rows = torch.arange(images * asked) // asked  # of the image, for each pair of image and class
        pairs = {view: {name: x.index_select(0, rows) for name, x in of.items()} for view, of in features.items()}
        (answer,) = network.heads(pairs, used.flatten())
        found = {"maps": answer.maps, "branches": answer.branches}
        if answer.grid is not answer.maps:
            found["grids"] = answer.grid
        if answer.foreground is not None:
            found["foreground"] = answer.foreground
        outputs = {"probabilities": probabilities, "classes_used": used}
        outputs |= {name: x.unflatten(0, (images, asked)) for name, x in found.items()}
        if self.with_features:
            outputs["features"] = network.foreground_features(features, seen)
        return outputs
