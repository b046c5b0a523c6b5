//! Wrong manifests are refused by `kubectl apply`, with a message that names the field.
