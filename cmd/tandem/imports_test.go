package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The import line (design section 2): cmd, admin, router, health, config, each
// knowing only what stands after it. A rule says what a folder's own files may
// not import, and why. "tandem" stands for all of ours.
var importRules = []struct {
	from, not, why string
	but            []string // imports that are allowed all the same
}{
	{"config", "tandem", "settings know nothing of what runs by them", []string{"tandem/config"}},
	{"config/number", "tandem", "a number is an integer: it stands on nothing", nil},
	{"config/catalog", "tandem", "the model is pure: it stands on nothing but numbers", []string{"tandem/config/number"}},
	{"health", "tandem", "health is observed and kept; who acts on it stands above", []string{"tandem/config/catalog", "tandem/health"}},
	{"router/wire", "tandem", "bytes of SIP know no sockets and no policy", nil},
	{"router/table", "tandem", "a lookup knows no groups, only ids", []string{"tandem/config/number"}},
	{"router/names", "tandem", "a name has addresses, whoever asks", nil},
	{"router/dns", "tandem", "a question has an answer, whoever asks", []string{"tandem/router/dns"}},
	{"router/locate", "tandem", "a name has servers, and a catalog's names are replaced by them; who routes by it stands above",
		[]string{"tandem/config/catalog", "tandem/router/dns"}},
	{"router/transport", "tandem", "sockets know nothing of what they carry", []string{"tandem/router/transport"}},
	{"router", "tandem/config", "the data plane takes a compiled policy, not a file", []string{"tandem/config/catalog", "tandem/config/number"}},
	{"router", "tandem/health/probe", "probes are an endpoint's business; they share the socket through a function", nil},
	{"router", "tandem/admin", "what is seen stands above what runs", nil},
	{"router", "github.com/emiago/sipgo", "the proxy core works on bytes (design D1)", nil},
	{"admin", "github.com/emiago/sipgo", "an HTTP server speaks no SIP", nil},
	{"health", "github.com/prometheus", "metrics are gathered in one place, at the scrape", nil},
	{"router", "github.com/prometheus", "the hot path counts in plain words (design section 10)", nil},
	{"config", "github.com/prometheus", "settings have no metrics", nil},
	{"", "tandem/cmd", "nobody imports a command", nil},
	{"", "tandem/bench", "load tools weigh on nobody", nil},
	{"", "github.com/stretchr/testify", "only tests need it", nil},
}

// Imports that only the files named may have.
var importOwners = []struct {
	of, why string
	files   []string
}{
	{"gopkg.in/yaml.v3", "one file knows the format", []string{"config/yaml.go"}},
	{"github.com/spf13/cobra", "only the command has a command line", []string{"cmd/tandem/"}},
	{"go.etcd.io/bbolt", "only the store knows how its file is made", []string{"config/store/"}},
	{"github.com/fsnotify/fsnotify", "one file watches files", []string{"config/watch.go"}},
	{"github.com/KimMachineGun/automemlimit", "one file knows how much memory there is", []string{"cmd/tandem/memory.go"}},
	{"github.com/coreos/go-systemd", "one file speaks to systemd", []string{"cmd/tandem/notify.go"}},
	{"github.com/miekg/dns", "one file speaks DNS, and the server of tests", []string{"router/dns/client.go", "router/dns/dnstest/"}},
	{"golang.org/x/sys", "system calls of sockets and nothing else", []string{"router/transport/"}},
	{"github.com/emiago/sipgo", "sipgo plays the endpoints (design D2): URIs of the config, probes, the demo's phones",
		[]string{"config/uri.go", "health/probe/", "cmd/tandem/demo_"}},
	{"tandem/router/transport/stream/certtest", "only tests make certificates", nil},
	{"unsafe", "memory is shared with the kernel in one folder, bytes are read as text in one file, and nowhere else",
		[]string{"router/transport/", "router/branch.go"}},
}

func TestImports(t *testing.T) {
	files := 0
	eachImport(t, "../..", func(file, imported string) {
		files++
		dir := path.Dir(file)
		for _, r := range importRules {
			if within(dir, r.from) && within(imported, r.not) && !slices.ContainsFunc(r.but, func(b string) bool { return within(imported, b) }) {
				t.Errorf("%s imports %s: %s", file, imported, r.why)
			}
		}
		for _, o := range importOwners {
			if within(imported, o.of) && !slices.ContainsFunc(o.files, func(f string) bool { return strings.HasPrefix(file, f) }) {
				t.Errorf("%s imports %s, which is for %s: %s", file, imported, strings.Join(o.files, ", "), o.why)
			}
		}
	})
	require.Greater(t, files, 100, "the files were found")
}

// within is whether p is dir or below it.
func within(p, dir string) bool { return dir == "" || p == dir || strings.HasPrefix(p, dir+"/") }

// eachImport calls f for each import of each file that is no test's, for any
// system.
func eachImport(t *testing.T, root string, f func(file, imported string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)
		if d.IsDir() {
			if file != "." && strings.HasPrefix(d.Name(), ".") || file == "bench" || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f(file, imported)
		}
		return nil
	}))
}
