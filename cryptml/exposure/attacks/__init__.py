"""Three attacks on segments with a non-linearity; whatever comes out is compared by who calls."""
