{{/* What several templates share. */}}

{{/* Of every object. */}}
{{- define "holdfast.labels" -}}
{{ include "holdfast.selector" . }}
app.kubernetes.io/part-of: holdfast
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* What never changes, for a selector cannot. */}}
{{- define "holdfast.selector" -}}
app.kubernetes.io/name: holdfast
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "holdfast.image" -}}
image: {{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- end }}

{{- define "holdfast.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Of a pod that touches no machine. */}}
{{- define "holdfast.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "holdfast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Two on two nodes where there are two. */}}
{{- define "holdfast.apart" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "holdfast.selector" . | nindent 12 }}
{{- end }}

{{/* What every sidecar is told. */}}
{{- define "holdfast.sidecarFlags" -}}
- --v={{ .root.Values.log.sidecarVerbosity }}
- --leader-election
- --leader-election-namespace=$(NAMESPACE)
- --kube-api-qps={{ .sidecar.kubeApiQps }}
- --kube-api-burst={{ .sidecar.kubeApiBurst }}
{{- end }}

{{/* Where and who a container is. */}}
{{- define "holdfast.podFields" -}}
- name: NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}

{{/* Binds a role to the account of one of the pods. */}}
{{- define "holdfast.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{/* Whether the cluster has what snapshots need; empty when not. */}}
{{- define "holdfast.hasSnapshotCrds" -}}
{{- if .Capabilities.APIVersions.Has "snapshot.storage.k8s.io/v1/VolumeSnapshotClass" }}true{{ end }}
{{- end }}

{{- define "holdfast.snapshots" -}}
{{- if .Values.snapshots.enabled }}{{ include "holdfast.hasSnapshotCrds" . }}{{ end }}
{{- end }}
