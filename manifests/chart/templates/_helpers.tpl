{{- define "stellar-operator.labels" -}}
app.kubernetes.io/name: stellar-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The name of cluster-scoped objects: two installs for a namespace each neither collide nor block each other. */}}
{{- define "stellar-operator.clusterScopedName" -}}
stellar-operator{{ if not .Values.watch.allNamespaces }}-{{ .Release.Namespace }}{{ end }}
{{- end }}

{{- define "stellar-operator.onePodName" -}}
stellar-operator-one-pod{{ if not .Values.watch.allNamespaces }}-{{ .Release.Namespace }}{{ end }}
{{- end }}

{{- define "stellar-operator.viewName" -}}
stellar-operator-view{{ if not .Values.watch.allNamespaces }}-{{ .Release.Namespace }}{{ end }}
{{- end }}

{{- define "stellar-operator.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The namespaces that are looked after, as a JSON list in an object; not for watch.allNamespaces. */}}
{{- define "stellar-operator.namespaces" -}}
{{ dict "names" (.Values.watch.namespaces | default (list .Release.Namespace)) | toJson }}
{{- end }}

{{- define "stellar-operator.subjects" -}}
- kind: ServiceAccount
  name: stellar-operator
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "stellar-operator.webhookConfigurationMetadata" -}}
name: {{ include "stellar-operator.clusterScopedName" . }}
labels:
  {{- include "stellar-operator.labels" . | nindent 2 }}
  # AKS would write a namespaceSelector of its own, and the next upgrade would fail with a conflict. Ours leaves out
  # kube-system already.
  admissions.enforcer/disabled: "true"
{{- if .Values.certManager.enabled }}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/stellar-operator-webhook
{{- end }}
{{- end }}

{{/* Which namespaces the API server calls a webhook for. */}}
{{- define "stellar-operator.namespaceSelector" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    {{- if .Values.watch.allNamespaces }}
    operator: NotIn
    values: [kube-system]
    {{- else }}
    operator: In
    values: {{ (include "stellar-operator.namespaces" . | fromJson).names | toJson }}
    {{- end }}
{{- end }}
