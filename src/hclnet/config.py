"""The configuration of a run: its folder's `config.yaml`, and what `--set key=value` sets. Nothing here needs torch.

What a localizer is trained with is separate from what is settled when it is used: `RunConfig` has the first and, under
`inference`, the second. So one training serves every fusion and box rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from hclnet.documents import parse_yaml
from hclnet.storage import write_text

Scale = Annotated[float, Field(ge=0.25, le=4)]


def _listed_scales(scales: Any) -> Any:
    """One scale may be written without brackets."""
    return (scales,) if isinstance(scales, int | float) else scales


def _possible_seed(seed: Any) -> Any:
    if isinstance(seed, int) and not 0 <= seed < 2**32:
        raise ValueError(f"{seed} is not a seed; take a whole number from 0 to {2**32 - 1:,}")
    return seed


Seed = Annotated[int, BeforeValidator(_possible_seed)]
"""What all of numpy, Python and torch can begin from."""


class Strict(BaseModel):
    """A group of options that refuses names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


OLD_NAMES = {
    "normalise": "branch_normalization",
    "map_range": "cam_normalization",
    "no_object_class": "background_class",
}
"""Settings as version 0.1 called them; they go on being taken."""


def new_names(settings: Any) -> Any:
    """Settings by the names that they have now.

    Raises:
        ValueError: a setting is there under both names.
    """
    if not isinstance(settings, dict):
        return settings
    renamed = {}
    for key, value in settings.items():
        if not isinstance(key, str):
            raise ValueError(f"{key!r} is no name of a setting. Write settings as name: value.")
        group, dot, bare = key.rpartition(".")
        now = f"{group}{dot}{OLD_NAMES.get(bare, bare)}"
        if now in renamed or (now != key and now in settings):
            raise ValueError(f"{now} is set twice: as {now} and by its old name {bare}. Keep one of them.")
        renamed[now] = value
    return renamed


class Inference(Strict):
    """How maps become boxes; stored with the localizer, changed without training.

    Rows are those of the list of readings in docs/paper.md.
    """

    _ = model_validator(mode="before")(new_names)

    fusion: Literal["max", "addition", "l1"] | None = Field(
        default=None, description="how the branches' maps become one (eqs. 1-5); None: the method's own"
    )
    branch_normalization: Literal["minmax", "raw", "relu"] = Field(
        default="minmax", description="f_i of eqs. (1)-(5) (row 7)"
    )
    l1_over: Literal["all", "class"] = Field(default="all", description="classes in the norm of eq. (2) (row 8)")
    l1_weights: Literal["ratio", "softmax"] = Field(default="ratio", description="eq. (5) (row 9)")
    l1_radius: int = Field(default=1, ge=0, description="r of eq. (3) (row 10)")
    upsample_first: bool = Field(default=False, description="fuse after upsampling, not before (row 11)")
    upsampling: Literal["bilinear", "bicubic"] = Field(
        default="bilinear", description="from feature resolution to map_size"
    )
    map_size: int = Field(default=224, ge=8, description="side of the heatmap that boxes are drawn on, pixels")
    cam_normalization: str = Field(
        default="minmax", description="how a heatmap comes to lie in 0..1: minmax, max, pas, ivr:P"
    )
    flip: bool = Field(default=False, description="look at the mirror image too, and average maps and probabilities")
    scales: Annotated[tuple[Scale, ...], BeforeValidator(_listed_scales)] = Field(
        default=(1.0,),
        min_length=1,
        description="look at these multiples of size, and average likewise; 1.5 where no size is given",
    )
    box: str = Field(default="auto", description="box rule: auto, fixed:T or otsu3")
    crops: Literal[1, 10] = Field(default=1, description="10: classify by ten crops, mean of their softmax (row 17)")
    min_score: float = Field(
        default=0.0, ge=0, le=1, description="a class less probable than this is not there: never boxed"
    )
    background_class: str | None = Field(
        default=None, description="a class for nothing, such as good: learned, never boxed"
    )

    @field_validator("box")
    @classmethod
    def _there_is_such_a_rule(cls, box: str) -> str:
        if box != "auto":  # which needs no import of what compiles
            from hclnet_runtime.boxes import parse_rule

            parse_rule(box)
        return box

    @field_validator("cam_normalization")
    @classmethod
    def _there_is_such_a_normalization(cls, how: str) -> str:
        if how != "minmax":
            from hclnet_runtime.boxes import parse_normalization

            parse_normalization(how)
        return how

    @property
    def augmentation(self) -> str:
        """Test-time augmentation in words; empty if an image is seen once, as it is and at its size."""
        scales = f"at {', '.join(f'{s:g}' for s in self.scales)} times the size" if self.scales != (1,) else ""
        return ", ".join(filter(None, [scales, "mirrored too" if self.flip else ""]))

    @property
    def looks(self) -> str:
        """`augmentation`, by its name in version 0.1."""
        return self.augmentation

    def check(self, classes: Sequence[str]) -> None:
        """Raises:
        ValueError: `background_class` is none of the classes.
        """
        if self.background_class is not None and self.background_class not in classes:
            names = ", ".join(classes[:20]) + (f" and {len(classes) - 20} more" if len(classes) > 20 else "")
            raise ValueError(f"--background-class {self.background_class}: there is no such class. There are {names}.")


class InferenceSettings(TypedDict, total=False):
    """The settings of `Inference` as keyword arguments; None is the same as not given."""

    fusion: Literal["max", "addition", "l1"] | None
    branch_normalization: Literal["minmax", "raw", "relu"] | None
    l1_over: Literal["all", "class"] | None
    l1_weights: Literal["ratio", "softmax"] | None
    l1_radius: int | None
    upsample_first: bool | None
    upsampling: Literal["bilinear", "bicubic"] | None
    map_size: int | None
    cam_normalization: str | None
    flip: bool | None
    scales: float | Sequence[float] | None
    box: str | None
    crops: Literal[1, 10] | None
    min_score: float | None
    background_class: str | None


