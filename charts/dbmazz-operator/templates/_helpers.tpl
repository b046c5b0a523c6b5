{{- define "dbmazz-operator.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}
{{- else if hasPrefix .Release.Name .Chart.Name }}{{ .Chart.Name }}
{{- else }}{{ .Release.Name }}-{{ .Chart.Name }}
{{- end }}
{{- end }}

{{- define "dbmazz-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "dbmazz-operator.labels" -}}
{{ include "dbmazz-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What the operator may do where it serves jobs. Secrets: `get` by name only, never list or watch; and `create`,
for the token of each job's control port (dbmazz-JOB-control): it can change or delete no Secret that exists. */ -}}
{{- define "dbmazz-operator.rules" -}}
- apiGroups: [dbmazz.dev]
  resources: [replicationjobs]
  verbs: [get, list, watch, patch]
- apiGroups: [dbmazz.dev]
  resources: [replicationjobs/status]
  verbs: [patch]
- apiGroups: [dbmazz.dev]
  resources: [replicationjobs/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, services, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
