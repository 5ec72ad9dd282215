"""Do columns of labels and of numbers say what the nodes say?"""

import numpy as np

from flowbatch.model.columns import LOG_MAX, NodeColumns
from flowbatch.model.resources import AMOUNT_MAX, Axes
from flowbatch.model.shapes import ShapeSpec, ShapeTable
from flowbatch.model.table import FIRST_ROWS, NodeTable


def test_label_column_made_late_knows_earlier_nodes():
    columns = NodeColumns()
    for row, zone in enumerate("aba"):
        columns.set(row, {"zone": zone}, (), cordoned=False)
    assert columns.label("zone").where("a", 3).tolist() == [True, False, True]
    columns.set(1, {"zone": "a"}, (), cordoned=False)
    columns.set(3, {}, (), cordoned=False)
    assert columns.label("zone").where("a", 4).tolist() == [True, True, True, False]


def test_values_of_nodes_long_gone_do_not_pile_up():
    columns = NodeColumns()
    column = columns.label("host")
    for generation in range(5_000):
        columns.set(generation % 3, {"host": f"h{generation}"}, (), cordoned=False)
    assert len(column.values) < 200
    assert column.where("h4999", 3).tolist() == [False, True, False]


def test_log_forgets_and_says_so():
    columns = NodeColumns()
    version = columns.version
    columns.set(0, {}, (), cordoned=False)
    assert list(columns.changed_since(version)) == [0]
    for _ in range(LOG_MAX + 1):
        columns.set(0, {}, (), cordoned=False)
    assert columns.changed_since(version) is None


def test_table_grows_in_both_directions_and_reuses_rows():
    axes = Axes()
    table = NodeTable(axes)
    rows = [table.add_row() for _ in range(FIRST_ROWS + 1)]
    gpu = axes.axis("gpu")
    table.set_capacity(rows[-1], {1: 5, gpu: 2})
    assert (table.capacity_at(1, rows[-1]), table.free_at(gpu, rows[-1])) == (5, 2)
    table.drop_row(rows[3])
    assert rows[3] == table.add_row()


def test_copies_are_exact_at_the_edge_of_whole_numbers():
    axes = Axes()
    table = NodeTable(axes)
    row = table.add_row()
    for capacity, amount in (
        (AMOUNT_MAX, 3),
        (AMOUNT_MAX - 1, AMOUNT_MAX),
        (7 * 3 - 1, 7),
        (7 * 3, 7),
        (AMOUNT_MAX, 1),
    ):
        table.set_capacity(row, {1: capacity})
        everywhere = np.ones(1, np.bool_)
        assert capacity // amount == table.copies(((1, amount),), everywhere)[0]


def test_equal_shapes_are_one_and_forgotten_ones_are_gone():
    shapes = ShapeTable(Axes())
    one, two = shapes.acquire(ShapeSpec((("cpu", 1),))), shapes.acquire(ShapeSpec((("cpu", 1),)))
    assert one is two
    shapes.release(one)
    assert len(shapes) == 1
    shapes.release(two)
    assert len(shapes) == 0
    assert one.id != shapes.acquire(ShapeSpec((("cpu", 1),))).id
