//! Health and schema probes. Imports `ports`, `model`.
