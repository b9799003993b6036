{{/* Checks of more than one value, which the schema cannot do. */}}
{{- define "supercargo.check" -}}
{{- $max := include "supercargo.bytes" .Values.cache.maxSize | int64 -}}
{{- $limit := include "supercargo.bytes" .Values.cache.sizeLimit | int64 -}}
{{- if gt (mul $max 5) (mul $limit 4) -}}
{{- fail (printf "cache.maxSize (%s) must be at most four fifths of cache.sizeLimit (%s): downloads need additional space, and a pod that exceeds the limit is evicted; raise cache.sizeLimit or lower cache.maxSize" .Values.cache.maxSize .Values.cache.sizeLimit) -}}
{{- end -}}
{{- include "supercargo.checkSources" . -}}
{{- include "supercargo.checkPage" . -}}
{{- include "supercargo.checkMonitoring" . -}}
{{- end -}}

{{- define "supercargo.checkSources" -}}
{{- if and .Values.trustPolicy.configMap .Values.trustPolicy.files -}}
{{- fail "trustPolicy.configMap and trustPolicy.files are both set: set only one" -}}
{{- end -}}
{{- if and .Values.trustPolicy.files (not (hasKey .Values.trustPolicy.files "policy.yaml")) -}}
{{- fail "trustPolicy.files has no policy.yaml: add the policy under this name, next to its keys" -}}
{{- end -}}
{{- if and .Values.extraCA.configMap .Values.extraCA.secret -}}
{{- fail "extraCA.configMap and extraCA.secret are both set: set only one" -}}
{{- end -}}
{{- if and .Values.clusterAdmin (not .Values.rbac.create) -}}
{{- fail "clusterAdmin needs rbac.create: set rbac.create to true, or set clusterAdmin to false and create the binding yourself" -}}
{{- end -}}
{{- if and .Values.clusterAdmin .Values.rbac.impersonate -}}
{{- fail "rbac.impersonate has no effect with clusterAdmin: remove one of them" -}}
{{- end -}}
{{- if and (has "registries" .Values.policies.enabled) (not .Values.allowedRegistries) -}}
{{- fail "policies.enabled includes registries, but allowedRegistries is empty: set allowedRegistries, or remove registries" -}}
{{- end -}}
{{- $default := include "supercargo.defaultServiceAccount" . -}}
{{- if and $default .Values.rbac.impersonate (not (has $default .Values.rbac.impersonate)) -}}
{{- fail (printf "rbac.impersonate does not include %s, the account of releases without serviceAccountName: add it, or set defaultServiceAccount to an included one" $default) -}}
{{- end -}}
{{- with .Values.webhook -}}
{{- if and .enabled (not .secret) (not .receivers) -}}
{{- fail "webhook.enabled needs receivers: set webhook.secret or webhook.receivers" -}}
{{- end -}}
{{- if and (not .enabled) (or .secret .receivers) -}}
{{- fail (printf "%s is set, but webhook.enabled is false: set webhook.enabled to true, or remove the receivers" (ternary "webhook.secret" "webhook.receivers" (not (empty .secret)))) -}}
{{- end -}}
{{- if and .secret .receivers -}}
{{- fail "webhook.secret and webhook.receivers are both set: set only one" -}}
{{- end -}}
{{- if and .enabled (eq (int .port) 8080) -}}
{{- fail "webhook.port is 8080, the port of the metrics: use another port" -}}
{{- end -}}
{{- if and .enabled (eq (int .port) 8081) -}}
{{- fail "webhook.port is 8081, the port of the probes: use another port" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "supercargo.checkPage" -}}
{{- with .Values.ui -}}
{{- if and .ingress.enabled (not .enabled) -}}
{{- fail "ui.ingress.enabled is set, but ui.enabled is false: set ui.enabled to true, or remove the Ingress" -}}
{{- end -}}
{{- if and .ingress.enabled (not .hosts) -}}
{{- fail "ui.ingress.enabled needs ui.hosts: the page refuses requests for other hosts" -}}
{{- end -}}
{{- $limited := and $.Values.networkPolicy.enabled $.Values.networkPolicy.uiFrom -}}
{{- if and .enabled .anonymous (not $limited) (not .allowAnonymousFromEverywhere) -}}
{{- fail "ui.anonymous asks nobody who they are, and nothing limits who reaches the page: set networkPolicy.uiFrom to your proxy, or ui.allowAnonymousFromEverywhere to true if everyone may read the statuses of all releases" -}}
{{- end -}}
{{- if and .ingress.enabled (not .ingress.tlsSecret) (not .allowPlainHTTP) -}}
{{- fail "ui.ingress.enabled needs ui.ingress.tlsSecret: tokens would be readable on the way. Set it, or ui.allowPlainHTTP to true if TLS ends elsewhere" -}}
{{- end -}}
{{- if and .enabled (ne .service.type "ClusterIP") (not .allowPlainHTTP) -}}
{{- fail (printf "ui.service.type is %s, and the page speaks plain HTTP: tokens would be readable on the way. Use ClusterIP with an Ingress, or set ui.allowPlainHTTP to true if TLS ends before the Service" .service.type) -}}
{{- end -}}
{{- $taken := list 8080 8081 (ternary (int $.Values.webhook.port) 0 $.Values.webhook.enabled) -}}
{{- if and .enabled (has (int .port) $taken) -}}
{{- fail (printf "ui.port is %d, the port of the metrics, the probes or the webhook: use another port" (int .port)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "supercargo.checkMonitoring" -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- fail "podMonitor.enabled and serviceMonitor.enabled are both true, each pod would be scraped twice: set one of them to false" -}}
{{- end -}}
{{- range list "podMonitor" "serviceMonitor" "prometheusRule" -}}
{{- if and (get $.Values .).enabled (not ($.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
{{- fail (printf "%s.enabled needs the Prometheus operator, but the cluster does not serve monitoring.coreos.com/v1: install it first, or with helm template add --api-versions=monitoring.coreos.com/v1" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Bytes of 512Mi and the like; the schema has checked the form. */}}
{{- define "supercargo.bytes" -}}
{{- $factors := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $text := toString . -}}
{{- mul (regexFind "^[0-9]+" $text | int64) (get $factors (regexFind "[A-Z].*$" $text)) -}}
{{- end -}}
