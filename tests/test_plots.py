"""What each picture draws: its labels, its artists and their data; never its pixels."""

import base64
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

import quantnotes
from quantnotes import (
    INT4,
    INT8,
    UINT2,
    Histogram,
    IntGrid,
    QuantParams,
    asymmetric_params,
    code_ledger,
)
from quantnotes.calibration import METHODS
from quantnotes.course import plots

PARAMS = QuantParams(0.5, 1, IntGrid(-4, 3))


def line_data(line):
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def labels(ax):
    return ax.get_xlabel(), ax.get_ylabel()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_number_line_puts_each_code_under_its_real():
    ax = plots.number_line(PARAMS, [0.6, 0.75, 5.0])
    assert line_data(ax.lines[0])[0] == [-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0]
    at = {text.get_text(): text.xy[0] for text in ax.texts if hasattr(text, "xy") and text.get_text()}
    assert at == {"code q": -2.5, **{str(q): 0.5 * (q - 1) for q in range(-4, 4)}}
    arrows = [(text.xyann[0], text.xy[0]) for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert arrows == [(0.6, 0.5), (0.75, 1.0), (5.0, 1.0)]
    colors = [to_hex(text.get_color()) for text in ax.texts if text.get_text() in ("0.6", "0.75", "5")]
    assert colors == [plots.REAL.lower(), plots.REAL.lower(), plots.CLIPPED.lower()]
    assert ax.get_xlim()[1] > 5
    assert not plots.number_line(QuantParams(1.0, 0, INT8)).texts  # 256 codes have no room for numbers


def shaded(ax):
    return [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]


def test_staircase_follows_the_codes():
    ax = plots.staircase(PARAMS)
    x, q = (np.array(data) for data in line_data(ax.lines[0]))
    assert set(q) == set(range(-4, 4))
    np.testing.assert_array_equal(q, np.clip(np.rint(x / 0.5) + 1, -4, 3))
    assert line_data(ax.lines[2]) == ([0], [1])
    assert labels(ax) == ("real value r", "code q")
    assert legend(ax) == ["code", "r / S + Z", "0 has the code Z", "clipped"]
    assert shaded(ax) == [(-4.0, -2.75), (1.25, 2.5)]


def test_staircase_is_drawn_over_the_whole_axis():
    ax = plots.staircase(PARAMS, low=-2.5, high=9.0)
    x, _ = line_data(ax.lines[0])
    assert (x[0], x[-1]) == ax.get_xlim() == (-2.5, 9.0)
    assert shaded(ax) == [(1.25, 9.0)]
    assert legend(ax)[-1] == "clipped"


def test_sawtooth_draws_the_error_of_each():
    params = QuantParams(1.0, 0, IntGrid(-1, 1))
    ax = plots.sawtooth({"round": np.rint, "floor": np.floor}, -2.0, 1.0, params)
    drawn = ax.lines[:2]
    for line, decode in zip(drawn, (np.rint, np.floor), strict=True):
        x, error = (np.array(data) for data in line_data(line))
        np.testing.assert_array_equal(error, decode(x) - x)
    assert [line.get_linestyle() for line in drawn] == ["-", "--"]
    assert [set(line.get_ydata()) for line in ax.lines[2:]] == [{-0.5}, {0.5}]
    assert legend(ax) == ["round", "floor", "± S/2", "clipped"]
    assert shaded(ax) == [(-2.0, -1.5)]
    assert labels(ax) == ("real value r", "error e")


def test_lines_give_prediction_and_measurement_one_colour():
    ax = plots.lines([2, 4], {"a": [1, 2], "b": [3, 4]}, {"a": [1.1, 2.1], "c": [5, 6]}, ylabel="dB")
    assert legend(ax) == ["a, predicted", "b, predicted", "a, measured", "c"]
    colors = {line.get_label(): line.get_color() for line in ax.lines}
    assert colors["a, predicted"] == colors["a, measured"] != colors["b, predicted"]
    assert line_data(ax.lines[2]) == ([2, 4], [1.1, 2.1])
    assert labels(ax) == ("bits", "dB")


def test_lines_are_told_apart_by_more_than_their_colour():
    ax = plots.lines([2, 4], {}, {str(i): [i, i] for i in range(len(plots.SERIES))})
    assert len({line.get_marker() for line in ax.lines}) == len(plots.SERIES)
    assert len({str(line._dash_pattern) for line in ax.lines}) == len(plots.SERIES)


def test_predictions_stand_above_what_is_left_of_them():
    above, below = plots.predictions([2, 4], {"a": [1, 2], "b": [3, 4]}, {"a": [1.5, 2.0], "b": [3, 3]})
    assert [line.get_label() for line in above.lines] == [
        "a, predicted",
        "b, predicted",
        "a, measured",
        "b, measured",
    ]
    assert [line_data(line) for line in below.lines[:2]] == [([2, 4], [0.5, 0]), ([2, 4], [0, -1])]
    for one, other in zip(above.lines[2:], below.lines, strict=False):
        assert (one.get_color(), one.get_marker()) == (other.get_color(), other.get_marker())
    assert (labels(above), labels(below)) == (("", "SQNR, dB"), ("bits", "measured −\npredicted, dB"))


def test_code_histogram_shows_the_ledger_and_hatches_what_is_unused():
    ledger = code_ledger([-8.0, 0.0, 0.0, 1.0, 7.0], QuantParams(1.0, 0, INT4))
    ax = plots.code_histogram(ledger, title="data")
    counts, edges, _ = ax.patches[0].get_data()
    assert counts.tolist() == ledger.counts.tolist()
    assert edges.tolist() == [q - 0.5 for q in range(-8, 9)]
    hatched = [
        (path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in ax.collections[0].get_paths()
    ]
    assert ax.collections[0].get_hatch()
    assert hatched == [(-7.5, -0.5), (1.5, 6.5)]
    assert ax.get_title(loc="left") == "data: 4 of 16 codes, 1.9 bits, inf dB"
    assert labels(ax) == ("code q (hatched: unused)", "count (log)")
    assert ax.get_xlim()[0] < -8.5 < 7.5 < ax.get_xlim()[1]


def test_code_histogram_points_at_end_codes_that_few_values_have():
    params = QuantParams(1.0, 0, INT4)
    ax = plots.code_histogram(code_ledger([-8.0, *[0.0] * 50, 7.0, 7.0], params))
    assert [(text.get_text(), text.xy, text.get_ha()) for text in ax.texts] == [
        ("1 value", (-8, 1), "left"),
        ("2 values", (7, 2), "right"),
    ]
    assert all(text.arrow_patch for text in ax.texts)
    assert not plots.code_histogram(code_ledger([0.0, *[7.0] * 10], params)).texts


def test_values_above_codes_shares_the_scale():
    x = np.array([-1.0, 0.0, 2.0])
    params = asymmetric_params(-1.0, 2.0, UINT2)
    above, below = plots.values_above_codes(x, code_ledger(x, params))
    low, high = below.get_xlim()
    decoded = [params.scale * (end - params.zero_point) for end in (low, high)]
    assert above.get_xlim() == pytest.approx(tuple(decoded))
    counts, edges, _ = above.patches[0].get_data()
    np.testing.assert_array_equal(counts, np.histogram(x, 120)[0])
    assert (counts.sum(), edges[0], edges[-1]) == (x.size, -1.0, 2.0)
    assert (above.get_yscale(), *labels(above)) == ("log", "real value r", "count (log scale)")
    assert not above.texts
    above, _ = plots.values_above_codes(x, code_ledger(x, params), marks={"low": -1.0, "high": 2.0})
    assert [(text.get_text(), text.xy[0], text.get_ha()) for text in above.texts] == [
        ("low", -1.0, "left"),
        ("high", 2.0, "right"),
    ]
    assert all(text.arrow_patch for text in above.texts)


def test_sliding_grid_moves_by_the_rounding_of_z():
    params = asymmetric_params(-0.6, 1.5, UINT2)
    ax = plots.sliding_grid(-0.6, 1.5, params)
    wished, real = (np.array(line.get_xdata()) for line in ax.lines[:2])
    np.testing.assert_allclose(wished, [-0.6, 0.1, 0.8, 1.5], atol=1e-12)
    np.testing.assert_allclose(real, [-0.7, 0.0, 0.7, 1.4], atol=1e-12)
    at = {text.get_text(): round(text.xy[0], 1) for text in ax.texts if hasattr(text, "xy")}
    assert {code: at[code] for code in "0123"} == {
        "0": -0.7,
        "1": 0,
        "2": 0.7,
        "3": 1.4,
    }
    assert {"rmin", "rmax"} <= {text.get_text() for text in ax.texts}


def test_grid_ends_show_what_no_value_rounds_to_in_grey():
    full, half = IntGrid(-4, 3), QuantParams(1 / 3.5, 0, IntGrid(-4, 3))
    panels = plots.grid_ends({"full": QuantParams(1 / 3, 0, full), "half": half}, 1.0)
    for ax, end in zip(panels, (-1.0, 1.0), strict=True):
        used, unused, used_half, unused_half = (np.array(line.get_xdata()) for line in ax.lines[:4])
        np.testing.assert_allclose(used, np.arange(-3, 4) / 3)
        np.testing.assert_allclose(unused, [-4 / 3])
        np.testing.assert_allclose(used_half, np.arange(-4, 4) / 3.5)
        assert unused_half.size == 0
        assert [to_hex(line.get_color()) for line in ax.lines[:2]] == [plots.CODE.lower(), plots.UNUSED]
        assert set(ax.lines[4].get_xdata()) == {end}
        assert ax.get_xlim()[0] < end < ax.get_xlim()[1]
        assert {text.get_text() for text in ax.texts} >= {"a" if end > 0 else "-a", "-4", "3"}
    assert [tick.get_text() for tick in panels[0].get_yticklabels()] == ["full", "half"]


def test_channel_maxima_are_sorted():
    ax = plots.channel_maxima(np.array([[1.0, -5.0], [0.5, 0.25], [2.0, 2.0]]))
    assert ax.lines[0].get_ydata().tolist() == [0.5, 2.0, 5.0]
    assert [line.get_ydata()[0] for line in ax.lines[1:]] == [5.0, 2.0]
    assert plots.channel_maxima(np.eye(2, 3), axis=1).lines[0].get_ydata().tolist() == [0, 1, 1]
    assert labels(ax) == ("channels, sorted", "max |r|")


def test_channels_have_a_panel_for_each_matrix_and_state():
    before, after = ([[1.0, -5.0], [0.5, 0.25]], [[2.0, 3.0]]), ([[4.0, 0.0]], [[-1.0, 1.0]])
    grid = plots.channels({"before": before, "after": after}, ["activation", "weight"])
    drawn = [[ax.collections[0].get_segments() for ax in row] for row in grid]
    heights = [[[line[1].tolist() for line in lines] for lines in row] for row in drawn]
    assert heights == [[[[0, 1], [1, 5]], [[0, 4], [1, 0]]], [[[0, 2], [1, 3]], [[0, 1], [1, 1]]]]
    assert [ax.get_title() for ax in grid[0]] == ["before", "after"]
    assert [labels(ax) for ax in grid[:, 0]] == [
        ("", "activation,\nlargest magnitude"),
        ("channel", "weight,\nlargest magnitude"),
    ]


def test_bars_carry_their_values():
    ax = plots.bars({"w": {"a": 1.0, "b": 2.0}, "x": {"a": 3.0, "b": -4.0}}, ylabel="dB")
    assert [[bar.get_height() for bar in group] for group in ax.containers] == [[1.0, 3.0], [2.0, -4.0]]
    assert [text.get_text() for text in ax.texts] == ["1.0", "3.0", "2.0", "-4.0"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["w", "x"]
    assert (legend(ax), ax.get_ylabel()) == (["a", "b"], "dB")


def test_pointer_frame_colours_what_the_slice_keeps():
    ax = plots.pointer_frame([1, 2, 3, 4], [0, 1, 2, 3, 4], (1, 3), "now")
    inside, outside = ax.patches
    colors = plots.REAL.lower(), plots.CLIPPED.lower()
    assert (to_hex(inside.get_facecolor()), to_hex(outside.get_facecolor())) == colors
    assert inside.get_data().values.tolist() == [0, 2, 3, 0]
    assert outside.get_data().values.tolist() == [1, 0, 0, 4]
    assert [line.get_xdata()[0] for line in ax.lines] == [1, 3]
    assert ax.get_title().strip() == "now: kept 50.000 %"
    assert plots.pointer_frame([1, 2], [0, 1, 2], (0, 1)).get_title().strip() == "kept 33.333 %"
    assert labels(ax) == ("real value r", "count (log)")


def test_pointer_frame_does_not_name_a_pointer_out_of_sight():
    ax = plots.pointer_frame([1, 0, 0, 9], [0, 10, 20, 30, 40], (0, 3))
    ax.set_xlim(25, 45)
    drawn = {text.get_text(): bool(np.isfinite(text.get_tightbbox().width)) for text in ax.texts}
    assert drawn == {"left": False, "right": True}


def test_pointer_frames_magnify_the_rows_after_the_first():
    moments = {"start": (0, 3), "move 1": (1, 3), "move 2": (1, 2), "end": (2, 2)}
    panels = plots.pointer_frames([1, 2, 3, 4], [0, 1, 2, 3, 4], moments, (0.5, 3.5))
    assert panels.shape == (2, 3)
    assert [ax.get_title().split(":")[0] for ax in panels.flat][:4] == list(moments)
    for ax, (left, right) in zip(panels.flat, moments.values(), strict=False):
        assert [line.get_xdata()[0] for line in ax.lines] == [left, right]
    assert [panel.get_xlim() == (0.5, 3.5) for panel in panels[:, 0]] == [False, True]
    assert [panel.get_xlabel() for panel in panels[:, 0]] == ["", "real value r"]
    assert [panel.get_ylabel() for panel in panels[0]] == ["count (log)", "", ""]


def test_tail_map_marks_the_largest():
    x = np.zeros((5, 7))
    x[1, 2], x[3, 4] = -9, 3
    ax = plots.tail_map(x, count=2)
    assert sorted(ax.collections[0].get_offsets().tolist()) == [[2, 1], [4, 3]]
    sizes = dict(zip(ax.collections[0].get_offsets()[:, 0], ax.collections[0].get_sizes(), strict=True))
    assert sizes[2] > sizes[4]
    assert labels(ax) == ("channel", "position")


def test_flow_joins_the_boxes_in_order():
    ax = plots.flow([("a b", "f", "00"), ("c", "longer_function", "01"), ("d", "g", "02")])
    boxes = [text for text in ax.texts if text.get_text()]
    assert [box.get_text().split("\n")[1:] for box in boxes] == [
        ["f", "00"],
        ["longer_function", "01"],
        ["g", "02"],
    ]
    arrows = [(text.xyann, text.xy) for text in ax.texts if getattr(text, "arrow_patch", None)]
    places = [box.get_position() for box in boxes]
    assert arrows == list(pairwise(places))
    ax.figure.draw_without_rendering()
    extents = [box.get_bbox_patch().get_window_extent() for box in boxes]
    gaps = [right.x0 - left.x1 for left, right in pairwise(extents)]
    assert min(gaps) > 15  # dots: an arrow has room
    assert ax.bbox.x0 <= extents[0].x0
    assert extents[-1].x1 <= ax.bbox.x1


def test_scatter_names_the_points_it_is_asked_to():
    ax = plots.scatter(
        {"a": ([1, 2], [3, 1]), "b": ([5], [6])}, "weight, dB", "scores, dB", {"worst": (2, 1)}
    )
    assert [line_data(line) for line in ax.lines] == [([1, 2], [3, 1]), ([5], [6])]
    assert len({line.get_marker() for line in ax.lines}) == len({line.get_color() for line in ax.lines}) == 2
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("worst", (2, 1))]
    assert (labels(ax), legend(ax)) == (("weight, dB", "scores, dB"), ["a", "b"])
    assert not plots.scatter({"a": ([1], [1])}, "x", "y").texts


def test_strips_show_every_seed_and_the_mean():
    ax = plots.strips({"8": {"a": [1.0, 3.0], "b": [5.0, 5.0]}, "4": {"a": [2.0, 2.0], "b": [8.0, 1.0]}})
    dots, means = ax.collections[::2], ax.collections[1::2]
    assert [series.get_offsets()[:, 1].tolist() for series in dots] == [[1, 3, 2, 2], [5, 5, 8, 1]]
    heights = [[segment[0, 1] for segment in lines.get_segments()] for lines in means]
    assert heights == [[2, 2], [5, 4.5]]
    for i, series in enumerate(dots):  # each dot above its own group, the series side by side
        places = series.get_offsets()[:, 0]
        assert np.rint(places).tolist() == [0, 0, 1, 1]
        assert (np.sign(places - np.rint(places)) == (-1, 1)[i]).all()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["8", "4"]
    assert (legend(ax), ax.get_ylabel(), ax.get_yscale()) == (["a", "b"], "wrong answers, %", "log")


def test_courses_join_the_points_of_one_seed():
    values = np.array([[80.0, 20.0, 4.0], [60.0, 40.0, 8.0]])
    left, right = plots.courses({"2 bits": {"a": values}, "3 bits": {"a": values / 2}}, [0, 10, 50], 2.5)
    drawn = [line.get_ydata() for line in left.lines]
    np.testing.assert_array_equal(drawn[:3], [*values, values.mean(axis=0)])
    assert [line.get_xdata().tolist() for line in left.lines[:3]] == [[0, 1, 2]] * 3
    assert set(drawn[3]) == {2.5}
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["0", "10", "50"]
    assert (left.get_title(), left.get_ylabel(), left.get_yscale()) == ("2 bits", "wrong answers, %", "log")
    assert legend(right) == ["a", "float"]


def test_pretended_slope_is_one_between_the_clipped_ends():
    above, below = plots.pretended_slope(QuantParams(1.0, 0, IntGrid(-1, 1)))
    x, reals = (np.array(data) for data in line_data(above.lines[0]))
    np.testing.assert_array_equal(reals, np.clip(np.rint(x), -1, 1))
    np.testing.assert_array_equal(above.lines[1].get_ydata(), np.clip(x, -1, 1))
    assert set(below.lines[0].get_ydata()) == {0}
    np.testing.assert_array_equal(below.lines[1].get_ydata(), np.abs(np.rint(x)) <= 1)
    steps = [segment[0, 0] for segment in below.collections[0].get_segments()]
    np.testing.assert_allclose(steps, [-0.5, 0.5], atol=0.01)
    assert labels(below) == ("weight that is trained", "slope")
    assert legend(above) == ["fake-quantized", "what training pretends", "clipped"]


def test_ladder_has_a_line_for_each_text():
    series = {"min-max": [[20.0, 25.0], [21.0, 26.0]], "99 %": [[10.0, 1.0], [11.0, 2.0]]}
    left, right = plots.ladder({"layer 0": series, "layer 3": series}, ["tensor", "layer"])
    assert [line.get_ydata().tolist() for line in left.lines] == [*series["min-max"], *series["99 %"]]
    assert [line.get_linestyle() for line in left.lines] == ["-", ":", "-", ":"]
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["tensor", "layer"]
    assert (left.get_title(), right.get_title(), left.get_ylabel()) == ("layer 0", "layer 3", "SQNR, dB")
    assert (legend(right), left.get_legend()) == (["min-max", "99 %"], None)


def test_per_token_marks_the_first():
    ax = plots.per_token({"a": [40.0, 10.0, 12.0], "b": [1.0, 30.0, 31.0]})
    assert ax.collections[0].get_offsets().tolist() == [[0, 40], [1, 10], [2, 12]]
    sizes = ax.collections[0].get_sizes()
    assert sizes[0] > sizes[1] == sizes[2]
    assert [line.get_ydata()[0] for line in ax.lines] == [12, 30]  # the medians
    assert labels(ax) == ("position of the token", "SQNR, dB")
    assert legend(ax) == ["a", "b"]


def test_rounding_rules_mark_the_ties():
    acc = np.arange(-3, 4)
    rules = {"to even": np.rint(acc / 2), "floor": acc // 2}
    panels = plots.rounding_rules(acc, acc / 2, rules)
    for ax, (name, codes) in zip(panels, rules.items(), strict=True):
        exact, whole, ties = ax.lines
        assert line_data(exact)[1] == (acc / 2).tolist()
        assert line_data(whole) == ([-2, 0, 2], codes[1::2].tolist())
        assert line_data(ties) == ([-3, -1, 1, 3], codes[::2].tolist())
        stems = ax.collections[0].get_segments()
        assert [stem.tolist() for stem in stems] == [
            [[a, a / 2], [a, q]] for a, q in zip(acc.tolist(), codes.tolist(), strict=True)
        ]
        assert ax.get_title() == name
        assert ax.get_xlabel() == "accumulator"
    assert legend(panels[0]) == ["exact", "code", "code of a tie"]
    assert panels[0].get_ylabel() == "code q"


def test_sums_and_limits_counts_everything_and_shades_what_is_beyond():
    sums = {"eight": np.array([[-40_000, 0], [0, 30_000]]), "seven": np.array([5])}
    ax = plots.sums_and_limits(sums, -32768, 32767, "sum of two products")
    for patch, values, color in zip(ax.patches[:2], sums.values(), plots.SERIES, strict=False):
        counts, edges, _ = patch.get_data()
        assert to_hex(patch.get_edgecolor()) == color.lower()
        np.testing.assert_array_equal(counts, np.histogram(values, edges)[0])
        assert counts.sum() == values.size
    below, above = ax.patches[2:]
    assert (below.get_x() + below.get_width(), above.get_x()) == (-32768, 32767)
    assert legend(ax) == ["eight", "seven", "beyond the type"]
    assert labels(ax) == ("sum of two products", "sums in a bin (log)")


def test_noises_add_up():
    clips, rounding, clipping = [1.0, 2.0, 3.0], [1.0, 4.0, 9.0], [9.0, 4.0, 0.0]
    ax = plots.noises(clips, rounding, clipping, {"best": 2.0}, "clip, in σ")
    drawn = dict(zip(legend(ax), map(line_data, ax.lines), strict=True))
    assert drawn["rounding"] == (clips, rounding)
    assert drawn["clipping"] == (clips, clipping)
    assert drawn["sum"] == (clips, [10.0, 8.0, 9.0])
    assert drawn["best"] == ([2.0], [8.0])
    assert labels(ax) == ("clip, in σ", "mean squared error")
    assert ax.get_yscale() == "log"


def test_distributions_stand_side_by_side():
    ax = plots.distributions([3, 2, 4], [2.5, 2.5, 1], 3)
    p, q = ([bar.get_height() for bar in bars] for bars in ax.containers)
    assert (p, q) == ([3, 2, 4], [2.5, 2.5, 1])
    assert list(ax.lines[0].get_xdata()) == [2.5, 2.5]
    assert legend(ax)[0] == "clip"
    assert labels(ax) == ("bin", "values")


def test_comparison_marks_every_trial_and_rings_the_best():
    found = quantnotes.compare(quantnotes.samples.load("digits_w1"), bits=(8, 4))
    panels = plots.comparison(found)
    assert [ax.get_title() for ax in panels] == ["8 bits", "4 bits"]
    for ax, bits in zip(panels, found.bits, strict=True):
        *schemes, ring = ax.lines
        for scheme, line in zip(("asymmetric", "symmetric"), schemes, strict=True):
            rows = dict(zip(*line_data(line)[::-1], strict=True))
            assert rows == {m: found.trial(bits, scheme, m).ledger.sqnr_db for m in METHODS}
        assert line_data(ring) == ([found.best(bits).ledger.sqnr_db], [found.best(bits).method])
    assert legend(panels[-1]) == ["asymmetric", "symmetric"]


def test_dots_of_any_table():
    panels = plots.dots({"a": {"x": {"r": 1.0, "s": 2.0}}, "b": {"x": {"r": 3.0, "s": 4.0}}}, "dB")
    assert [line_data(ax.lines[0]) for ax in panels] == [([2.0, 1.0], ["s", "r"]), ([4.0, 3.0], ["s", "r"])]
    assert {ax.get_xlabel() for ax in panels} == {"dB"}


def test_a_given_axes_is_used_and_returned():
    ax = plots.axes()
    assert plots.staircase(PARAMS, ax) is ax
    assert plots.axes(2, 3).shape == (2, 3)


def test_show_carries_the_alternative_text(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: shown.append((args, kwargs)))
    ax = plots.axes(2, 1)
    for figure in (ax, ax[0], ax[0].figure):
        plots.show(figure, alt="two empty panels")
    for (bundle,), options in shown:
        assert base64.b64decode(bundle["image/png"])[:4] == b"\x89PNG"
        assert bundle["text/plain"] == "two empty panels"
        assert options == {"raw": True, "metadata": {"image/png": {"alt": "two empty panels"}}}
    assert len(shown) == 3


def simulated(color, deficiency, severity=100):
    from colorspacious import cspace_convert

    rgb = np.array(matplotlib.colors.to_rgb(color))
    if deficiency is None:
        return rgb
    space = {"name": "sRGB1+CVD", "cvd_type": deficiency, "severity": severity}
    return np.clip(cspace_convert(rgb, space, "sRGB1"), 0, 1)


@pytest.mark.parametrize("deficiency", [None, "deuteranomaly", "protanomaly", "tritanomaly"])
def test_the_palette_stays_apart_for_colour_blind_readers(deficiency):
    """A distance of 10 in CAM02-UCS is several times what can just be told apart."""
    from colorspacious import deltaE

    colors = [plots.REAL, plots.CODE, plots.CLIPPED, plots.UNUSED, plots.OTHER, *plots.SERIES]
    seen = [simulated(color, deficiency) for color in colors]
    for i, one in enumerate(seen):
        for other in seen[:i]:
            assert deltaE(one, other, input_space="sRGB1") > 10


def test_pyplot_keeps_no_figure():
    plots.staircase(PARAMS)
    pyplot = getattr(matplotlib, "pyplot", None)
    assert pyplot is None or not pyplot.get_fignums()


def test_costs_are_bars_with_their_numbers_and_limits():
    ax = plots.costs({"one line": 1.4, "blocks": 0.43}, {"memory": 0.1})
    assert [(patch.get_width(), patch.get_x()) for patch in ax.patches] == [(1.4, 0), (0.43, 0)]
    assert [text.get_text() for text in ax.texts] == ["1.40", "0.43"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["one line", "blocks"]
    assert ax.yaxis_inverted()
    assert line_data(ax.lines[0])[0] == [0.1, 0.1]
    assert (legend(ax), ax.get_xlabel()) == (["memory"], "ns an element")


def test_the_roof_is_the_lower_of_memory_and_cores():
    points = {"one line": (0.16, 4.0), "blocks": (1.2, 14.0)}
    ax = plots.roofline(points, 40.0, {"one core": 100.0, "two cores": 200.0})
    intensity, roof = (np.array(data) for data in line_data(ax.lines[0]))
    np.testing.assert_allclose(roof, np.minimum(40 * intensity, 200))
    assert [line_data(line) for line in ax.lines[1:]] == [([0.16], [4.0]), ([1.2], [14.0])]
    assert [collection.get_segments()[0].tolist() for collection in ax.collections] == [
        [[2.5, 100.0], [20.0, 100.0]],
        [[5.0, 200.0], [20.0, 200.0]],
    ]
    assert [text.get_text() for text in ax.texts] == ["memory: 40 bytes a ns", "one core", "two cores"]
    assert legend(ax) == ["one line", "blocks"]
    assert labels(ax) == ("operations a byte", "operations a ns")


def test_cost_by_size_marks_the_caches():
    ax = plots.cost_by_size({"fused": [(1000, 20.0), (10**6, 0.1)]}, {"L2": 2e5})
    assert line_data(ax.lines[0]) == ([1000, 10**6], [20.0, 0.1])
    assert line_data(ax.lines[1])[0] == [2e5, 2e5]
    assert [text.get_text() for text in ax.texts] == ["L2"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert labels(ax) == ("elements", "ns an element")


def test_merged_histograms_stand_above_their_sum():
    a, b = Histogram(8).update([1.0, 2.0]), Histogram(8).update([5.0, 30.0])
    found = plots.merged_histograms({"first": a, "second": b}, a | b)
    for ax, h, name in zip(found, (a, b, a | b), ("first", "second", "merged"), strict=True):
        values, edges, _ = ax.patches[0].get_data()
        np.testing.assert_array_equal(values, h.counts)
        np.testing.assert_array_equal(edges, h.edges)
        assert ax.get_title(loc="left") == f"{name}: {h.n} values, bins {h.width:g} wide"
    assert found[-1].get_xlabel() == "value"


# --- the museum ---------------------------------------------------------------------------------------------


def test_exhibit_draws_right_and_wrong():
    from quantnotes.course import museum as mutants

    specimen = mutants.specimen("floor for round")
    ax = plots.exhibit(specimen)
    curves = specimen.curves()
    assert [line.get_label() for line in ax.lines] == ["right", "wrong"]
    for line, y in zip(ax.lines, [curves.right, curves.wrong], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), curves.x)
        np.testing.assert_array_equal(line.get_ydata(), y)
    assert to_hex(ax.lines[1].get_color()) == plots.CLIPPED.lower()
    assert (ax.get_title(), labels(ax)) == ("floor for round", ("real value, S = 1", "error, in steps"))
    dots = plots.exhibit(mutants.specimen("ties away from zero"))
    assert [line.get_marker() for line in dots.lines] == ["o", "x"]


def test_a_hall_has_a_panel_for_each_and_one_legend():
    from quantnotes.course import museum as mutants

    specimens = mutants.specimens("clipping")
    panels = plots.hall(specimens)
    assert [panel.get_title() for panel in panels] == [specimen.name for specimen in specimens]
    figure = plots.figure_of(panels)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["right", "wrong"]
    assert [key.get_marker() for key in legend.get_lines()] == ["o", "x"]  # of panels with points, too
    assert [ax.axison for ax in figure.axes] == [True] * 7 + [False] * 2


def test_few_colours_make_a_small_file():
    figure = plots.figure_of(plots.number_line(PARAMS))
    whole, few = plots.png(figure), plots.png(figure, colors=64)
    assert few[:4] == whole[:4] == b"\x89PNG"
    assert len(few) < 0.6 * len(whole)
