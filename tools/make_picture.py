"""Draw the picture that README.md opens with: a real tensor above the codes that it gets."""

from pathlib import Path

from quantnotes import INT8, asymmetric_params, code_ledger, minmax_range, samples
from quantnotes.course import plots

PICTURE = Path(__file__).parent.parent / "notebooks" / "images" / "layernorm_codes.png"


def main() -> None:
    """Write the picture."""
    x = samples.load("layernorm_output")
    ledger = code_ledger(x, asymmetric_params(*minmax_range(x), INT8))
    mark = {f"one value of {x.size:,}": float(x.max())}
    above, below = plots.values_above_codes(x, ledger, mark)
    codes = f"{ledger.codes_used} of {ledger.codes_available} codes"
    title = f"{codes}, entropy {ledger.code_entropy_bits:.1f} bits, {ledger.sqnr_db:.1f} dB"
    below.set_title(title, loc="left")
    above.figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
