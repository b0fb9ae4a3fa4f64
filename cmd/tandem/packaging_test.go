package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"tandem/config"
)

const examples = "../../examples"

func text(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(data)
}

// packagedEnv is the environment that an example's config is started with.
func packagedEnv(name string) (string, bool) {
	value, ok := map[string]string{
		"TANDEM_ADDRESS": "127.0.0.1",
		"NODE_ADDRESS":   "192.0.2.10",
		"TANDEM_SECRET":  "0123456789abcdef",
	}[name]
	return value, ok
}

// packagedConfig is what an example's config says; it has to be right.
func packagedConfig(t *testing.T, file, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse(file, []byte(text), packagedEnv)
	require.NoError(t, err)
	_, err = offline(cfg)
	require.NoError(t, err)
	return cfg
}

// unit is the assignments of a systemd unit, in order, by key.
func unit(t *testing.T, text string) map[string][]string {
	t.Helper()
	keys := make(map[string][]string)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		require.True(t, found, line)
		keys[key] = append(keys[key], value)
	}
	return keys
}

func TestPackagingUnit(t *testing.T) {
	written := text(t, examples, "systemd/tandem.service")
	keys := unit(t, written)
	for key, want := range map[string]string{
		"ExecStart":                "/usr/local/bin/tandem serve --config /etc/tandem/tandem.yaml",
		"StateDirectory":           "tandem",
		"DynamicUser":              "yes",
		"NoNewPrivileges":          "yes",
		"ProtectSystem":            "strict",
		"MemoryDenyWriteExecute":   "yes",
		"CapabilityBoundingSet":    "",
		"RestrictAddressFamilies":  "AF_INET AF_INET6 AF_UNIX AF_NETLINK",
		"Restart":                  "on-failure",
		"RestartPreventExitStatus": strconv.Itoa(exitConfig),
		// Without it a panic and the watchdog's abort end with exitConfig's code.
		"Environment": "GOTRACEBACK=crash",
	} {
		require.Equal(t, []string{want}, keys[key], key)
	}
	// An older systemd ignores the second and keeps the first.
	require.Equal(t, []string{"notify", "notify-reload"}, keys["Type"])

	// The config that the comment says to install is there and right, and ends
	// before systemd loses patience.
	example := regexp.MustCompile(`install .* (examples/\S+\.yaml) /etc/tandem/tandem.yaml`).FindStringSubmatch(written)
	require.NotNil(t, example)
	cfg := packagedConfig(t, example[1], text(t, "../..", example[1]))
	stop, err := time.ParseDuration(keys["TimeoutStopSec"][0])
	require.NoError(t, err)
	require.Greater(t, stop, cfg.DrainTimeout+drainLinger)
	watchdog, err := time.ParseDuration(keys["WatchdogSec"][0])
	require.NoError(t, err)
	require.GreaterOrEqual(t, watchdog, 10*time.Second, "a loaded machine is no reason to end calls")
	for _, installed := range regexp.MustCompile(`examples/systemd/\S+`).FindAllString(written, -1) {
		require.FileExists(t, filepath.Join("../..", installed))
	}
}

// What systemd itself says of the unit. It wants the program to be there, so a
// copy names this test's.
func TestPackagingUnitVerified(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "tandem.service")
	written := strings.Replace(text(t, examples, "systemd/tandem.service"), "/usr/local/bin/tandem ", self+" ", 1)
	require.NoError(t, os.WriteFile(path, []byte(written), 0o600))
	said, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	// It may speak of the machine's other units too.
	for line := range strings.Lines(string(said)) {
		if strings.Contains(line, "tandem.service") {
			require.Contains(t, line, "ignoring: notify-reload", "an older systemd's only complaint")
		}
	}
}

// The sockets get what they ask for.
func TestPackagingSysctls(t *testing.T) {
	keys := make(map[string]string)
	for key, values := range unit(t, strings.ReplaceAll(text(t, examples, "systemd/90-tandem.conf"), " = ", "=")) {
		keys[key] = values[0]
	}
	require.Equal(t, "4194304", keys["net.core.rmem_max"])
	require.Equal(t, "4194304", keys["net.core.wmem_max"])
}

func TestPackagingDockerfile(t *testing.T) {
	written := text(t, "../../Dockerfile")
	for _, want := range []string{
		"CGO_ENABLED=0", "FROM scratch", "VOLUME " + systemStateDir, "USER 65532:65532", "STOPSIGNAL SIGTERM",
		`CMD ["/usr/local/bin/tandem", "healthcheck"]`, `CMD ["serve", "--config", "/etc/tandem/tandem.yaml"]`,
	} {
		require.Contains(t, written, want)
	}
	// The stage that builds has the toolchain that go.mod asks for, or a newer one.
	have := regexp.MustCompile(`(?m)^FROM golang:1\.(\d+)`).FindStringSubmatch(written)
	want := regexp.MustCompile(`(?m)^go 1\.(\d+)`).FindStringSubmatch(text(t, "../../go.mod"))
	require.NotNil(t, have)
	require.NotNil(t, want)
	require.GreaterOrEqual(t, len(have[1]), len(want[1]))
	require.GreaterOrEqual(t, have[1], want[1])
}

