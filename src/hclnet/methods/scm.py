"""SCM: implicit spatial calibration of a transformer (Bai et al., ECCV 2022)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.backbones.backbone import ATTENTION, Backbone, Features
from hclnet.config import Strict
from hclnet.device import full_precision
from hclnet.methods.base import Method, Output
from hclnet.methods.minmax import minmax
from hclnet.methods.ts_cam import Semantic, attention_map, coupled

_START = 0.002  # of the Newton-Schulz iteration, in multiples of the transpose
_TINY = 1e-6


class SCMOptions(Strict):
    layers: int = Field(4, ge=1, description="activation diffusion blocks, one after the other")
    iterations: int = Field(4, ge=1, description="Newton-Schulz steps towards the inverse of a block's Laplacian")
    threshold: float = Field(0.5, gt=0, le=1, description="beta at the start: share of the attention that is kept")
    similarity: float = Field(1.0, description="lambda at the start: of semantic similarity against nearness")


def laplacian(height: int, width: int, like: Tensor) -> Float[Tensor, "n n"]:
    """D - A of the grid whose patches are joined to their four neighbors (their section 3.2)."""
    place = torch.arange(height * width, device=like.device).view(height, width)
    pairs = torch.cat([
        torch.stack([place[:, :-1].flatten(), place[:, 1:].flatten()]),
        torch.stack([place[:-1].flatten(), place[1:].flatten()]),
    ], 1)  # fmt: skip
    joined = torch.zeros(height * width, height * width, dtype=like.dtype, device=like.device)
    joined[pairs[0], pairs[1]] = joined[pairs[1], pairs[0]] = 1
    return joined.sum(1).diag() - joined


def inverse(matrices: Float[Tensor, "b n n"], iterations: int) -> Float[Tensor, "b n n"]:
    """An approximate inverse by Newton and Schulz: X <- X (2 - M X), from a small multiple of the transpose (their
    eq. 6). With few steps it is a smooth diffusion and not yet the inverse."""
    found = _START * matrices.transpose(1, 2).detach()
    twice = 2 * torch.eye(matrices.shape[1], dtype=matrices.dtype, device=matrices.device)
    for _ in range(iterations):
        found = found @ (twice - matrices @ found)
    return found


class Diffusion(nn.Module):
    """An activation diffusion block: attention spreads to patches that are near and alike, and what is weak is cut.

    With E the cosine similarity of the patches' semantic maps and L the Laplacian of the grid, attention becomes
    F' = ((lambda E - 1) . L)^-1 F; of F' what is small beside beta max(F) is shrunk by x - tanh(x) and the rest is
    min-max normalized to F*. The semantic maps become S + F* S, and the attention F + F* (their section 3.2).
    lambda and beta learn.
    """

    def __init__(self, options: SCMOptions) -> None:
        super().__init__()
        self.iterations = options.iterations
        self.similarity = nn.Parameter(torch.tensor(options.similarity))
        self.threshold = nn.Parameter(torch.tensor(options.threshold))

    def forward(
        self, semantic: Float[Tensor, "b c h w"], attention: Float[Tensor, "b h w"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b h w"]]:
        height, width = attention.shape[1:]
        patches = F.normalize(semantic.flatten(2), dim=1, eps=_TINY)
        alike = patches.transpose(1, 2) @ patches
        graph = (self.similarity * alike - 1) * laplacian(height, width, alike)
        spread = torch.einsum("bnm,bn->bm", inverse(graph, self.iterations), attention.flatten(1))
        level = (self.threshold * attention.flatten(1).amax(1, keepdim=True)).clamp_min(_TINY)
        kept = minmax(F.tanhshrink(spread / level).unflatten(1, (height, width)))
        return semantic + semantic * kept.unsqueeze(1), attention + kept


class SCM(Method):
    """TS-CAM, taught through blocks that spread attention within objects; at test they are not there.

    In training the semantic maps and the min-max normalized attention of the class token pass `layers` diffusion
    blocks, and the global mean of the maps that come out is classified: its cross entropy is the loss. At test the
    blocks are dropped, and maps and classification are TS-CAM's: what the blocks teach is in the transformer. So the
    method asks for `--tune all`; under a frozen backbone only the semantic maps can learn from it. The published code
    (lib/models/deit.py) couples the maps with the min-max normalized attention at test too, so that its map is 0 where
    the attention is lowest. The paper says of its maps there that they are coupled as TS-CAM's, whose attention is not
    normalized. So it is here.
    """

    name = "scm"
    paper = (
        "Bai et al., Weakly Supervised Object Localization via Transformer with Implicit Spatial Calibration, ECCV 2022"
    )
    Options = SCMOptions
    options: SCMOptions
    needs = (ATTENTION,)
    frozen_note = "the blocks are to teach the transformer, and can't: only the semantic maps learn through them."

    def __init__(self, backbone: Backbone, classes: int, options: SCMOptions) -> None:
        super().__init__(backbone, classes, options)
        self.in_features = (backbone.last, ATTENTION)
        self.semantic = Semantic(backbone.info[backbone.last].channels, classes)
        self.blocks = nn.ModuleList(Diffusion(options) for _ in range(options.layers))

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        tokens, attention = (features[name] for name in self.in_features)
        one = self.semantic.class_maps(tokens)
        logits, where = one.logits(), attention_map(attention)
        asked = logits.argmax(1) if classes is None else classes
        parts = {"A": self._calibrated(tokens, where) if self.training else logits}
        return Output(logits, (coupled(where, one.hidden, one.weight, one.bias),), asked, parts)

    def _calibrated(self, tokens: Float[Tensor, "b d h w"], where: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c"]:
        """The logits of the maps that come out of the blocks, in float32: an iteration towards an inverse needs it."""
        with full_precision(tokens.device):
            weights = self.semantic.classifier.weight.dtype
            semantic, attention = self.semantic(tokens.to(weights)), minmax(where.to(weights).squeeze(1))
            for block in self.blocks:
                semantic, attention = block(semantic, attention)
            logits: Tensor = semantic.mean((2, 3))
        return logits


METHOD = SCM
