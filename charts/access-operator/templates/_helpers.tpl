{{/* The name that all names begin with. */}}
{{- define "access-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What cluster-scoped names begin with: the overlays' name in the usual namespace, else one that no other install has. */}}
{{- define "access-operator.clustername" -}}
{{- $full := include "access-operator.fullname" . -}}
{{- if eq .Release.Namespace "access-operator-system" -}}{{ $full }}{{- else -}}{{ printf "%s-%s" $full .Release.Namespace | trunc 60 | trimSuffix "-" }}{{- end -}}
{{- end }}

{{- define "access-operator.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* metadata's labels and annotations. Takes root, and optional component, labels, annotations. */}}
{{- define "access-operator.meta" -}}
{{- $labels := merge (dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/managed-by" .root.Release.Service
  "app.kubernetes.io/version" (.root.Values.image.tag | default .root.Chart.AppVersion | trunc 63)
  ) (include "access-operator.selector" .root | fromYaml) -}}
{{- if .component }}{{ $_ := set $labels "app.kubernetes.io/component" .component }}{{ end -}}
labels:
  {{- toYaml (merge $labels (.labels | default dict) .root.Values.commonLabels) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The Deployments, as JSON: component -> {receiver, controllers, pod}. */}}
{{- define "access-operator.components" -}}
{{- $v := .Values -}}
{{- if eq $v.mode "Separate" -}}
{{- dict
  "receiver" (dict "receiver" true "controllers" false "pod" (mergeOverwrite (deepCopy $v.pod) $v.receiver.pod))
  "controllers" (dict "receiver" false "controllers" true "pod" (mergeOverwrite (deepCopy $v.pod) $v.controllers.pod)) | toJson -}}
{{- else -}}
{{- dict "manager" (dict "receiver" true "controllers" true "pod" $v.pod) | toJson -}}
{{- end -}}
{{- end }}

{{- define "access-operator.receiverComponent" -}}{{ eq .Values.mode "Separate" | ternary "receiver" "manager" }}{{- end }}
{{- define "access-operator.controllersComponent" -}}{{ eq .Values.mode "Separate" | ternary "controllers" "manager" }}{{- end }}

{{/* The Secret with the receiver's certificate; empty without TLS. */}}
{{- define "access-operator.tlsSecret" -}}
{{- with .Values.receiver.tls -}}
{{- if .certificate.enabled -}}{{ .secretName | default (printf "%s-webhooks-tls" (include "access-operator.fullname" $)) }}{{- else -}}{{ .secretName }}{{- end -}}
{{- end -}}
{{- end }}

{{- define "access-operator.servicePort" -}}
{{- if .Values.service.port }}{{ .Values.service.port | int }}{{ else }}{{ include "access-operator.tlsSecret" . | empty | ternary 80 443 }}{{ end -}}
{{- end }}

{{/* A file of roles, as JSON: name -> rules. Takes root and file. */}}
{{- define "access-operator.roles" -}}
{{- $roles := dict -}}
{{- range $text := regexSplit "(?m)^---\\n" (.root.Files.Get (printf "files/rbac/%s" .file)) -1 -}}
{{- with fromYaml $text -}}
{{- if .metadata }}{{ $_ := set $roles .metadata.name (dict "rules" .rules "labels" (.metadata.labels | default dict)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $roles -}}
{{- end }}

{{/* The rules of a generated role, with the names of what may be read. A rule that has names keeps them, and what they name
     may be read as well: it is the operator's own. Takes root, role, secretNames, configMapNames. */}}
{{- define "access-operator.rules" -}}
{{- $rules := list -}}
{{- $names := dict "secrets" .secretNames "configmaps" .configMapNames -}}
{{- range $rule := (get (include "access-operator.roles" (dict "root" .root "file" "role.yaml") | fromJson) .role).rules -}}
{{- $rest := list -}}
{{- range $resource := $rule.resources -}}
{{- $allowed := list -}}
{{- if and (has "" $rule.apiGroups) (hasKey $names $resource) (not $rule.resourceNames) }}{{ $allowed = get $names $resource | default list }}{{ end -}}
{{- if $allowed -}}
{{- if eq $resource "secrets" }}{{ $allowed = append $allowed "access-operator-cakewalk-keys" }}{{ end -}}
{{- $rules = append $rules (merge (dict "resources" (list $resource) "resourceNames" ($allowed | uniq | sortAlpha)) (omit $rule "resources")) -}}
{{- else -}}
{{- $rest = append $rest $resource -}}
{{- end -}}
{{- end -}}
{{- if $rest }}{{ $rules = append $rules (merge (dict "resources" $rest) (omit $rule "resources")) }}{{ end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end }}

{{- define "access-operator.topology" -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "access-operator.selector" $.root | nindent 6 }}
      app.kubernetes.io/component: {{ $.component }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* Room for the spool and for what it sets aside. Takes receiver.spool. */}}
{{- define "access-operator.spoolVolumeMiB" -}}
{{ add (div (mul .sizeMiB 4) 3) 1 }}
{{- end }}

{{/* What a schema cannot say. */}}
{{- define "access-operator.validate" -}}
{{- $v := .Values -}}
{{- if not $v.rbac.clusterScoped -}}
{{- if not $v.watchNamespaces }}{{ fail "rbac.clusterScoped=false needs watchNamespaces: only a ClusterRole reads all namespaces" }}{{ end -}}
{{- if $v.flowControl.enabled }}{{ fail "rbac.clusterScoped=false needs flowControl.enabled=false: a FlowSchema is cluster-scoped" }}{{ end -}}
{{- if or $v.admissionPolicy.receiverIdentity $v.admissionPolicy.taskEdits $v.admissionPolicy.keysSecret }}{{ fail "rbac.clusterScoped=false needs admissionPolicy.receiverIdentity=false, admissionPolicy.taskEdits=false and admissionPolicy.keysSecret=false: policies are cluster-scoped" }}{{ end -}}
{{- end -}}
{{- if and $v.receiver.tls.certificate.enabled (not $v.receiver.tls.certificate.issuerRef) }}{{ fail "receiver.tls.certificate.enabled needs receiver.tls.certificate.issuerRef" }}{{ end -}}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) }}{{ fail "ingress.enabled needs ingress.hosts" }}{{ end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}{{ fail "httpRoute.enabled needs httpRoute.parentRefs" }}{{ end -}}
{{- if and (ne $v.mode "Separate") (or $v.receiver.pod $v.controllers.pod) }}{{ fail "receiver.pod and controllers.pod need mode=Separate: use pod" }}{{ end -}}
{{- if not $v.metrics.enabled -}}
{{- if or $v.metrics.serviceMonitor.enabled $v.metrics.prometheusRule.enabled }}{{ fail "metrics.serviceMonitor and metrics.prometheusRule need metrics.enabled" }}{{ end -}}
{{- end -}}
{{- if $v.watchNamespaces -}}
{{- range $kind, $list := dict "webhookReceivers" $v.webhookReceivers "connectors" $v.connectors -}}
{{- range $list }}{{ $ns := .namespace | default $.Release.Namespace }}{{ if not (has $ns $v.watchNamespaces) }}{{ fail (printf "%s: %s is in the namespace %s, which watchNamespaces leaves out" $kind .name $ns) }}{{ end }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}
