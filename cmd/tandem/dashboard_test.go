package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
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
	"tandem/config/catalog"
	"tandem/router/transport/stream/certtest"
)

// seen is what a scrape has: the values of each label of each series' name.
type seen map[string]map[string]map[string]bool

// scrapeNode is all series of a node that runs, as Prometheus would keep them.
func scrapeNode(t *testing.T) seen {
	t.Helper()
	cfg := settings(t, newSIPSocket(t).addr())
	cfg.Listen = append(cfg.Listen, config.Listener{Transport: catalog.TLS, Addr: netip.MustParseAddrPort("127.0.0.1:0"), TLS: anyCertificate(t)})
	r := start(t, cfg)
	res, err := http.Get("http://" + r.admin.AdminAddr() + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	require.NoError(t, err)

	sample := regexp.MustCompile(`(?m)^([a-z]\w*)(?:\{(.*)\})? \S+$`)
	label := regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
	have := seen{"up": {}}
	for _, s := range sample.FindAllStringSubmatch(string(page), -1) {
		if have[s[1]] == nil {
			have[s[1]] = make(map[string]map[string]bool)
		}
		for _, l := range label.FindAllStringSubmatch(s[2], -1) {
			if have[s[1]][l[1]] == nil {
				have[s[1]][l[1]] = make(map[string]bool)
			}
			have[s[1]][l[1]][l[2]] = true
		}
	}
	for _, labels := range have { // which Prometheus adds
		labels["job"], labels["instance"] = map[string]bool{}, map[string]bool{}
	}
	return have
}

// anyCertificate is one in a file, with its key, which is an authority as well.
func anyCertificate(t *testing.T) config.ListenerTLS {
	t.Helper()
	a, err := certtest.New("authority of a test", time.Now().Add(60*24*time.Hour))
	require.NoError(t, err)
	c, err := a.Sign(certtest.For("node.example.com"))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "cert.pem")
	require.NoError(t, certtest.Write(c, path, path))
	return config.ListenerTLS{Certificate: path, Key: path, ClientCA: path}
}

// The words of PromQL that are used. Any other has to be a metric's name.
var promWords = []string{
	"sum", "min", "max", "avg", "count", "by", "on", "group_left", "and", "or", "unless", "offset",
	"rate", "increase", "changes", "histogram_quantile", "absent", "vector", "time",
}

