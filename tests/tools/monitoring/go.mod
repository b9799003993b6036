// The definitions of the Prometheus operator's kinds, for the chart's PodMonitor,
// ServiceMonitor and PrometheusRule. Nothing is built: only files are taken.
module supercargo.dev/tests/tools/monitoring

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
