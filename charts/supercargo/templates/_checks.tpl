{{/* What the schema cannot say, because it is about more than one value. */}}
{{- define "supercargo.check" -}}
{{- $max := include "supercargo.bytes" .Values.cache.maxSize | int64 -}}
{{- $limit := include "supercargo.bytes" .Values.cache.sizeLimit | int64 -}}
{{- if gt (mul $max 5) (mul $limit 4) -}}
{{- fail (printf "cache.maxSize (%s) may be at most four fifths of cache.sizeLimit (%s): what is being written comes on top, and a pod that exceeds the limit is evicted; raise cache.sizeLimit or lower cache.maxSize" .Values.cache.maxSize .Values.cache.sizeLimit) -}}
{{- end -}}
{{- include "supercargo.checkSources" . -}}
{{- include "supercargo.checkMonitoring" . -}}
{{- end -}}

{{- define "supercargo.checkSources" -}}
{{- if and .Values.trustPolicy.configMap .Values.trustPolicy.files -}}
{{- fail "set trustPolicy.configMap or trustPolicy.files, not both" -}}
{{- end -}}
{{- if and .Values.trustPolicy.files (not (hasKey .Values.trustPolicy.files "policy.yaml")) -}}
{{- fail "trustPolicy.files has no policy.yaml: that is the policy, the other files are its keys" -}}
{{- end -}}
{{- if and .Values.extraCA.configMap .Values.extraCA.secret -}}
{{- fail "set extraCA.configMap or extraCA.secret, not both" -}}
{{- end -}}
{{- if and .Values.clusterAdmin (not .Values.rbac.create) -}}
{{- fail "clusterAdmin needs rbac.create: the binding to cluster-admin is made by this chart, or by you" -}}
{{- end -}}
{{- if and .Values.clusterAdmin .Values.rbac.impersonate -}}
{{- fail "rbac.impersonate narrows nothing with clusterAdmin: leave one out" -}}
{{- end -}}
{{- $default := include "supercargo.defaultServiceAccount" . -}}
{{- if and $default .Values.rbac.impersonate (not (has $default .Values.rbac.impersonate)) -}}
{{- fail (printf "rbac.impersonate does not name %s, the account of releases that name none: add it, or set defaultServiceAccount to one that is named" $default) -}}
{{- end -}}
{{- with .Values.webhook -}}
{{- if and .enabled (not .secret) (not .receivers) -}}
{{- fail "webhook.enabled needs webhook.secret, a Secret with the receivers, or webhook.receivers" -}}
{{- end -}}
{{- if and (not .enabled) (or .secret .receivers) -}}
{{- fail (printf "%s is set and webhook.enabled is not: nothing would be received; set webhook.enabled to true, or leave the receivers out" (ternary "webhook.secret" "webhook.receivers" (not (empty .secret)))) -}}
{{- end -}}
{{- if and .secret .receivers -}}
{{- fail "set webhook.secret or webhook.receivers, not both" -}}
{{- end -}}
{{- if and .enabled (eq (int .port) 8080) -}}
{{- fail "webhook.port is 8080, the port of the metrics: choose another" -}}
{{- end -}}
{{- if and .enabled (eq (int .port) 8081) -}}
{{- fail "webhook.port is 8081, the port of the probes: choose another" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "supercargo.checkMonitoring" -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- fail "podMonitor.enabled and serviceMonitor.enabled: each pod would be scraped twice; set one of them to false" -}}
{{- end -}}
{{- range list "podMonitor" "serviceMonitor" "prometheusRule" -}}
{{- if and (get $.Values .).enabled (not ($.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
{{- fail (printf "%s.enabled needs the Prometheus operator, and the cluster does not serve monitoring.coreos.com/v1: install it first, or with helm template add --api-versions=monitoring.coreos.com/v1" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Bytes of 512Mi and the like; the schema has checked the form. */}}
{{- define "supercargo.bytes" -}}
{{- $factors := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $text := toString . -}}
{{- mul (regexFind "^[0-9]+" $text | int64) (get $factors (regexFind "[A-Z].*$" $text)) -}}
{{- end -}}
