{{- define "syncline.labels" -}}
app.kubernetes.io/name: syncline
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "syncline.host" -}}
{{ (urlParse .Values.consoleUrl).host }}
{{- end }}

{{/* What all pods have in common: settings, keys, a folder to write to. Takes a dict of root, args, resources, more. */}}
{{- define "syncline.pod" -}}
securityContext: {runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {type: RuntimeDefault}}
automountServiceAccountToken: false
initContainers:
  # The folder of keys has to be written to: it also holds how far the audit log has been sealed from here.
  - name: keys
    image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
    command: [sh, -c, "umask 077; mkdir -p /var/lib/syncline/keys && cp -L /keys/* /var/lib/syncline/keys/"]
    securityContext: &locked
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: data, mountPath: /var/lib/syncline}
      - {name: keys, mountPath: /keys, readOnly: true}
containers:
  - name: syncline
    image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    env:
      - {name: SYNCLINE_PROFILE, value: production}
      - {name: SYNCLINE_CONSOLE_URL, value: {{ .root.Values.consoleUrl | quote }}}
      # Probes ask by the pod's address.
      - {name: SYNCLINE_TRUSTED_HOSTS, value: "{{ include "syncline.host" .root }},localhost,127.0.0.1"}
      {{- range $name, $value := .root.Values.settings }}
      - {name: {{ $name }}, value: {{ $value | quote }}}
      {{- end }}
    envFrom:
      - secretRef: {name: {{ .root.Values.connections.existingSecret }}}
    resources: {{ toJson .resources }}
    securityContext: *locked
    volumeMounts:
      - {name: data, mountPath: /var/lib/syncline}
      - {name: tmp, mountPath: /tmp}
    {{- with .more }}
    {{- . | nindent 4 }}
    {{- end }}
volumes:
  - name: data
    emptyDir: {}
  - name: tmp
    emptyDir: {}
  - name: keys
    secret: {secretName: {{ .root.Values.keys.existingSecret }}}
{{- end }}
