"""The verbs of split-profiler, one file each."""
