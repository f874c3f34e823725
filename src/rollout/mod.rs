//! Strategies: do and undo side by side. Imports `ports`, `model`.
