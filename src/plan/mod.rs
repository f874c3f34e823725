//! Pure: environment, history and facts become a plan; gates. Imports `model`.