class RunConfig(Strict):
    """Everything that a run depends on."""

    data: str = Field(default="", description="the path of the data set; of a call that names one, that one")
    method: str = "hclnet"
    options: dict[str, Any] = Field(default_factory=dict, description="the method's own options")
    backbone: str = "efficientnet_lite0"
    weights: str = Field(
        default="auto",
        description="auto: packaged, or those of the name from timm's hub; none: random; or a file",
    )
    output_stride: int | None = Field(
        default=None,
        ge=1,
        description="pixels of the image per value of a map; None: the backbone's own (8 for vgg16, most often 16)",
    )
    stages: int = Field(
        default=1,
        ge=1,
        le=4,
        description="how many of the backbone's last stages the heads see; 2 where no size is given",
    )
    size: int = Field(default=448, ge=32, description="side of the square that images are resized to, pixels")
    gray_max: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto", "file"] = Field(
        default="auto",
        description="gray of 16 bits: what is shown as white; auto: the 99.9th percentile of the training images",
    )
    tune: Literal["heads", "all"] = Field(
        default="heads", description="heads: the backbone stays as it is; all: fine-tune it"
    )
    epochs: int = Field(default=12, ge=1, description="passes over the training images")
    min_steps: int = Field(
        default=0, ge=0, description="more epochs if they have fewer steps; 0 where epochs are given and this is not"
    )
    coarse: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the steps, the first ones, in which heads see features at half of their resolution; "
        "with tune=heads",
    )
    batch: int = Field(default=32, ge=1, description="images per step")
    lr: float = Field(default=1e-3, gt=0, description="peak learning rate of the heads")
    backbone_lr: float = Field(default=1e-4, gt=0, description="peak learning rate of the backbone, with --tune all")
    weight_decay: float = Field(default=0.01, ge=0, description="of the optimizer")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="share of a target that all classes get alike")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="sgd: with Nesterov's momentum (row 15)")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd")
    bias_lr: float = Field(default=1.0, gt=0, description="learning rates of biases, in multiples of the others'")
    schedule: Literal["onecycle", "step"] = Field(
        default="onecycle", description="one cycle to the peak and down; or steps"
    )
    step_epochs: int = Field(default=20, ge=1, description="schedule=step: epochs from one step down to the next")
    step_factor: float = Field(
        default=0.1, gt=0, le=1, description="schedule=step: what a step multiplies the rates by"
    )
    seed: Seed = Field(default=0, description="of the heads' start, the order of images, and an automatic split")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps")
    devices: int = Field(
        default=1, ge=1, description="processes that train together: a card each, or with cpu a part of the processor"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: float32, but trained in bfloat16 where it is native; or HCLNET_PRECISION"
    )
    workers: int | None = Field(
        default=None,
        ge=0,
        description="processes that decode images with --tune all, for each device; None: with a card one for each "
        "core of its share, at most 8; with cpu 0, since its cores are at work",
    )
    on_bad_image: Literal["fail", "skip"] = Field(
        default="fail", description="fail before training, or skip the broken images"
    )
    seconds_per_image: float = Field(
        default=60, ge=0, allow_inf_nan=False, description="in which an image has to be read; 0 is no limit"
    )
    as_classes: bool = Field(
        default=False, description="each folder in the data is a class, also one called like a split"
    )
    inference: Inference = Inference()

    def epochs_of(self, steps: int) -> int:
        """How many epochs there are, given the steps of one: `epochs`, or as many as give `min_steps`."""
        return max(self.epochs, -(-self.min_steps // steps))

    def training_key(self) -> dict[str, Any]:
        """All that the weights depend on besides the images: two configurations with equal keys need one training.

        Which images they are, `data.csv` in the run folder says, by their bytes; where they lie does not matter.
        """
        of_reading = {"on_bad_image", "seconds_per_image", "as_classes"}
        key = self.model_dump(exclude={"data", "inference", "device", "devices", "workers", *of_reading})
        return {**key, "gray_max": "auto"} if self.gray_max == "file" else key  # or no run of version 0.1 could go on

    def write(self, path: Path) -> None:
        """Replaced whole, or on error not at all."""
        write_text(path, yaml.safe_dump(self.model_dump(), sort_keys=False))

    @classmethod
    def load(cls, path: Path) -> RunConfig:
        """Raises:
        ValueError: the file is missing, no YAML or no configuration; the message says where.
        """
        if not path.is_file():
            raise ValueError(f"{path.parent} is not a run folder: it has no {path.name}.")
        settings = {"gray_max": "file", **read_mapping(path)}  # what version 0.1 did, which wrote nothing about it
        if "data" not in settings:
            raise ValueError(f"{path} can't be read: data: there is no such line; it names the data set of the run.")
        try:
            return cls(**settings)
        except (TypeError, ValidationError) as error:
            raise ValueError(f"{path} can't be read: {readable(error)}") from None


def readable(error: Exception) -> str:
    """An error of pydantic's on one line: where, and what was wrong."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
    )


def read_mapping(path: Path) -> dict[str, Any]:
    """What a YAML file of `key: value` lines holds.

    Raises:
        ValueError: it can't be read, or holds something else.
    """
    try:
        settings = parse_yaml(path.read_text(encoding="utf-8"), references=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise ValueError(f"{path} holds no settings: it needs lines such as `epochs: 12`.")
    return settings
