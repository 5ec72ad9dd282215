"""The benchmark of placement quality: reads both forms of the trace, skips without it, is honest about intervals."""

import numpy as np
import pytest

from benchmarks import quality
from flowbatch.model.asks import DeviceAsk

ROW = {"cpu_milli": "6000", "memory_mib": "12288", "num_gpu": "1", "gpu_milli": "460"}


def test_a_row_with_and_without_models_is_a_shape():
    plain = quality.shape_of(ROW)
    assert plain.devices == (DeviceAsk(milli=460),)
    assert quality.milli_of(plain) == 460
    (term,) = quality.shape_of({**ROW, "gpu_spec": "V100M16|V100M32"}).required
    assert term[0].values == ("V100M16", "V100M32")
    assert quality.shape_of({**ROW, "num_gpu": "8", "gpu_milli": "1000"}).devices == (DeviceAsk(count=8, whole=True),)
    assert quality.shape_of({**ROW, "num_gpu": "0", "gpu_milli": "0"}).devices == ()


def test_without_the_traces_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(quality, "folder", lambda: None)
    assert quality.main([]) == 0
    assert "nothing is measured" in capsys.readouterr().out


def test_a_lead_is_the_lower_end_of_its_interval():
    clear = quality.lead("default", "fgd", np.array([1.0, 1.2, 0.8, 1.0]))
    assert clear.reached
    assert 0.7 < clear.value < 0.9
    equal = quality.lead("default", "fgd", np.array([0.1, -0.1, 0.1, -0.1]))
    assert "equal within 0.2" in equal.note
    assert not quality.lead("default", "fgd", np.array([-1.0, -1.1, -0.9, -1.0])).reached


@pytest.mark.skipif(quality.folder() is None, reason="the traces lie outside the repository")
def test_the_cluster_is_the_papers():
    assert len(quality.nodes()) == 1_213
    assert sum(len(node.devices) for node in quality.nodes()) == 6_212
