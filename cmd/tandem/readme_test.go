package main

import (
	"flag"
	"io"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/admin"
	"tandem/config"
	"tandem/config/catalog"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	return string(text)
}

// The examples of config in the README are right, and what it calls defaults
// are the defaults.
func TestReadmeConfig(t *testing.T) {
	env := func(name string) (string, bool) { return "0123456789abcdef", name == "TANDEM_SECRET" }
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		cfg, err := config.Parse("README.md", []byte(b[1]), env)
		require.NoError(t, err)
		require.Empty(t, cfg.Warnings)
		_, err = offline(cfg)
		require.NoError(t, err)
	}

	defaults, _, found := strings.Cut(blocks[0][1], "# ---- no default ----")
	require.True(t, found)
	written, err := config.Parse("file", []byte(defaults), env)
	require.NoError(t, err)
	none, err := config.Parse("file", []byte("{}"), env)
	require.NoError(t, err)
	written.Warnings, none.Warnings = nil, nil // their lines differ
	none.Sum = written.Sum
	require.Equal(t, catalog.EveryField, written.FailoverSet, "every key is there")
	require.EqualValues(t, 1<<len(catalog.HealthFields)-1, written.HealthSet)
	none.FailoverSet, none.HealthSet, none.Large = written.FailoverSet, written.HealthSet, catalog.DefaultLarge()
	require.Equal(t, none, written)
	require.Equal(t, catalog.DefaultHealth(), written.Health)
}

var updateReadme = flag.Bool("update", false, "write the README's generated parts anew")

// The table of metrics in the README is made from the code.
func TestReadmeMetrics(t *testing.T) {
	const begin, end = "<!-- metrics: made by go test ./cmd/tandem -run TestReadmeMetrics -update -->\n", "<!-- /metrics -->"
	text := readme(t)
	before, rest, ok := strings.Cut(text, begin)
	require.True(t, ok)
	table, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if *updateReadme {
		require.NoError(t, os.WriteFile("../../README.md", []byte(before+begin+admin.Table()+end+after), 0o644))
		return
	}
	require.Equal(t, admin.Table(), table, "go test ./cmd/tandem -run TestReadmeMetrics -update")
}

// What is scraped is what the table says, and no other name is in the README.
func TestReadmeNamesMetricsThatExist(t *testing.T) {
	cfg := settings(t, newSIPSocket(t).addr())
	cfg.Catalog.Connectors[0].Limits.MaxCalls = 100
	cfg.Listen = append(cfg.Listen, config.Listener{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Transport: catalog.TLS, TLS: anyCertificate(t)})
	r := start(t, cfg)
	res, err := http.Get("http://" + r.admin.AdminAddr() + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	scraped, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	have := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (tandem_\S+)`).FindAllStringSubmatch(string(scraped), -1) {
		have[m[1]] = true
		require.Contains(t, admin.Table(), "`"+m[1]+"`")
	}
	require.Len(t, have, strings.Count(admin.Table(), "| `tandem_"), "each has a series from the start")
	for _, name := range admin.Names() {
		have[name] = true
	}
	for _, name := range regexp.MustCompile(`tandem_[a-z0-9_]+`).FindAllString(readme(t), -1) {
		require.True(t, have[name], "%s is no metric", name)
	}
}

// Every command is in the README.
func TestReadmeCommands(t *testing.T) {
	text := readme(t)
	for _, cmd := range newRoot().Commands() {
		require.Contains(t, text, "tandem "+cmd.Name())
	}
}
