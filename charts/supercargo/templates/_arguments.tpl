{{/* The arguments of the container. What is not asked for is not there, so that an
older or newer image has nothing to complain about. */}}
{{- define "supercargo.arguments" -}}
- controller
- --leader-election-namespace=$(POD_NAMESPACE)
{{- with include "supercargo.lease" . }}
{{- if ne . "supercargo-controller" }}
- --leader-election-name={{ . }}
{{- end }}
{{- end }}
{{- if eq (toString .Values.shards) "auto" }}
- --shards=auto
{{- end }}
{{- if ne .Values.leaseDuration "15s" }}
- --lease-duration={{ .Values.leaseDuration }}
{{- end }}
- --metrics-addr=0.0.0.0:8080
- --health-addr=0.0.0.0:8081
- --cache-dir=/var/cache/supercargo
- --cache-max-size={{ .Values.cache.maxSize }}
- --build-dir=/var/lib/supercargo/builds
{{- if ne .Values.builds.kustomize "Enabled" }}
- --kustomize={{ .Values.builds.kustomize }}
{{- end }}
{{- if ne .Values.builds.helm "Enabled" }}
- --helm={{ .Values.builds.helm }}
{{- end }}
{{- if ne (int .Values.builds.concurrent) 2 }}
- --concurrent-builds={{ .Values.builds.concurrent }}
{{- end }}
{{- if .Values.builds.allowUnconfined }}
- --allow-unconfined-builds
{{- end }}
- --concurrency={{ .Values.concurrency }}
- --log-format={{ .Values.logFormat }}
- --verification-interval={{ .Values.verificationInterval }}
{{- with include "supercargo.defaultServiceAccount" . }}
- --default-service-account={{ . }}
{{- end }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- with .Values.watchLabelSelector }}
- {{ printf "--watch-label-selector=%s" . | quote }}
{{- end }}
{{- with .Values.allowedRegistries }}
- --allowed-registries={{ join "," . }}
{{- end }}
{{- with .Values.quotas.releasesPerNamespace }}
- --max-releases-per-namespace={{ int . }}
{{- end }}
{{- with .Values.quotas.objectsPerNamespace }}
- --max-objects-per-namespace={{ int . }}
{{- end }}
{{- with .Values.quotas.memoryPerNamespace }}
- --max-memory-per-namespace={{ . }}
{{- end }}
{{- if .Values.allowCrossNamespaceDependencies }}
- --allow-cross-namespace-dependencies
{{- end }}
{{- if not .Values.remoteClusters }}
- --remote-clusters=Disabled
{{- end }}
{{- if or .Values.trustPolicy.configMap .Values.trustPolicy.files }}
- --trust-policy=/etc/supercargo/trust/policy.yaml
{{- end }}
{{- if .Values.trustedRoot.configMap }}
- --trusted-root=/etc/supercargo/trusted-root/trusted_root.json
{{- end }}
{{- if .Values.requireVerification }}
- --require-verification
{{- end }}
{{- range .Values.registryMirrors }}
- --registry-mirror={{ . }}
{{- end }}
{{- with .Values.allowedTokenHosts }}
- --allowed-token-hosts={{ join "," . }}
{{- end }}
{{- if not .Values.releaseMetrics }}
- --release-metrics=false
{{- end }}
{{- with .Values.otlpEndpoint }}
- {{ printf "--otlp-endpoint=%s" . | quote }}
{{- end }}
{{- if .Values.webhook.enabled }}
- --webhook-addr=0.0.0.0:{{ .Values.webhook.port }}
- --webhook-config=/etc/supercargo/webhook/{{ ternary .Values.webhook.key "receivers.yaml" (not (empty .Values.webhook.secret)) }}
{{- end }}
{{- with .Values.ui }}
{{- if .enabled }}
- --ui-addr=0.0.0.0:{{ .port }}
{{- with .hosts }}
- {{ printf "--ui-hosts=%s" (join "," .) | quote }}
{{- end }}
{{- if .anonymous }}
- --ui-anonymous
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.notifications }}
{{- if .secret }}
- --notify-config=/etc/supercargo/notifications/{{ .key }}
{{- end }}
{{- end }}
{{- with .Values.notifications.releaseHosts }}
- {{ printf "--allow-release-notifications=%s" (join "," .) | quote }}
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}
