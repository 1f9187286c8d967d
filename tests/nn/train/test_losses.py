import math

import pytest
import torch

from landscribe.core.recipe import LossTable
from landscribe.errors import RecipeError
from landscribe.nn.train.losses import class_weights, combine_terms, segmentation_loss, sum_pixels

ONE = torch.ones(1)


def loss_of(p, y, weight=None, weights=ONE, **table):
    logits = torch.logit(torch.tensor(p, dtype=torch.float64)).reshape(1, -1, 1, len(p[0]))
    target = torch.tensor(y, dtype=torch.float64).reshape(logits.shape)
    mask = torch.ones(1, 1, 1, len(p[0])) if weight is None else torch.tensor(weight).reshape(1, 1, 1, -1)
    return segmentation_loss(logits, target, mask, LossTable(**table), weights)


def test_cross_entropy_by_hand():
    total, _ = loss_of([[0.25, 0.5]], [[0.0, 1.0]], bce=3, dice=0)
    assert total.item() == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2)


def test_dice_by_hand():
    total, _ = loss_of([[0.25, 0.5]], [[0.0, 1.0]], bce=0, dice=1)
    assert total.item() == pytest.approx(1 - 2 * 0.5 / (0.75 + 1))


def test_jaccard_by_hand():
    total, _ = loss_of([[0.25, 0.5]], [[0.0, 1.0]], bce=0, dice=0, jaccard=2)
    assert total.item() == pytest.approx(1 - 0.5 / (0.75 + 1 - 0.5))


def test_terms_are_mixed_by_their_share():
    parts = [
        loss_of([[0.2, 0.7]], [[0.5, 1.0]], **{"bce": 0, "dice": 0, "jaccard": 0} | {name: 1})[0]
        for name in ("bce", "dice", "jaccard")
    ]
    total, _ = loss_of([[0.2, 0.7]], [[0.5, 1.0]], bce=1, dice=2, jaccard=5)
    assert total.item() == pytest.approx(sum(w * p.item() for w, p in zip((1, 2, 5), parts, strict=True)) / 8)


def test_unlabelled_pixels_do_not_count_and_have_no_gradient():
    logits = torch.tensor([[[[0.3, -0.2, 4.0]]]], requires_grad=True)
    weight = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    results = []
    for unknown in (0.0, 1.0):
        target = torch.tensor([[[[1.0, 0.0, unknown]]]])
        total, _ = segmentation_loss(logits, target, weight, LossTable(bce=1, dice=1, jaccard=1), ONE)
        results.append(total.item())
    total.backward()
    assert results[0] == results[1]
    assert logits.grad[0, 0, 0, 2] == 0
    assert (logits.grad[0, 0, 0, :2] != 0).all()


def test_a_batch_without_labels_has_no_loss_and_a_finite_gradient():
    logits = torch.randn(1, 2, 3, 5, requires_grad=True)
    table = LossTable(bce=1, dice=1, jaccard=1)
    total, parts = segmentation_loss(logits, torch.ones(1, 2, 3, 5), torch.zeros(1, 1, 3, 5), table, torch.ones(2))
    total.backward()
    assert total.item() == 0
    assert parts.tolist() == [0, 0]
    assert logits.grad.abs().max() == 0


def test_classes_are_weighted():
    total, parts = loss_of([[0.2], [0.9]], [[1.0], [0.0]], weights=torch.tensor([1.0, 3.0]), bce=1, dice=0)
    assert total.item() == pytest.approx((parts[0] + 3 * parts[1]).item() / 4)


def test_sums_of_parts_add_up():
    torch.manual_seed(0)
    logits, target = torch.randn(4, 3, 7, 5), torch.rand(4, 3, 7, 5)
    weight = (torch.rand(4, 1, 7, 5) > 0.3).float()
    table, weights = LossTable(bce=1, dice=1, jaccard=1), torch.ones(3)
    whole, _ = segmentation_loss(logits, target, weight, table, weights)
    halves = [sum_pixels(logits[s], target[s], weight[s]) for s in (slice(0, 1), slice(1, 4))]
    assert combine_terms(halves[0] + halves[1], table, weights)[0].item() == pytest.approx(whole.item(), abs=1e-6)


def test_low_precision_logits_are_summed_in_float32():
    logits = torch.zeros(1, 1, 1, 5000, dtype=torch.bfloat16)
    sums = sum_pixels(logits, torch.zeros(1, 1, 1, 5000), torch.ones(1, 1, 1, 5000))
    assert sums.p.dtype == torch.float32
    assert sums.p.item() == 2500


def test_class_weights_by_name():
    table = LossTable(class_weight={"b": 2.5})
    assert class_weights(table, ("a", "b")) == (1.0, 2.5)
    with pytest.raises(RecipeError, match="unknown class, got b, need a"):
        class_weights(table, ("a",))
    with pytest.raises(RecipeError, match="not a positive number"):
        class_weights(LossTable(class_weight={"a": 0.0}), ("a",))


def test_a_loss_without_terms_is_refused():
    with pytest.raises(RecipeError, match="every term has weight 0"):
        loss_of([[0.5]], [[1.0]], bce=0, dice=0)
