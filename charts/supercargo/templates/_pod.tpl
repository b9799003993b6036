{{/* Selector labels take precedence over the user's. */}}
{{- define "supercargo.podLabels" -}}
{{- $own := include "supercargo.selectorLabels" . | fromYaml -}}
{{- merge $own .Values.podLabels .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "supercargo.podAnnotations" -}}
{{- merge dict .Values.podAnnotations (dict "kubectl.kubernetes.io/default-container" "controller") | toYaml -}}
{{- end -}}

{{- define "supercargo.pod" -}}
serviceAccountName: {{ include "supercargo.serviceAccountName" . | quote }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
# Time to finish current runs and to release the lease.
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
containers:
  - name: controller
    image: {{ include "supercargo.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
      {{- include "supercargo.arguments" . | nindent 6 }}
    env:
      {{- include "supercargo.environment" . | nindent 6 }}
    {{- with .Values.extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - name: metrics
        containerPort: 8080
      {{- if .Values.webhook.enabled }}
      - name: webhook
        containerPort: {{ .Values.webhook.port }}
      {{- end }}
      {{- if .Values.ui.enabled }}
      - name: page
        containerPort: {{ .Values.ui.port }}
      {{- end }}
      # Used only by the kubelet.
      - name: probes
        containerPort: 8081
    livenessProbe:
      httpGet: {path: /healthz, port: probes}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet: {path: /readyz, port: probes}
      periodSeconds: 5
      timeoutSeconds: 5
    {{- with .Values.resources }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- toYaml .Values.securityContext | nindent 6 }}
    volumeMounts:
      {{- include "supercargo.mounts" . | nindent 6 }}
volumes:
  {{- include "supercargo.volumes" . | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- include "supercargo.spread" . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "supercargo.spread" -}}
{{- $labels := include "supercargo.selectorLabels" . | fromYaml -}}
{{- $spread := list -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $spread = append $spread (merge (dict) . (dict "labelSelector" (dict "matchLabels" $labels))) -}}
{{- end -}}
{{- toYaml $spread -}}
{{- end -}}
