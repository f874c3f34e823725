//! The only place that knows YAML: read, parse, merge, interpolate, resolve; collects every problem with its place. Imports `model`.
