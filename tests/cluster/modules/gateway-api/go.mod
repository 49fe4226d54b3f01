// Only its manifests are used, so `go mod tidy` would drop it: keep go.sum by `go mod download`.
module tidegate.test/gateway-api

go 1.26.0

require sigs.k8s.io/gateway-api v1.5.1