// strict reads YAML of which every key has a field.
func strict(t *testing.T, text string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	require.NoError(t, d.Decode(into))
}

func TestPackagingCompose(t *testing.T) {
	dir := filepath.Join(examples, "compose")
	type service struct {
		Build       string            `yaml:"build"`
		Image       string            `yaml:"image"`
		Network     string            `yaml:"network_mode"`
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		Grace       time.Duration     `yaml:"stop_grace_period"`
		Restart     string            `yaml:"restart"`
		ReadOnly    bool              `yaml:"read_only"`
		Drop        []string          `yaml:"cap_drop"`
		Security    []string          `yaml:"security_opt"`
	}
	var compose struct {
		Name     string              `yaml:"name"`
		Services map[string]service  `yaml:"services"`
		Volumes  map[string]struct{} `yaml:"volumes"`
	}
	strict(t, text(t, dir, "compose.yaml"), &compose)
	require.Equal(t, []string{"grafana", "prometheus", "tandem"}, slices.Sorted(maps.Keys(compose.Services)))

	// mounts is where a service's files come from, by where it sees them.
	mounts := make(map[string]map[string]string)
	for name, s := range compose.Services {
		require.Equal(t, "host", s.Network, name)
		mounts[name] = make(map[string]string)
		for _, v := range s.Volumes {
			parts := strings.Split(v, ":")
			if !strings.HasPrefix(v, ".") {
				require.Contains(t, compose.Volumes, parts[0], name)
				continue
			}
			require.Equal(t, "ro", parts[2], v)
			from := filepath.Join(dir, parts[0])
			require.True(t, exists(from), from)
			mounts[name][parts[1]] = from
		}
	}

	node := compose.Services["tandem"]
	require.FileExists(t, filepath.Join(dir, node.Build, "Dockerfile"))
	require.Contains(t, node.Environment, "TANDEM_ADDRESS")
	cfg := packagedConfig(t, "tandem.yaml", text(t, mounts["tandem"]["/etc/tandem"], "tandem.yaml"))
	require.Empty(t, cfg.Warnings)
	require.True(t, cfg.Reload.Watch)
	require.Equal(t, config.DefaultAdmin, cfg.Admin, "where the image's health check asks")
	require.Greater(t, node.Grace, cfg.DrainTimeout+drainLinger)

	var prometheus struct {
		Global map[string]string `yaml:"global"`
		Rules  []string          `yaml:"rule_files"`
		Scrape []struct {
			Job    string `yaml:"job_name"`
			Static []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	strict(t, text(t, mounts["prometheus"]["/etc/prometheus/prometheus.yml"]), &prometheus)
	require.Equal(t, cfg.Admin, prometheus.Scrape[0].Static[0].Targets[0])

	provisioning := mounts["grafana"]["/etc/grafana/provisioning"]
	var sources struct {
		Version     int `yaml:"apiVersion"`
		DataSources []struct {
			Name, UID, Type, Access, URL string
			Default                      bool              `yaml:"isDefault"`
			Data                         map[string]string `yaml:"jsonData"`
		} `yaml:"datasources"`
	}
	strict(t, text(t, provisioning, "datasources/prometheus.yaml"), &sources)
	require.Contains(t, strings.Join(compose.Services["prometheus"].Command, " "),
		"--web.listen-address="+strings.TrimPrefix(sources.DataSources[0].URL, "http://"))
	var dashboards struct {
		Version   int `yaml:"apiVersion"`
		Providers []struct {
			Name, Type string
			Options    struct{ Path string }
		} `yaml:"providers"`
	}
	strict(t, text(t, provisioning, "dashboards/tandem.yaml"), &dashboards)

	rules, err := filepath.Glob(filepath.Join(mounts["prometheus"]["/etc/prometheus/rules"], filepath.Base(prometheus.Rules[0])))
	require.NoError(t, err)
	require.NotEmpty(t, rules, "rules to alert by")
	boards, err := filepath.Glob(filepath.Join(mounts["grafana"][dashboards.Providers[0].Options.Path], "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, boards, "a dashboard to look at")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// What of Kubernetes' objects has to fit together.
type (
	object struct {
		API      string `yaml:"apiVersion"`
		Kind     string
		Metadata struct{ Name string }
		Data     map[string]string
		Spec     struct {
			Replicas  int
			Selector  yaml.Node
			ClusterIP string         `yaml:"clusterIP"`
			Ports     []objectPort   `yaml:"ports"`
			Template  objectTemplate `yaml:"template"`
		}
	}
	objectTemplate struct {
		Metadata struct{ Labels map[string]string }
		Spec     struct {
			Host       bool `yaml:"hostNetwork"`
			Grace      int  `yaml:"terminationGracePeriodSeconds"`
			Security   map[string]any
			Containers []struct {
				Args      []string
				Env       []struct{ Name string }
				Ports     []objectPort
				Startup   objectProbe `yaml:"startupProbe"`
				Readiness objectProbe `yaml:"readinessProbe"`
				Liveness  objectProbe `yaml:"livenessProbe"`
				Security  struct {
					ReadOnly     bool `yaml:"readOnlyRootFilesystem"`
					Escalation   bool `yaml:"allowPrivilegeEscalation"`
					Capabilities struct{ Drop []string }
				} `yaml:"securityContext"`
				Mounts []map[string]any `yaml:"volumeMounts"`
			}
			Volumes []struct {
				Name      string
				ConfigMap struct{ Name string } `yaml:"configMap"`
			}
		}
	}
	objectPort struct {
		Name, Protocol string
		Target         string `yaml:"targetPort"`
		Port           int
		ContainerPort  int `yaml:"containerPort"`
	}
	objectProbe struct {
		HTTP struct{ Path, Port string } `yaml:"httpGet"`
	}
)

func TestPackagingKubernetes(t *testing.T) {
	byKind := make(map[string][]object)
	for d := yaml.NewDecoder(bytes.NewBufferString(text(t, examples, "kubernetes/tandem.yaml"))); ; {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.NotEmpty(t, o.API)
		require.NotEmpty(t, o.Kind)
		require.NotEmpty(t, o.Metadata.Name, o.Kind)
		byKind[o.Kind] = append(byKind[o.Kind], o)
	}
	require.Len(t, byKind["ConfigMap"], 1)
	require.Len(t, byKind["Deployment"], 1)
	require.Len(t, byKind["PodDisruptionBudget"], 1)
	require.Len(t, byKind["Service"], 2)

	file := byKind["ConfigMap"][0].Data["tandem.yaml"]
	cfg := packagedConfig(t, "tandem.yaml", file)
	require.Empty(t, cfg.Warnings)
	require.True(t, cfg.Reload.Watch)
	pod := byKind["Deployment"][0].Spec.Template
	require.True(t, pod.Spec.Host)
	require.Greater(t, time.Duration(pod.Spec.Grace)*time.Second, cfg.DrainTimeout+drainLinger)
	require.Len(t, pod.Spec.Containers, 1)
	c := pod.Spec.Containers[0]

	// Its variables are set, its file is where serve looks, as a folder.
	var given []string
	for _, e := range c.Env {
		given = append(given, e.Name)
	}
	for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(file, -1) {
		require.Contains(t, given, m[1])
	}
	require.Equal(t, []string{"serve", "--config", "/etc/tandem/tandem.yaml"}, c.Args)
	require.Equal(t, byKind["ConfigMap"][0].Metadata.Name, pod.Spec.Volumes[0].ConfigMap.Name)
	require.Equal(t, map[string]any{"name": pod.Spec.Volumes[0].Name, "mountPath": "/etc/tandem", "readOnly": true}, c.Mounts[0])
	require.Equal(t, systemStateDir, c.Mounts[1]["mountPath"])

	// Ports and probes are the config's.
	ports := make(map[string]int)
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	_, metrics, err := net.SplitHostPort(cfg.Metrics)
	require.NoError(t, err)
	require.Equal(t, metrics, strconv.Itoa(ports["metrics"]))
	require.EqualValues(t, cfg.Listen[0].Addr.Port(), ports["sip"])
	for path, p := range map[string]objectProbe{"/healthz": c.Startup, "/readyz": c.Readiness} {
		require.Equal(t, path, p.HTTP.Path)
		require.Equal(t, "metrics", p.HTTP.Port)
	}
	require.Equal(t, c.Startup.HTTP, c.Liveness.HTTP, "a node that drains is not killed")
	for _, s := range byKind["Service"] {
		require.Equal(t, "None", s.Spec.ClusterIP, "an address of its own would be NAT")
		for _, p := range s.Spec.Ports {
			require.Equal(t, ports[p.Target], p.Port)
		}
	}

	// Everything that selects pods selects these.
	for _, o := range slices.Concat(byKind["Deployment"], byKind["PodDisruptionBudget"], byKind["Service"]) {
		var s struct {
			Match map[string]string `yaml:"matchLabels"`
		}
		if o.Kind == "Service" {
			require.NoError(t, o.Spec.Selector.Decode(&s.Match))
		} else {
			require.NoError(t, o.Spec.Selector.Decode(&s))
		}
		require.Equal(t, pod.Metadata.Labels, s.Match, "%s %s", o.Kind, o.Metadata.Name)
	}

	require.True(t, c.Security.ReadOnly)
	require.False(t, c.Security.Escalation)
	require.Equal(t, []string{"ALL"}, c.Security.Capabilities.Drop)
}
