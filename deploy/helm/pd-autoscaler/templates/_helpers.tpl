{{- define "pd-autoscaler.selector" -}}
app.kubernetes.io/name: pd-autoscaler
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pd-autoscaler.labels" -}}
{{ include "pd-autoscaler.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "pd-autoscaler.metadata" -}}
name: {{ .Release.Name }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "pd-autoscaler.labels" . | nindent 2 }}
{{- end }}

{{- define "pd-autoscaler.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "pd-autoscaler.subject" -}}
- kind: ServiceAccount
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Policies without rights would start a daemon that is refused everything. */}}
{{- define "pd-autoscaler.check" -}}
{{- if and .Values.policies (not .Values.roles) }}
{{- fail "policies are given, but not the rights that follow from them: pd-autoscaler rbac policy.yaml ... > roles.yaml, then --set-file roles=roles.yaml" }}
{{- end }}
{{- if and .Values.markPods (not .Values.roles) }}
{{- fail "markPods gives a right wherever the daemon may list pods, which roles say: --set-file roles=roles.yaml" }}
{{- end }}
{{- if and (eq .Values.policySource "files") (not .Values.policies) }}
{{- fail "policySource is files, but no policy is given: --set-file policies=policy.yaml" }}
{{- end }}
{{- if and (eq .Values.policySource "files") .Values.watchNamespace }}
{{- fail "watchNamespace says where policy objects are looked for, but policySource is files" }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElect) }}
{{- fail "several replicas without leaderElect would all write: set leaderElect, or replicas=1" }}
{{- end }}
{{- end }}
