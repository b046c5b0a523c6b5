//! The CRD as it is installed: generated from the types, plus what types cannot say.
