"""NHS numbers for people who do not exist."""


def check_digit(first_nine: str) -> int | None:
    """The Modulus 11 check digit; None where no number may begin so."""
    total = sum(
        int(digit) * weight for digit, weight in zip(first_nine, range(10, 1, -1), strict=True)
    )
    digit = (11 - total % 11) % 11
    return None if digit == 10 else digit


def nhs_number(n: int) -> str:
    """A valid number of the 999 range, which is kept for tests and never issued.

    Distinct for 100,000 consecutive `n`: each has ten numbers to choose from, since one in eleven
    has no check digit.
    """
    for step in range(10):
        first_nine = f"999{n % 100_000 * 10 + step:06d}"
        digit = check_digit(first_nine)
        if digit is not None:
            return f"{first_nine}{digit}"
    raise ValueError(f"no NHS number for {n}")  # pragma: no cover
