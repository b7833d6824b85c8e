{{- define "aws-load-balancer-controller.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "aws-load-balancer-controller.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "aws-load-balancer-controller.name" .) .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (include "aws-load-balancer-controller.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "aws-load-balancer-controller.selectorLabels" -}}
app.kubernetes.io/name: {{ include "aws-load-balancer-controller.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "aws-load-balancer-controller.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "aws-load-balancer-controller.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
chaosctl/stand-in: "true"
{{- end }}

{{- define "aws-load-balancer-controller.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "aws-load-balancer-controller.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* caCert, cert and key, base64: those given, those that are there already, or new ones. */}}
{{- define "aws-load-balancer-controller.webhookCerts" -}}
{{- $given := .Values.webhookTLS }}
{{- $held := lookup "v1" "Secret" .Release.Namespace "aws-load-balancer-tls" }}
{{- if and $given.caCert $given.cert $given.key -}}
caCert: {{ $given.caCert }}
cert: {{ $given.cert }}
key: {{ $given.key }}
{{- else if and .Values.keepTLSSecret $held -}}
caCert: {{ index $held.data "ca.crt" }}
cert: {{ index $held.data "tls.crt" }}
key: {{ index $held.data "tls.key" }}
{{- else -}}
{{- $service := printf "aws-load-balancer-webhook-service.%s" .Release.Namespace }}
{{- $ca := genCA "aws-load-balancer-controller-ca" 3650 }}
{{- $cert := genSignedCert (include "aws-load-balancer-controller.fullname" .) nil (list $service (printf "%s.svc" $service)) 3650 $ca -}}
caCert: {{ $ca.Cert | b64enc }}
cert: {{ $cert.Cert | b64enc }}
key: {{ $cert.Key | b64enc }}
{{- end }}
{{- end }}
