{{/* The name in app.kubernetes.io/name. */}}
{{- define "fairlead.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What stands in front of all names: short enough for "-controller-metrics" behind it. */}}
{{- define "fairlead.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- $name = .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- $name = .Release.Name }}
{{- else }}
{{- $name = printf "%s-%s" .Release.Name $name }}
{{- end }}
{{- $name | trunc 44 | trimSuffix "-" }}
{{- end }}

{{/* The name of the controller's objects. */}}
{{- define "fairlead.controller" -}}
{{ include "fairlead.fullname" . }}-controller
{{- end }}

{{/* The name of its objects that have no namespace: unique in the cluster. */}}
{{- define "fairlead.clusterName" -}}
{{- $name := include "fairlead.controller" . }}
{{- if ne .Release.Namespace "fairlead-system" }}
{{- $name = printf "%s-%s" $name .Release.Namespace }}
{{- end }}
{{- $name }}
{{- end }}

{{- define "fairlead.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "fairlead.controller" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name must be set when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The watched namespaces, as {list}; all when empty. With a ProxyClass of the chart's own, its namespace is one of them. */}}
{{- define "fairlead.watched" -}}
{{- $list := .Values.watchNamespaces }}
{{- if and $list .Values.gatewayClass.create .Values.proxy }}
{{- $list = append $list .Release.Namespace | uniq }}
{{- end }}
list: {{ toJson $list }}
{{- end }}

{{- define "fairlead.proxyClass" -}}
{{ .Values.gatewayClass.name }}
{{- end }}

{{- define "fairlead.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "fairlead.selectorLabels" -}}
app.kubernetes.io/name: {{ include "fairlead.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{/* The labels of pods: what selectors say can't be changed. */}}
{{- define "fairlead.podLabels" -}}
{{- $fixed := include "fairlead.selectorLabels" . | fromYaml }}
{{- $own := dict "app.kubernetes.io/part-of" "fairlead" "app.kubernetes.io/version" .Chart.AppVersion }}
{{- merge $fixed .Values.podLabels .Values.commonLabels $own | toYaml }}
{{- end }}

{{- define "fairlead.labels" -}}
{{- $fixed := include "fairlead.selectorLabels" . | fromYaml }}
{{- $own := dict "app.kubernetes.io/part-of" "fairlead" "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- merge $fixed .Values.commonLabels $own | toYaml }}
{{- end }}

{{/* metadata.labels and metadata.annotations. Takes {root, labels, annotations}. */}}
{{- define "fairlead.meta" -}}
labels:
  {{- merge (dict) (default dict .labels) (include "fairlead.labels" .root | fromYaml) | toYaml | nindent 2 }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Annotations of an object whose kind comes with this release. Helm looks all kinds up before it creates anything, so the
first time such an object must be a hook that runs after the CRDs are there. The next upgrade finds the kind and takes the
object over as one like the others, which is why it says whose it is. Takes {root, kind}.
*/}}
{{- define "fairlead.afterCRDs" -}}
{{- if not (.root.Capabilities.APIVersions.Has .kind) }}
helm.sh/hook: post-install,post-upgrade
helm.sh/hook-delete-policy: before-hook-creation
meta.helm.sh/release-name: {{ .root.Release.Name }}
meta.helm.sh/release-namespace: {{ .root.Release.Namespace }}
{{- end }}
{{- end }}

{{/*
Annotations of its second manifest: Helm leaves hooks behind when the release goes, unless a hook takes them away. This one is made and
removed when all else is gone. Takes {root, kind}; empty where there is nothing to remove.
*/}}
{{- define "fairlead.atTheEnd" -}}
{{- if not (.root.Capabilities.APIVersions.Has .kind) }}
helm.sh/hook: post-delete
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
{{- end }}

{{/* Custom resource definitions are templates, so that upgrades change them; they stay when the release goes. */}}
{{- define "fairlead.keep" -}}
helm.sh/resource-policy: keep
{{- end }}
