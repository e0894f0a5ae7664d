"""A landscape in a file: arrays as safetensors, all else as JSON in its metadata."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from raml.errors import RunError
from raml.inputs import check_plain
from raml.records import SCHEMA_VERSION, Landscape
from raml.store.checksums import advise_check, sum_record
from raml.store.files import write_atomically
from raml.store.lines import check_schema

Arrays = dict[str, NDArray[Any]]


def write_landscape(path: Path, landscape: Landscape) -> None:
    """Write a landscape: `loss`, `alphas`, …, `path.0.coordinates`, … as arrays of a safetensors file.

    Raises:
        RunError: the disk is full or the folder can't be written.
    """
    plain, arrays = _take_apart(landscape, "")
    plain["paths"] = []
    for i, one in enumerate(landscape.paths):
        part, more = _take_apart(one, f"path.{i}.")
        plain["paths"].append(part)
        arrays |= more
    about = {
        "record": "Landscape",
        "schema_version": SCHEMA_VERSION,
        "loss": "[question alpha beta], nats per answer token",
        "landscape": plain,
    }
    about["crc"] = sum_record(about, arrays)
    # One entry: the library puts several in no fixed order, and the same landscape must give the same bytes.
    write_atomically(path, save(arrays, metadata={"raml": msgspec.json.encode(about).decode()}))


def read_landscape(path: Path) -> Landscape:
    """Read what `write_landscape` wrote.

    Raises:
        RunError: the file is no landscape, its checksum does not fit, or it is of a newer schema.
    """
    try:
        check_plain(path)
        with safe_open(path, framework="numpy") as content:
            about = msgspec.json.decode((content.metadata() or {}).get("raml", "{}"), type=dict[str, Any])
            if about.get("record") != "Landscape":
                raise RunError(f"{path} is no landscape of raml, but another safetensors file.")
            arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        if about.get("crc") not in (None, sum_record(about, arrays)):
            raise ValueError("the checksum does not fit, so it is damaged")
        check_schema(str(path), about["schema_version"])
        plain = about["landscape"]
        for name, array in arrays.items():
            place, _, field = name.rpartition(".")
            target = plain["paths"][int(place.removeprefix("path."))] if place else plain
            target[field] = array
        landscape = msgspec.convert(plain, Landscape, dec_hook=_keep_array)
        _check_shapes(landscape)
        return landscape
    except (
        SafetensorError,
        OSError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        msgspec.MsgspecError,
    ) as error:
        raise RunError(f"{path} is no readable landscape: {error}. {advise_check(path)}") from error


def _take_apart(record: Any, prefix: str) -> tuple[dict[str, Any], Arrays]:  # noqa: ANN401
    """Part a record's arrays from its other fields."""
    plain: dict[str, Any] = {}
    arrays: Arrays = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray):
            arrays[prefix + field.name] = np.ascontiguousarray(value)
        else:
            plain[field.name] = value
    return plain, arrays


def _keep_array(expected: type, value: object) -> object:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"expected {expected}")
    return value


def _check_shapes(landscape: Landscape) -> None:
    """Refuse what a hand or another program left inconsistent.

    Raises:
        ValueError: the arrays don't fit each other.
    """
    shape = (len(landscape.question_ids), len(landscape.alphas), len(landscape.betas))
    if landscape.loss.shape != shape or landscape.base_loss.shape != shape[:1]:
        raise ValueError(f"the losses' shape {landscape.loss.shape} does not fit {shape}")
    for path in landscape.paths:
        n = len(path.prefix_lens)
        wanted = {"loss": (n,), "coordinates": (n, 2), "off_plane": (n,), "distance": (n,)}
        if any(getattr(path, name).shape != size for name, size in wanted.items()):
            raise ValueError(f"the arrays of the path of {path.trajectory_id} differ in length")
