package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
	require.Equal(t, none, written)
	require.Equal(t, catalog.DefaultHealth(), written.Health)
}

// Every metric is in the README, and no other.
func TestReadmeMetrics(t *testing.T) {
	r := start(t, settings(t, newSIPSocket(t).addr()))
	res, err := http.Get("http://" + r.admin.AdminAddr() + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	scraped, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	have := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (tandem_\S+)`).FindAllStringSubmatch(string(scraped), -1) {
		have[m[1]] = true
	}
	require.Greater(t, len(have), 20)
	text := readme(t)
	for name := range have {
		require.Contains(t, text, name)
	}
	for _, name := range regexp.MustCompile(`tandem_[a-z0-9_]+`).FindAllString(text, -1) {
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
