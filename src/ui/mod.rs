//! The only place that prints: renderers of the same events, the error report, tables, prompts. Imports `model`, `plan`.
