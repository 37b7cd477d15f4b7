"""Reading checkpoints and mixing two of them."""

import pytest
import torch

from checkpoint import blend, load_network
from model import Dccrn, Sizes

SMALL = Sizes(channels=(4, 8), mix_hidden=3, hidden=8, blocks=1, high_positions=2, taps=2)


def test_a_blend_lies_between_its_two():
    one, other = Dccrn(SMALL), Dccrn(SMALL)
    before = one.high_in.weight.detach().clone()
    blend(one, other, 0.25)
    torch.testing.assert_close(one.high_in.weight, 0.75 * before + 0.25 * other.high_in.weight)
    with pytest.raises(SystemExit, match="share 2"):
        blend(one, other, 2.0)
    with pytest.raises(SystemExit, match="sizes"):
        blend(one, Dccrn(Sizes(**SMALL.json() | {"channels": (4, 8), "hidden": 16})), 0.5)


def test_checkpoint_gives_the_averaged_weights(tmp_path):
    model, average = Dccrn(SMALL), Dccrn(SMALL)
    path = tmp_path / "last.pt"
    torch.save(dict(model=model.state_dict(), ema=average.state_dict(), step=3, hours=2, sizes=SMALL.json()), path)
    assert torch.equal(load_network(path)[0].position, average.position)
    assert torch.equal(load_network(path, averaged=False)[0].position, model.position)
