{{/* The chart's name is left out if the release's name contains it. */}}
{{- define "im.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* The labels that select the pods. A Deployment's selector cannot change, so it must not contain a version. */}}
{{- define "im.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "im.labels" -}}
{{ include "im.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "im.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "im.name" .) }}
{{- end -}}

{{- define "im.image" -}}
{{- with .Values.image -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}
{{- end -}}

{{/* One secret of the existing Secret: a variable of the environment, or the name of its file. */}}
{{- define "im.secret" -}}
{{- if .values.mounted -}}
- name: {{ .name }}_FILE
  value: /run/secrets/im-push-gateway/{{ .key }}
{{- else -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .values.name }}
      key: {{ .key }}
{{- end -}}
{{- end -}}

{{- define "im.secrets" -}}
{{- range $name, $key := .Values.existingSecret.keys }}
{{ include "im.secret" (dict "values" $.Values.existingSecret "name" $name "key" $key) }}
{{- end }}
{{- end -}}

{{/* Without the address of the database. */}}
{{- define "im.otherSecrets" -}}
{{- range $name, $key := omit .Values.existingSecret.keys "IMPG_DATABASE_URL" }}
{{ include "im.secret" (dict "values" $.Values.existingSecret "name" $name "key" $key) }}
{{- end }}
{{- end -}}
