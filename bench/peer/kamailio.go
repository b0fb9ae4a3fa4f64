package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"tandem/bench/cert"
	"tandem/bench/load"
)

// startKamailio starts Kamailio at its best, with so many children: in the
// foreground, with the fast allocator for both kinds of memory.
func startKamailio(children int) func(Settings, kind) (*Process, error) {
	return func(s Settings, k kind) (*Process, error) {
		dir, err := s.directory(k.name)
		if err != nil {
			return nil, err
		}
		if err := configureKamailio(s, k, dir, children); err != nil {
			return nil, err
		}
		// OPENSSL_CONF is where OpenSSL is told which ciphers of TLS 1.3 there are.
		return Start(s.Work, s.CPU, dir, "env", "OPENSSL_CONF="+filepath.Join(dir, "openssl.cnf"),
			"kamailio", "-f", filepath.Join(dir, "kamailio.cfg"), "-DD", "-E", "-A", "OVER_"+strings.ToUpper(k.transport),
			"-x", "fm", "-X", "fm", "-m", "1024", "-M", "32")
	}
}

// opensslConfig leaves one cipher of TLS 1.3, cert.Suite: Kamailio has no setting
// for these, and Go takes no other where the CPU has AES.
const opensslConfig = `openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = default
[default]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
`

func configureKamailio(s Settings, k kind, dir string, children int) error {
	modules, err := filepath.Glob("/usr/lib/*/kamailio/modules")
	if err != nil || len(modules) == 0 {
		return errors.New("no modules in /usr/lib/*/kamailio/modules")
	}
	if _, err := os.Stat(filepath.Join(modules[0], "tls.so")); err != nil && k.transport == load.TLS {
		return fmt.Errorf("%w: the package kamailio-tls-modules is not installed", err)
	}
	template, err := os.ReadFile(filepath.Join(s.Bench, "kamailio", "kamailio.cfg"))
	if err != nil {
		return err
	}
	var numbers strings.Builder
	numbers.WriteString("id(int,auto) key_name(string) key_type(int) value_type(int) key_value(string) expires(int)\n")
	for i := range s.Numbers {
		fmt.Fprintf(&numbers, "%d:+%d:0:1:1:0\n", i+1, First+i)
	}
	forward := map[string]string{"stateless": "forward", "tm": "t_relay"}[s.Dialogs]
	if forward == "" {
		return fmt.Errorf("dialogs %q: there is stateless and tm", s.Dialogs)
	}
	to, f := ConnectorsOver(k.transport), cert.In(s.Work)
	tlsConfig := fmt.Sprintf("[server:default]\nmethod = TLSv1.2+\ncertificate = %[1]s\nprivate_key = %[2]s\n"+
		"verify_certificate = no\nrequire_certificate = no\n\n"+
		"[client:default]\nmethod = TLSv1.2+\ncertificate = %[1]s\nprivate_key = %[2]s\nca_list = %[3]s\n"+
		"verify_certificate = yes\nrequire_certificate = yes\n", f.Certificate, f.Key, f.CA)
	for name, content := range map[string]string{
		"kamailio.cfg": strings.NewReplacer(
			"BENCH_CHILDREN", strconv.Itoa(children), "BENCH_LISTEN", k.transport+":"+k.addr.String(),
			"BENCH_MODULES", modules[0]+"/", "BENCH_FORWARD", forward, "BENCH_DIR", dir).Replace(string(template)),
		"dispatcher.list": fmt.Sprintf("1 %s 0 20\n1 %s 0 10\n", uri(to[0], k.transport), uri(to[1], k.transport)),
		"tls.cfg":         tlsConfig,
		"openssl.cnf":     opensslConfig,
		"numbers":         numbers.String(),
		"version":         "table_name(string) table_version(int)\nnumbers:2\nhtable:2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
