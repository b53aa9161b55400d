"""The colours of the pictures, each with one meaning, and the marks of series."""

REAL = "#0072B2"  # blue: real values
CODE = "#E69F00"  # orange: codes, and what they decode to
CLIPPED = "#D55E00"  # vermilion: what is clipped, and plain mistakes
UNUSED = "#707070"  # grey: codes without data, limits, what is only for reference
OTHER = "#009E73"  # green: the alternative that the first is compared with
# Series without a meaning of their own (methods, tensors) take none of the colours above, but black, sky
# blue, purple, brown, indigo, sand.
SERIES = ("#000000", "#56B4E9", "#CC79A7", "#6B3E00", "#332288", "#DDCC77")
MARKERS = "osD^vP"  # of the series: a colour alone says nothing on a grey print
