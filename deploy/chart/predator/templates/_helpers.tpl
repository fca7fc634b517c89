{{- define "predator.fullname" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "predator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "predator.labels" -}}
{{ include "predator.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
predator/contour: {{ .Values.contour | quote }}
{{- end }}

{{/* "repository@digest", or "repository:tag"; of the chart's image and one that outweighs it */}}
{{- define "predator.image" -}}
{{- $own := default dict .image }}
{{- $all := .root.Values.image }}
{{- $repository := default $all.repository $own.repository }}
{{- $given := or $own.repository $own.tag $own.digest }}
{{- $digest := ternary $own.digest $all.digest (not (empty $given)) }}
{{- $tag := default .root.Chart.AppVersion (ternary $own.tag $all.tag (not (empty $given))) }}
{{- ternary (printf "%s:%s" $repository $tag) (printf "%s@%s" $repository $digest) (empty $digest) -}}
{{- end }}

{{- define "predator.claim" -}}
{{- default (printf "%s-home" (include "predator.fullname" .)) .Values.persistence.existingClaim -}}
{{- end }}

{{/* What every pod has, whatever the values say: they cannot weaken it. */}}
{{- define "predator.pod" -}}
serviceAccountName: {{ include "predator.fullname" . }}
automountServiceAccountToken: false
{{- /* Variables named after services would look like misspelt settings (PREDATOR_*). */}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
volumes:
  - name: home
    persistentVolumeClaim:
      claimName: {{ include "predator.claim" . | quote }}
  - name: contour
    configMap:
      name: {{ include "predator.fullname" . }}-contour
  - name: tmp
    emptyDir: {}
{{- end }}

{{/* Where pods run. One volume for one node holds all of them together. */}}
{{- define "predator.placement" -}}
{{- if eq .Values.persistence.accessMode "ReadWriteOnce" -}}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "predator.selector" . | nindent 12 }}
{{- end }}
{{- end }}

{{- define "predator.nodes" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "predator.container" -}}
imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: home
    mountPath: /var/lib/predator
  - name: contour
    mountPath: /etc/predator
    readOnly: true
  - name: tmp
    mountPath: /tmp
{{- end }}

{{- define "predator.env" -}}
- name: PREDATOR_HOME
  value: /var/lib/predator/home
- name: PREDATOR_ARTIFACTS
  value: /var/lib/predator/artifacts
- name: PREDATOR_CONTOUR
  value: {{ .Values.contour | quote }}
- name: PREDATOR_CONTOUR_FILE
  value: /etc/predator/contour.yaml
- name: HOME
  value: /tmp
{{- end }}

{{- define "predator.secrets" -}}
{{- with .Values.database }}
{{- if .secretName }}
- name: PREDATOR_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .secretName | quote }}
      key: {{ .secretKey | quote }}
{{- end }}
{{- end }}
{{- range .Values.secretEnv }}
- name: {{ .name | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ .secretName | quote }}
      key: {{ .secretKey | quote }}
{{- end }}
{{- end }}

{{- define "predator.searchUrl" -}}
http://{{ include "predator.fullname" . }}-search:{{ .Values.search.service.port }}
{{- end }}
