import numpy as np
import pytest

from landscribe.core.owners import average_owners, find_owners, require_owners, row_of
from landscribe.core.recipe import ModelTable, PredictTable
from landscribe.errors import RecipeError

LEGEND = ("road", "tree", "water")


def test_networks_of_a_row_are_named_by_their_seeds():
    assert ModelTable(name="m").members(7) == {"m": 7}
    assert ModelTable(name="m", seeds=(3, 5)).members(7) == {"m+seed3": 3, "m+seed5": 5}
    assert [row_of(name) for name in ("m", "m+seed3")] == ["m", "m"]


def test_outputs_are_counted_over_all_networks():
    owners = find_owners(LEGEND, [("a", ("tree",)), ("b", ("water", "road"))], PredictTable())
    assert owners == (((2, 1.0),), ((0, 1.0),), ((1, 1.0),))
    assert find_owners(LEGEND, [("a", ("tree",))], PredictTable()) == ((), ((0, 1.0),), ())


def test_a_row_shares_its_weight_among_its_networks():
    predict = PredictTable(ensemble=True, weights={"b": 3.0})
    owners = find_owners(LEGEND, [("a", ("road",)), ("a", ("road",)), ("b", ("tree", "road"))], predict)
    assert owners[0] == ((0, 0.125), (1, 0.125), (3, 0.75))
    assert owners[1] == ((2, 1.0),)


def test_rows_own_a_class_together_only_when_the_recipe_says_so():
    networks = [("a", ("road",)), ("b", ("road", "tree"))]
    with pytest.raises(RecipeError, match=r"two models own a class, got road; set predict.ensemble = true"):
        find_owners(LEGEND, networks, PredictTable())
    assert len(find_owners(LEGEND, networks, PredictTable(ensemble=True))[0]) == 2
    # Networks of one row are no question: `seeds` has said it.
    assert len(find_owners(LEGEND, [("a", ("road",)), ("a", ("road",))], PredictTable())[0]) == 2


def test_weights_of_no_row_or_no_use_are_refused():
    with pytest.raises(RecipeError, match="no such model, got c, need a"):
        require_owners({"a": ("road",)}, PredictTable(weights={"c": 1.0}))
    with pytest.raises(RecipeError, match="not a positive number"):
        require_owners({"a": ("road",)}, PredictTable(weights={"a": 0.0}))


def test_means_by_hand():
    p_ohw = np.array([0.2, 0.8, 0.0, 0.5], np.float32).reshape(4, 1, 1)
    owners = (((0, 0.25), (1, 0.75)), ((3, 1.0),), (), ((1, 0.5), (2, 0.5)))
    arithmetic = np.ravel([*average_owners(p_ohw, owners, "arithmetic")])
    geometric = np.ravel([*average_owners(p_ohw, owners, "geometric")])
    assert arithmetic == pytest.approx([0.65, 0.5, 0, 0.4])
    assert geometric == pytest.approx([0.2**0.25 * 0.8**0.75, 0.5, 0, 0])
    assert arithmetic.dtype == geometric.dtype == np.float32
