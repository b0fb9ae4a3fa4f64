//go:build linux

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every example can be served, once its certificates are there.
func TestE2E_CheckExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("../../examples")))
	a := newAuthority(t)
	a.dir = filepath.Join(dir, "certs")
	require.NoError(t, os.Mkdir(a.dir, 0o700))
	a.sign("sip.example.com")
	for _, ca := range []string{"carriers-ca.pem", "partner-ca.pem"} {
		a.writeTo(a.file(ca))
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		out, code := run(t, "check", path)
		require.Equal(t, 0, code, "%s: %s", path, out)
		// Of a wildcard there may be a warning: it depends on the machine.
		require.True(t, strings.HasSuffix("\n"+out, "\nok\n"), "%s: %s", path, out)
	}
}

// A certificate that cannot be used is told of at its line, by check and by serve.
func TestE2E_CheckCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	day := 24 * time.Hour
	a.sign("good")
	a.signFor("old", -90*day, -2*day)
	a.signFor("young", 3*day, 90*day)
	a.signFor("soon", -time.Hour, 13*day)
	a.signFor("later", -time.Hour, 15*day)
	for name, text := range map[string]string{
		"empty.pem": "", "text.pem": "no PEM", "torn.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		require.NoError(t, os.WriteFile(a.file(name), []byte(text), 0o600))
	}
	both, err := os.ReadFile(a.file("good.pem"))
	require.NoError(t, err)
	key, err := os.ReadFile(a.file("good.key"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(a.file("both.pem"), append(key, both...), 0o600))

	for name, until := range map[string]time.Duration{"dead-ca.pem": -day, "soon-ca.pem": 13 * day} {
		newAuthorityFor(t, until).writeTo(a.file(name))
	}

	const asked = `tls: {certificate: good.pem, key: good.key, clients: optional, client_ca: ca.pem}`
	for name, c := range map[string]struct{ was, is, want string }{
		"good":               {"", "", ""},
		"one file for both":  {"certificate: good.pem, key: good.key", "certificate: both.pem", ""},
		"missing":            {"certificate: good.pem", "certificate: nobody.pem", "tandem.yaml:4: listen[0].tls.certificate: DIR/nobody.pem cannot be read: no such file or directory"},
		"no certificate":     {"certificate: good.pem", "certificate: text.pem", "tandem.yaml:4: listen[0].tls.certificate: DIR/text.pem holds no certificate in PEM; write the file that has it"},
		"a key":              {"certificate: good.pem", "certificate: good.key", "tandem.yaml:4: listen[0].tls.certificate: DIR/good.key holds no certificate in PEM; write the file that has it"},
		"half of it":         {"certificate: good.pem", "certificate: torn.pem", "tandem.yaml:4: listen[0].tls.certificate: DIR/torn.pem holds a certificate that cannot be read (malformed certificate); write a file in PEM that has it whole"},
		"another's key":      {"key: good.key", "key: old.key", "tandem.yaml:4: listen[0].tls.key: DIR/old.key is not the key of DIR/good.pem (private key does not match public key); write the file that has it, in PEM and without a password"},
		"no key":             {", key: good.key", "", "tandem.yaml:4: listen[0].tls.certificate: DIR/good.pem holds no key; write key: FILE"},
		"no file for a key":  {"key: good.key", "key: nobody.key", "tandem.yaml:4: listen[0].tls.key: DIR/nobody.key cannot be read: no such file or directory"},
		"no authority":       {"client_ca: ca.pem", "client_ca: empty.pem", "tandem.yaml:4: listen[0].tls.client_ca: DIR/empty.pem holds no certificate in PEM; write the file that has it"},
		"a connector's":      {"{ca: ca.pem", "{certificate: soon.pem, key: good.key, ca: ca.pem", "tandem.yaml:8: connectors[0].tls.key: DIR/good.key is not the key of DIR/soon.pem (private key does not match public key)"},
		"a connector's CA":   {"{ca: ca.pem", "{ca: text.pem", "tandem.yaml:8: connectors[0].tls.ca: DIR/text.pem holds no certificate in PEM"},
		"expired":            {"good.pem, key: good.key", "old.pem, key: old.key", "warning: tandem.yaml:4: listen[0].tls.certificate: DIR/old.pem has expired on " + date(-2*day)},
		"not yet valid":      {"good.pem, key: good.key", "young.pem, key: young.key", "warning: tandem.yaml:4: listen[0].tls.certificate: DIR/young.pem is not valid before " + date(3*day)},
		"expires soon":       {"good.pem, key: good.key", "soon.pem, key: soon.key", "warning: tandem.yaml:4: listen[0].tls.certificate: DIR/soon.pem expires on " + date(13*day)},
		"authority expired":  {"client_ca: ca.pem", "client_ca: dead-ca.pem", "warning: tandem.yaml:4: listen[0].tls.client_ca: DIR/dead-ca.pem has expired on " + date(-day)},
		"authority ends":     {"{ca: ca.pem", "{ca: soon-ca.pem", "warning: tandem.yaml:8: connectors[0].tls.ca: DIR/soon-ca.pem expires on " + date(13*day)},
		"expires in a while": {"good.pem, key: good.key", "later.pem, key: later.key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(a.dir)))
			path := filepath.Join(dir, "tandem.yaml")
			text := fmt.Sprintf(`
admin: off
listen:
  - {address: "tls://127.0.0.1:0", %s}
trunks: [{name: carrier, tls: [carrier.example]}]
connectors:
  - name: first
    tls: {ca: ca.pem}
    hosts: ["sips:127.0.0.11"]
groups:
  - name: support
    connectors: [{connector: first, priority: 1}]
    numbers: ["+15550000001"]
`, asked)
			text = strings.Replace(text, "127.0.0.1:0", newLab(t).place("127.0.0.1:5061"), 1)
			require.Contains(t, text, c.was)
			require.NoError(t, os.WriteFile(path, []byte(strings.Replace(text, c.was, c.is, 1)), 0o600))

			out, code := run(t, "check", path)
			out = strings.ReplaceAll(out, dir+"/tandem.yaml", "tandem.yaml")
			want := strings.ReplaceAll(c.want, "DIR", dir)
			mistake := want != "" && !strings.HasPrefix(want, "warning: ")
			require.Equal(t, mistake, code == 1, out)
			require.Contains(t, out, want)
			require.Equal(t, !mistake, strings.HasSuffix("\n"+out, "\nok\n"))
			if want == "" {
				require.NotContains(t, out, "warning")
			}
			if mistake {
				out, code := run(t, "serve", "--config", path)
				require.Equal(t, 2, code, out)
				require.Contains(t, strings.ReplaceAll(out, dir+"/tandem.yaml", "tandem.yaml"), want)
			}
		})
	}
}

func date(from time.Duration) string { return time.Now().Add(from).UTC().Format("2006-01-02") }
