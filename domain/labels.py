"""Names of the labels and annotations that Tidegate writes on Kubernetes objects."""

APP = "app"
MANAGED_BY = "app.kubernetes.io/managed-by"
TIDEGATE = "tidegate"

SERVICE = "tidegate.dev/service"
REVISION = "tidegate.dev/revision"

BUNDLE = "tidegate.dev/bundle"
COMMIT = "tidegate.dev/commit"
RELEASE = "tidegate.dev/release"
SPEC_HASH = "tidegate.dev/spec-hash"
METRICS = "tidegate.dev/metrics"
PREVIOUS = "tidegate.dev/previous"
RETIRED_AT = "tidegate.dev/retired-at"
