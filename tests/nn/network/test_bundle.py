import hashlib
import json

import numpy as np
import pytest
import torch

from landscribe.core.recipe import InputTable, NetworkTable
from landscribe.core.seal import seal
from landscribe.core.sensors import SensorSpec
from landscribe.errors import IntegrityError, RecipeError
from landscribe.nn.network.bundle import ModelSpec, build_network, from_files, to_files
from landscribe.nn.network.stem import BandStatistics

SENSORS = (
    SensorSpec("F", "rgb16", ("red", "green", "blue"), 11),
    SensorSpec("C", "four", ("red", "nir", "swir1", "swir2"), 14),
)


def make_spec(low="branch", depth=3, context=8, **network):
    return ModelSpec(
        "m",
        ("building", "näive, road"),
        SENSORS,
        {"F": 1.0, "C": 4.0},
        InputTable(low=low, indices=("ndvi",)),
        NetworkTable(filters=2, depth=depth, **network),
        context,
    )


def make_net(seed=0, **spec):
    statistics = {
        s.name: BandStatistics(*(np.full(len(s.bands), v, np.float32) for v in (10, 1000, 300, 90))) for s in SENSORS
    }
    return build_network(make_spec(**spec), statistics, seed=seed)


def make_input(net, size=16):
    torch.manual_seed(1)
    sides = {s.name: size // net.sensor_steps[s.name] for s in SENSORS}
    images = {s.name: torch.rand(1, len(s.bands), sides[s.name], sides[s.name]) * 900 for s in SENSORS}
    return images, {name: torch.ones(1, 1, side, side, dtype=torch.bool) for name, side in sides.items()}


@pytest.mark.parametrize("low", ["upsample", "branch"])
def test_a_model_comes_back_from_disk_as_it_was(low):
    net = make_net(low=low).eval()
    again, spec, extra = from_files(to_files(net, {"threshold": 0.4}))
    assert spec == net.spec
    assert extra == {"threshold": 0.4}
    assert not again.training
    assert again.sensor_steps == {"F": 1, "C": 4 if low == "branch" else 1}
    with torch.no_grad():
        assert torch.equal(again(*make_input(again)), net(*make_input(net)))


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, c = make_net(1), make_net(1), make_net(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a.unet.head.weight, b.unet.head.weight)
    assert not torch.equal(a.unet.head.weight, c.unet.head.weight)


def test_the_same_model_has_the_same_bytes():
    assert to_files(make_net()) == to_files(make_net())


def test_a_flipped_byte_anywhere_is_refused():
    files = to_files(make_net())
    weights = files["model.safetensors"]
    for position in range(0, len(weights), 997):
        spoilt = bytearray(weights)
        spoilt[position] ^= 1
        with pytest.raises(IntegrityError, match="SHA-256"):
            from_files({**files, "model.safetensors": bytes(spoilt)})


def test_a_description_that_was_edited_is_refused_unless_it_is_trusted():
    files = to_files(make_net())
    edited = files | {"model.json": files["model.json"].replace(b'"context": 8', b'"context": 4')}
    assert edited != files
    with pytest.raises(IntegrityError, match=r"net/model\.json: was changed since it was written"):
        from_files(edited, "net")
    assert from_files(edited, "net", trusted=True)[1].context == 4
    values = {name: value for name, value in json.loads(files["model.json"]).items() if name != "seal"}
    bare = files | {"model.json": json.dumps(values).encode()}
    with pytest.raises(IntegrityError, match="a broken seal"):
        from_files(bare)
    from_files(bare | {"model.json": json.dumps(values | {"format": 1}).encode()})  # as older versions wrote it


def test_a_flipped_byte_anywhere_in_the_description_is_refused():
    files = to_files(make_net())
    text = files["model.json"]
    for position in range(0, len(text), 7):
        spoilt = bytearray(text)
        spoilt[position] ^= 1
        with pytest.raises(IntegrityError):
            from_files({**files, "model.json": bytes(spoilt)})


def resign(files, weights=None, **changes):
    """Change a bundle as somebody would who also mends the hash and the seal."""
    document = json.loads(files["model.json"])
    document = {name: value for name, value in (document | changes).items() if name != "seal"}
    content = files["model.safetensors"] if weights is None else weights
    document["sha256"] = hashlib.sha256(content).hexdigest()
    return {"model.safetensors": content, "model.json": seal(document).encode()}


class Canary:
    def __reduce__(self):
        return (pytest.fail, ("code from a model file ran",))


def test_nothing_runs_from_a_foreign_file():
    import pickle

    foreign = resign(to_files(make_net()), weights=pickle.dumps(Canary()))
    with pytest.raises(IntegrityError, match="does not fit its description"):
        from_files(foreign)


def test_files_that_contradict_themselves_are_refused():
    files = to_files(make_net())
    other = json.loads(to_files(make_net(depth=2))["model.json"])["spec"]
    with pytest.raises(IntegrityError, match="does not fit its description"):
        from_files(resign(files, spec=other))
    with pytest.raises(IntegrityError, match="format, got 99"):
        from_files(resign(files, format=99))
    with pytest.raises(IntegrityError, match="not a model description"):
        from_files(resign(files, surprise=1))
    with pytest.raises(IntegrityError, match=r"net/model\.json: damaged"):
        from_files({**files, "model.json": b"\xff[" * 9}, "net")
    with pytest.raises(IntegrityError, match=r"need model\.json"):
        from_files({"model.safetensors": files["model.safetensors"]})


def test_a_description_that_asks_for_more_than_its_weights_costs_no_memory():
    import resource

    files = to_files(make_net())
    spec = json.loads(files["model.json"])["spec"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge = {**spec, "network": {**spec["network"], "filters": 512, "depth": 7}}
    with pytest.raises(
        IntegrityError, match=r"does not fit its description, got weights: too few, got \d{4,6} bytes, need 12\d{10}"
    ):
        from_files(resign(files, spec=huge))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_a_spec_without_statistics_or_scale_is_refused():
    with pytest.raises(RecipeError, match=r"sensor without scale, got \['F', 'C'\]"):
        build_network(make_spec(), {})