var (
	promSelector = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*\{([^{}]*)\}`)
	promMatcher  = regexp.MustCompile(`^\s*(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*$`)
	promBraces   = regexp.MustCompile(`\{[^{}]*\}`)
	promNoise    = regexp.MustCompile(`\{[^{}]*\}|\[[^\[\]]*\]|\boffset \w+|\b(?:by|on|group_left)\s*\([^()]*\)`)
	promWord     = regexp.MustCompile(`[a-zA-Z_:][\w:]*`)
	promBy       = regexp.MustCompile(`\bby \(([^()]*)\) \(`)
	promOn       = regexp.MustCompile(`\b(?:on|group_left) \(([^()]*)\)`)
	promTotal    = regexp.MustCompile(`\b(?:sum|min|max|avg|count)\(`)
	promSuffixed = regexp.MustCompile(`\)\s*(?:by|without)\b|\b(?:without|ignoring)\b`)
	promPlain    = regexp.MustCompile(`^[\w|]+$`)
)

// metricsIn are the metrics that an expression reads.
func metricsIn(expr string) (names []string) {
	for _, w := range words(promNoise.ReplaceAllString(expr, " ")) {
		if !slices.Contains(promWords, w) {
			names = append(names, w)
		}
	}
	return names
}

func words(text string) []string { return promWord.FindAllString(text, -1) }

// aggregation is "by (labels) (operand)".
type aggregation struct {
	labels  []string
	operand string
}

// aggregations are the outermost of an expression whose brackets balance.
func aggregations(expr string) (all []aggregation) {
	for {
		m := promBy.FindStringSubmatchIndex(expr)
		if m == nil {
			return all
		}
		depth, end := 1, m[1]
		for ; depth > 0; end++ {
			switch expr[end] {
			case '(':
				depth++
			case ')':
				depth--
			}
		}
		all = append(all, aggregation{words(expr[m[2]:m[3]]), expr[m[1] : end-1]})
		expr = expr[end:]
	}
}

// check finds what an expression wants of metrics that a scrape does not have.
// It understands the PromQL that is written here, and refuses other.
func (have seen) check(expr string) error {
	bare := promBraces.ReplaceAllString(expr, "")
	written := func(word string) int { return len(regexp.MustCompile(`\b(?:`+word+`)\b`).FindAllString(bare, -1)) }
	if strings.Count(bare, "(") != strings.Count(bare, ")") || promSuffixed.MatchString(bare) ||
		written("by") != len(promBy.FindAllString(bare, -1)) || written("on|group_left") != len(promOn.FindAllString(bare, -1)) {
		return fmt.Errorf("this test does not understand %s", expr)
	}
	names := metricsIn(expr)
	if len(names) == 0 {
		return fmt.Errorf("no metric in %q", expr)
	}
	for _, name := range names {
		if have[name] == nil {
			return fmt.Errorf("%s is no metric: %s", name, expr)
		}
	}
	for _, s := range promSelector.FindAllStringSubmatch(expr, -1) {
		for m := range strings.SplitSeq(s[2], ",") {
			if err := have.checkMatcher(s[1], m); err != nil {
				return fmt.Errorf("%w: %s", err, expr)
			}
		}
	}
	for _, on := range promOn.FindAllStringSubmatch(expr, -1) {
		for _, a := range aggregations(expr) {
			if err := subset(words(on[1]), a.labels); err != nil {
				return fmt.Errorf("%w: %s", err, expr)
			}
		}
	}
	return have.checkLabels(expr)
}

func (have seen) checkMatcher(name, matcher string) error {
	parts := promMatcher.FindStringSubmatch(matcher)
	if parts == nil {
		return fmt.Errorf("this test does not understand %q", matcher)
	}
	values, ok := have[name][parts[1]]
	if !ok {
		return fmt.Errorf("%s has no label %s", name, parts[1])
	}
	if len(values) == 0 || !promPlain.MatchString(parts[3]) {
		return nil // of Prometheus, or a variable
	}
	for value := range strings.SplitSeq(parts[3], "|") {
		if !values[value] {
			return fmt.Errorf("%s never has %s=%q", name, parts[1], value)
		}
	}
	return nil
}

// checkLabels looks at the labels of aggregations, from the outermost inwards.
func (have seen) checkLabels(expr string) error {
	for _, a := range aggregations(expr) {
		for _, name := range metricsIn(a.operand) {
			if err := subset(a.labels, slices.Collect(maps.Keys(have[name]))); err != nil {
				return fmt.Errorf("%w of %s: %s", err, name, expr)
			}
		}
		for _, inner := range aggregations(a.operand) {
			if err := subset(a.labels, inner.labels); err != nil {
				return fmt.Errorf("%w: %s", err, expr)
			}
		}
		if err := have.checkLabels(a.operand); err != nil {
			return err
		}
	}
	return nil
}

func subset(labels, of []string) error {
	for _, l := range labels {
		if !slices.Contains(of, l) {
			return fmt.Errorf("%s is not among the labels %v", l, of)
		}
	}
	return nil
}

// result is the labels that what an expression returns may have.
func (have seen) result(expr string) (labels []string) {
	outer := aggregations(expr)
	for _, a := range outer {
		labels = append(labels, a.labels...)
	}
	if len(outer) == 0 && !promTotal.MatchString(expr) {
		for _, name := range metricsIn(expr) {
			labels = slices.AppendSeq(labels, maps.Keys(have[name]))
		}
	}
	return labels
}

// The check itself finds what it is for.
func TestDashboardCheckFinds(t *testing.T) {
	have := seen{
		"calls_total":  {"route": {"support": true}, "outcome": {"answered": true, "refused": true}, "job": {}, "instance": {}},
		"delay_bucket": {"route": {"support": true}, "le": {"+Inf": true}, "job": {}, "instance": {}},
	}
	for _, expr := range []string{
		`sum by (job, route) (rate(calls_total{outcome="answered", instance=~"$instance"}[5m])) > 0.5`,
		`histogram_quantile(0.99, sum by (route, le) (rate(delay_bucket{route=~"$group"}[$__rate_interval])))`,
		`sum by (instance, route) (calls_total) / on (instance) group_left () sum by (instance) (calls_total offset 1d)`,
	} {
		require.NoError(t, have.check(expr))
	}
	for expr, problem := range map[string]string{
		`vector(1)`:                                                           "no metric",
		`call_total`:                                                          "call_total is no metric",
		`rat(calls_total[5m])`:                                                "rat is no metric",
		`calls_total{rout="support"}`:                                         "no label rout",
		`calls_total{outcome=~"answered|no"}`:                                 `never has outcome="no"`,
		`calls_total{outcome="a}b"}`:                                          "is no metric",
		`sum by (trunk) (calls_total)`:                                        "trunk is not among",
		`sum by (le) (rate(calls_total[5m]))`:                                 "le is not among",
		`max by (outcome) (sum by (route) (calls_total))`:                     "outcome is not among",
		`sum by (route) (calls_total) / on (outcome) count(calls_total)`:      "outcome is not among",
		`sum(calls_total) by (route)`:                                         "does not understand",
		`sum by(trunk)(calls_total)`:                                          "does not understand",
		`sum by (route) (calls_total`:                                         "does not understand",
		`sum by (route) (calls_total) + sum by (route) (rate(delay_sum[5m]))`: "delay_sum is no metric",
		`sum by (route) (calls_total) and sum by (route) (max by (job, le) (calls_total))`: "route is not among",
	} {
		require.ErrorContains(t, have.check(expr), problem)
	}
	require.Equal(t, []string{"job", "route"}, have.result(`sum by (job, route) (calls_total)`))
	require.Empty(t, have.result(`sum(calls_total)`))
	require.ElementsMatch(t, []string{"route", "outcome", "job", "instance"}, have.result(`calls_total == 0`))
}

// promtool runs it in a directory.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed: apt-get install --no-install-recommends prometheus")
	}
	cmd := exec.Command("promtool", args...)
	cmd.Dir = dir
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
}

// board is what of a dashboard of Grafana's is looked at.
type board struct {
	UID, Title string
	Schema     int `json:"schemaVersion"`
	Panels     []boardPanel
	Templating struct{ List []boardVariable }
	Notes      struct {
		List []struct{ Name, Expr string }
	} `json:"annotations"`
}

type boardVariable struct {
	Name, Type, Definition string
	Source                 boardSource `json:"datasource"`
}

type boardSource struct{ Type, UID string }

type boardPanel struct {
	ID                       int
	Type, Title, Description string
	Source                   boardSource              `json:"datasource"`
	Grid                     struct{ X, Y, W, H int } `json:"gridPos"`
	Targets                  []struct {
		Ref          string `json:"refId"`
		Expr         string
		LegendFormat string
		Source       boardSource `json:"datasource"`
	}
}

func dashboard(t *testing.T) (b board) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text(t, examples, "grafana/tandem.json")), &b))
	return b
}

// queries are all expressions of a dashboard.
func (b board) queries() (exprs []string) {
	for _, p := range b.Panels {
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	for _, n := range b.Notes.List {
		if n.Expr != "" { // else it is Grafana's own
			exprs = append(exprs, n.Expr)
		}
	}
	return exprs
}

// What the dashboard asks for is what a node has.
func TestDashboardQueries(t *testing.T) {
	b, have := dashboard(t), scrapeNode(t)
	variables := regexp.MustCompile(`^\$(?:__rate_interval|(\w+))$`)
	known := make(map[string]bool)
	for _, v := range b.Templating.List {
		known[v.Name] = true
		if v.Type != "query" {
			continue
		}
		m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition)
		require.NotNil(t, m, v.Definition)
		require.NoError(t, have.check(m[1]))
		require.Contains(t, have[metricsIn(m[1])[0]], m[2])
	}
	for _, name := range []string{"datasource", "instance", "group", "trunk"} {
		require.True(t, known[name], name)
	}
	for _, expr := range b.queries() {
		require.NoError(t, have.check(expr))
		for _, v := range regexp.MustCompile(`\$\w+`).FindAllString(expr, -1) {
			m := variables.FindStringSubmatch(v)
			require.True(t, m[1] == "" || known[m[1]], "%s in %s", v, expr)
		}
	}
	shown := regexp.MustCompile(`\{\{(\w+)\}\}`)
	for _, p := range b.Panels {
		for _, target := range p.Targets {
			for _, l := range shown.FindAllStringSubmatch(target.LegendFormat, -1) {
				require.Contains(t, have.result(target.Expr), l[1], "%s: %s", p.Title, target.LegendFormat)
			}
		}
	}
}

// Grafana's own panels, each of which says what it is for, side by side.
func TestDashboardPanels(t *testing.T) {
	b := dashboard(t)
	require.NotEmpty(t, b.UID)
	require.GreaterOrEqual(t, b.Schema, 38)
	core := []string{"row", "stat", "timeseries", "state-timeline", "table"}
	ids, titles, taken := make(map[int]bool), make(map[string]bool), make(map[[2]int]string)
	for _, p := range b.Panels {
		require.Contains(t, core, p.Type)
		require.NotEmpty(t, p.Title)
		require.Positive(t, p.ID, p.Title)
		require.False(t, ids[p.ID], p.Title)
		require.False(t, titles[p.Title], p.Title)
		ids[p.ID], titles[p.Title] = true, true
		require.LessOrEqual(t, p.Grid.X+p.Grid.W, 24, p.Title)
		for x := p.Grid.X; x < p.Grid.X+p.Grid.W; x++ {
			for y := p.Grid.Y; y < p.Grid.Y+p.Grid.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.Greater(t, len(p.Description), 40, "%s: what to do", p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		require.Equal(t, boardSource{"prometheus", "${datasource}"}, p.Source, p.Title)
		refs := make(map[string]bool)
		for _, target := range p.Targets {
			require.Equal(t, p.Source, target.Source, p.Title)
			require.False(t, refs[target.Ref], p.Title)
			refs[target.Ref] = true
		}
	}
}

// Prometheus takes every query of the dashboard.
func TestDashboardQueriesByPromtool(t *testing.T) {
	type rule struct{ Record, Expr string }
	var rules []rule
	for i, expr := range dashboard(t).queries() {
		rules = append(rules, rule{"query:" + strconv.Itoa(i), strings.ReplaceAll(expr, "$__rate_interval", "5m")})
	}
	file, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "queries.yaml"), file, 0o600))
	promtool(t, dir, "check", "rules", "queries.yaml")
}

// alert is a rule of Prometheus's.
type alert struct {
	Name                string `yaml:"alert"`
	Expr                string
	For                 *string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	strict(t, text(t, examples, "prometheus/tandem.rules.yaml"), &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// Each alert asks for what a node has, says what is wrong and what to do, and is
// among those that are tested.
func TestAlerts(t *testing.T) {
	have := scrapeNode(t)
	tests, err := filepath.Glob(filepath.Join(examples, "prometheus/*.test.yaml"))
	require.NoError(t, err)
	var tested strings.Builder
	for _, file := range tests {
		tested.WriteString(text(t, file))
	}
	used := regexp.MustCompile(`\$labels\.(\w+)`)
	names := make(map[string]bool)
	for _, a := range alerts(t) {
		require.Regexp(t, `^Tandem[A-Z]\w+$`, a.Name)
		require.False(t, names[a.Name], a.Name)
		names[a.Name] = true
		require.NoError(t, have.check(a.Expr), a.Name)
		require.NotNil(t, a.For, a.Name)
		require.Contains(t, []string{"critical", "warning"}, a.Labels["severity"], a.Name)
		require.Len(t, a.Annotations, 2, a.Name)
		require.NotEmpty(t, a.Annotations["summary"], a.Name)
		require.Greater(t, len(a.Annotations["description"]), 100, a.Name)
		for _, text := range a.Annotations {
			for _, l := range used.FindAllStringSubmatch(text, -1) {
				require.Contains(t, have.result(a.Expr), l[1], a.Name)
			}
		}
		require.Contains(t, tested.String(), `alertname="`+a.Name+`",alertstate="firing"`)
	}
	// Whoever speaks of an alert speaks of one that exists.
	for _, file := range []string{"../../README.md", examples + "/grafana/tandem.json", examples + "/prometheus/tandem.rules.yaml"} {
		for _, name := range regexp.MustCompile(`\bTandem[A-Z]\w+`).FindAllString(text(t, file), -1) {
			require.True(t, names[name], "%s in %s", name, file)
		}
	}
}

// Prometheus takes the rules, and they fire when they should and not else.
func TestAlertsByPromtool(t *testing.T) {
	dir := filepath.Join(examples, "prometheus")
	promtool(t, dir, "check", "rules", "tandem.rules.yaml")
	tests, err := filepath.Glob(filepath.Join(dir, "*.test.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, tests)
	for _, file := range tests {
		promtool(t, dir, "test", "rules", filepath.Base(file))
	}
}
