package admin

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// routes is a ServeMux that knows what it has, and says in the form of an API
// what it has not.
type routes struct {
	mux      *http.ServeMux
	patterns []string
}

func (t *routes) handle(pattern string, h http.Handler) {
	t.patterns = append(t.patterns, pattern)
	t.mux.Handle(pattern, h)
}

func (t *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, pattern := t.mux.Handler(r)
	if pattern != "" {
		t.mux.ServeHTTP(w, r) // sets what is in the path
		return
	}
	missing := &headersOnly{header: make(http.Header)}
	h.ServeHTTP(missing, r)
	if allow := missing.header.Get("Allow"); missing.status == http.StatusMethodNotAllowed && allow != "" {
		w.Header().Set("Allow", allow)
		fail(http.StatusMethodNotAllowed, "%s is not for this; it takes %s", printed(r.Method), allow).answer(w, r)
		return
	}
	fail(http.StatusNotFound, "there is no %s", printed(r.URL.Path)).answer(w, r)
}

// headersOnly keeps the status and the headers of an answer.
type headersOnly struct {
	header http.Header
	status int
}

func (h *headersOnly) Header() http.Header            { return h.header }
func (h *headersOnly) WriteHeader(status int)         { h.status = status }
func (h *headersOnly) Write(text []byte) (int, error) { return len(text), nil }

// plainPath refuses paths that are not what they seem: with empty, "." or ".."
// segments, however they are written, or with what cannot be printed.
func plainPath(r *http.Request) *Failure {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/") || !utf8.ValidString(path) || strings.ContainsFunc(path, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return fail(http.StatusBadRequest, "the path holds what no path here has")
	}
	for _, p := range []string{path, r.URL.EscapedPath()} {
		for segment := range strings.SplitSeq(p[1:], "/") {
			if segment == "." || segment == ".." || strings.Contains(p, "//") {
				return fail(http.StatusBadRequest, `the path has empty, "." or ".." segments; write it out`)
			}
		}
	}
	return nil
}

// mostText is how many bytes a message has of what a client made long.
const mostText = 500

// printed is what somebody sent, cut to a length fit for a message.
func printed(s string) string { return cut(s, 100) }

func cut(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
