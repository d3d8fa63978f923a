import pytest
import torch

from lightning_hash.functional.gradients import input_gradients


def test_an_input_on_which_the_loss_does_not_depend_gets_zeros():
    used, unused = torch.tensor([1.0, 2.0], requires_grad=True), torch.ones(3, requires_grad=True)
    gradients = input_gradients(used.square().sum(), [unused, used])
    assert [each.tolist() for each in gradients] == [[0, 0, 0], [2, 4]]


@pytest.mark.parametrize("loss", [torch.tensor(1.0), torch.ones(2, requires_grad=True).sum()])
def test_a_loss_of_nothing_asked_for_is_refused(loss):
    with pytest.raises(ValueError, match="no gradient of the loss reaches the input"):
        input_gradients(loss, [torch.ones(2, requires_grad=True)])
