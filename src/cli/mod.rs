//! The command line: the only clap, and the only place that sees everything.
