"""One attack on linear segments, `affine`, and three on those with a non-linearity; who calls compares what comes out."""
