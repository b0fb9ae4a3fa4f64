package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

var (
	adminKeys   = keys{known: []string{"listen", "keys"}, later: []string{"tls"}}
	metricsKeys = keys{known: []string{"listen"}, later: []string{"tls"}}
)

// admin reads where the admin server listens and who may use it. Without keys
// it stays on loopback.
func (d *decoder) admin(n node) (string, []AdminKey) {
	if n.kind() == scalar && d.text(n, Off) == Off { // admin: off
		return Off, nil
	}
	f := d.fields(n, adminKeys)
	keys := d.adminKeys(f["keys"])
	return d.adminListen(f["listen"], len(d.list(f["keys"])) > 0), keys
}

func (d *decoder) adminListen(listen node, keys bool) string {
	if listen.kind() == missing {
		return DefaultAdmin
	}
	text := d.text(listen, "")
	if text == Off || d.failed[listen.path] {
		return Off
	}
	host, err := parseServe(text)
	if err != nil {
		d.fail(listen, "%v", err)
		return Off
	}
	if ip, err := netip.ParseAddr(host); !keys && host != "localhost" && (err != nil || !ip.IsLoopback()) {
		d.fail(listen, "%s is not a loopback address, and without admin.keys nobody is asked for a key; add keys (tandem key makes one), or write %s, and use metrics for what others may read",
			quote(text), DefaultAdmin)
		return Off
	}
	return text
}

// metrics reads where metrics and health are served to others.
func (d *decoder) metrics(n node) string {
	listen := d.fields(n, metricsKeys)["listen"]
	if listen.kind() == missing {
		if n.kind() == mapping && !d.failed[child(n.path, "listen")] {
			d.fail(n, "has no address; write {listen: 127.0.0.1:9090}")
		}
		return ""
	}
	text := d.text(listen, "")
	if d.failed[listen.path] {
		return ""
	}
	if _, err := parseServe(text); err != nil {
		d.fail(listen, "%v", err)
		return ""
	}
	return text
}

// checkServe finds two servers at one address.
func (d *decoder) checkServe(cfg *Config) {
	if cfg.Metrics != "" && cfg.Metrics == cfg.Admin {
		d.fail(d.root.find("metrics.listen"), "%s is the admin server's address; write another port", quote(cfg.Metrics))
	}
}

// parseServe reads "host:port" of an HTTP server; port 0 is any free one.
func parseServe(text string) (host string, err error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("%s is not an address and port; write one as in 127.0.0.1:8080", quote(text))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", fmt.Errorf("%s is not a port; write 1 to 65535", quote(port))
	}
	if host != "" {
		return host, checkHost(host)
	}
	return host, nil
}
