{{- define "pd-autoscaler.selector" -}}
app.kubernetes.io/name: pd-autoscaler
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "pd-autoscaler.labels" -}}
{{ include "pd-autoscaler.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "pd-autoscaler.metadata" -}}
name: {{ .Release.Name | quote }}
namespace: {{ .Release.Namespace | quote }}
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
  name: {{ .Release.Name | quote }}
  namespace: {{ .Release.Namespace | quote }}
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
{{- if and (not .Values.leaderElect) (regexMatch "(?m)^\\s+mode:\\s*[\"']?enforce" .Values.policies) }}
{{- fail "a policy has mode: enforce, but leaderElect is off: while one pod takes another's place both would write; set leaderElect" }}
{{- end }}
{{- include "pd-autoscaler.check-policies" . }}
{{- include "pd-autoscaler.check-roles" . }}
{{- end }}

{{/* Objects that nobody would look at. */}}
{{- define "pd-autoscaler.check-policies" -}}
{{- $place := .Values.watchNamespace }}
{{- if eq .Values.policySource "objects" }}
{{- range $text := regexSplit "(?m)^---\\s*$" .Values.policies -1 }}
{{- with $policy := fromYaml $text }}
{{- $metadata := $policy.metadata | default dict }}
{{- if not $metadata.namespace }}
{{- fail (printf "policies: %s has no metadata.namespace, and would land in that of the release" ($metadata.name | default "a document")) }}
{{- end }}
{{- if and $place (ne $place $metadata.namespace) }}
{{- fail (printf "policies: %s is in namespace %s, and watchNamespace is %s: nobody would look at it" $metadata.name $metadata.namespace $place) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Roles for other options than these, or something else in their place. */}}
{{- define "pd-autoscaler.check-roles" -}}
{{- $granted := list }}
{{- range $text := regexSplit "(?m)^---\\s*$" .Values.roles -1 }}
{{- with $role := fromYaml $text }}
{{- if not (has $role.kind (list "Role" "ClusterRole")) }}
{{- fail (printf "roles: wants what `pd-autoscaler rbac` prints, Roles and ClusterRoles, and found %v" ($role.kind | default $role)) }}
{{- end }}
{{- range $rule := $role.rules }}
{{- range $rule.resources }}{{ $granted = append $granted (printf "%s in namespace %s" . ($role.metadata.namespace | default "")) }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- $needed := dict }}
{{- if .Values.leaderElect }}{{ $_ := set $needed "leases" (list .Release.Namespace "--leader-elect --lease-namespace") }}{{ end }}
{{- if eq .Values.state "configmap" }}{{ $_ := set $needed "configmaps" (list .Release.Namespace "--state configmap --lease-namespace") }}{{ end }}
{{- if eq .Values.policySource "objects" }}{{ $_ := set $needed "scalingpolicies" (list .Values.watchNamespace "--watch-policies --namespace") }}{{ end }}
{{- if and .Values.roles (not .Values.clusterRoles) }}
{{- range $resource, $where := $needed }}
{{- $place := first $where }}
{{- $given := false }}
{{- range $name := list $resource "*" }}
{{- range $namespace := list $place "" }}
{{- $given = or $given (has (printf "%s in namespace %s" $name $namespace) $granted) }}
{{- end }}
{{- end }}
{{- if not $given }}
{{- $options := ternary (printf "%s %s" (last $where) $place) (first (splitList " " (last $where))) (ne $place "") }}
{{- fail (printf "roles: give no right to %s in %s, which the daemon is started for: pd-autoscaler rbac policy.yaml ... %s" $resource (ternary (printf "namespace %s" $place) "all namespaces" (ne $place "")) $options) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether settings have the endpoint speak TLS: whoever asks it has to as well. */}}
{{- define "pd-autoscaler.tls" -}}
{{- $settings := fromYaml .Values.settings }}
{{- if hasKey $settings "Error" }}
{{- fail (printf "settings: %s" $settings.Error) }}
{{- end }}
{{- if ($settings.endpoint | default dict).certFile }}true{{ end }}
{{- end }}
