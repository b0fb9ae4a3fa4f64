package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"tandem/router"
)

// explainPage is /explain.
type explainPage struct {
	explain func(number, trunk string) (router.Explanation, error)
}

func newExplainPage(opts *Options) *explainPage {
	return &explainPage{func(number, trunk string) (router.Explanation, error) {
		return opts.Router.Explain(number, trunk, opts.Now())
	}}
}

func (p *explainPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	given, err := parseQuery(r.URL.RawQuery, "number", "trunk")
	if err == nil && given["number"] == "" {
		err = errors.New("which number? Write /explain?number=%2B15550000001, and &trunk=NAME for a call from that trunk")
	}
	if err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	number := plussed(given["number"])
	if n, err := oneNumber(number); err == nil {
		number = n // not every user part is one: what is none is looked up as it is
	}
	ex, err := p.explain(number, given["trunk"])
	if err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	ex.Number = cmp.Or(ex.Number, number)
	status := http.StatusOK
	if ex.Entry == "" {
		status = http.StatusNotFound
	}
	sayJSON(w, status, ex)
}

func sayJSON(w http.ResponseWriter, code int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // the client is gone: nobody to tell
}

// local refuses requests that a web page made by a name of its own. The admin
// address asks for no key and relies on loopback, which a browser on this
// machine reaches: a page whose name resolves to 127.0.0.1 only on the second
// look (DNS rebinding) could read all of it, were it not for the Host header.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !localHost(r.Host) {
			say(w, http.StatusForbidden, "the Host header is a name; use an IP address or localhost, as in http://127.0.0.1:8080"+r.URL.Path)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// localHost reports whether the value of a Host header is localhost or an IP
// address, or is missing: no browser leaves it out.
func localHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" || strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}
