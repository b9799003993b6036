//! Kubernetes manifests: bytes of YAML or JSON to objects and back.
