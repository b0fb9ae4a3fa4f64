package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// Key lets in whoever has its token.
type Key struct {
	Name   string   // who it was made for, as the log has it
	SHA256 [32]byte // of the token
}

// verifier tells who sent a request, by one scheme of the Authorization header.
// A signature over the request would be another one: it has all of the request
// to look at, and may read the body if it puts it back.
type verifier interface {
	scheme() string
	verify(r *http.Request, credentials string) (who string, ok bool)
}

// bearer knows tokens (RFC 6750 2.1).
type bearer []Key

func (bearer) scheme() string { return "Bearer" }

// verify takes as long for a token that is nearly right as for any other.
func (b bearer) verify(_ *http.Request, token string) (who string, ok bool) {
	sum := sha256.Sum256([]byte(token))
	for i := range b {
		if subtle.ConstantTimeCompare(sum[:], b[i].SHA256[:]) == 1 && !ok {
			who, ok = b[i].Name, true
		}
	}
	return who, ok
}

// access is who may do what on the admin address. With keys, whoever has one.
// Without, this machine alone, and no web page in a browser on it.
type access struct {
	verifiers []verifier // none without keys
	loopback  bool       // nobody but this machine reaches the address; set before it serves
	callers   *limits
	strangers *limits // who has no key
	log       *slog.Logger
}

func newAccess(opts *Options) *access {
	a := &access{callers: newLimits(callerRate, callerBurst), strangers: newLimits(strangerRate, strangerBurst), log: opts.Log}
	if len(opts.Keys) > 0 {
		a.verifiers = []verifier{bearer(slices.Clone(opts.Keys))}
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	return a
}

// gate is in front of every page: is the path one, who is it, is it too much.
func (a *access) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if f := plainPath(r); f != nil {
			f.answer(w, r)
			return
		}
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r) // say nothing that has to be hidden
			return
		}
		who, f := a.identify(r)
		if f == nil {
			f = a.callers.take(limitKey(who, r.RemoteAddr))
		}
		if f != nil {
			f.answer(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, who)))
	})
}

// identify says whose key a request has; "" without keys.
func (a *access) identify(r *http.Request) (who string, f *Failure) {
	if len(a.verifiers) == 0 {
		return "", nil
	}
	given, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for _, v := range a.verifiers {
		if !strings.EqualFold(given, v.scheme()) {
			continue
		}
		if who, ok := v.verify(r, strings.TrimSpace(credentials)); ok {
			return who, nil
		}
	}
	if f := a.strangers.take(limitKey("", r.RemoteAddr)); f != nil {
		return "", f
	}
	if given == "" {
		return "", fail(http.StatusUnauthorized, "a key is needed: send its token as Authorization: Bearer TOKEN")
	}
	return "", fail(http.StatusUnauthorized, "no key has this token")
}

// whoKey is where a request has the name of its key.
type whoKey struct{}

// who is by whom a request is, as the log has it: the key and the address.
func who(r *http.Request) string {
	if name, _ := r.Context().Value(whoKey{}).(string); name != "" {
		return "key " + name + " from " + r.RemoteAddr
	}
	return r.RemoteAddr
}

// seeing is in front of pages that change nothing and hide nothing from this
// machine's own programs.
func (a *access) seeing(next http.Handler) http.Handler {
	if len(a.verifiers) > 0 {
		return next // a web page has no key
	}
	return local(next)
}

// managing is in front of pages that change something, or show what is to be
// managed. Of what may have a body, it has to be of one of the types.
func (a *access) managing(next http.HandlerFunc, types ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if f := a.admit(r, types); f != nil {
			f.answer(w, r)
			return
		}
		next(w, r)
	}
}

// admit keeps out, where no key tells them apart, other machines, and web pages
// in a browser on this one.
func (a *access) admit(r *http.Request, types []string) *Failure {
	if len(a.verifiers) == 0 {
		if !a.loopback {
			return fail(http.StatusForbidden, "without admin.keys this is for a loopback address only, since nobody is asked for a key: set them, or set admin.listen to one, as 127.0.0.1:8080")
		}
		if !loopbackHost(r.Host) {
			return fail(http.StatusForbidden, "the Host header is %q; without admin.keys this is for localhost or a loopback address, as in http://127.0.0.1:8080", printed(r.Host))
		}
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return fail(http.StatusForbidden, "a web page of another origin can change nothing")
	}
	// A form, or a script without leave of this server, cannot send these types.
	if len(types) > 0 && r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodDelete {
		given := r.Header.Get("Content-Type")
		if kind, _, err := mime.ParseMediaType(given); err != nil || !slices.Contains(types, kind) {
			return fail(http.StatusUnsupportedMediaType, "the Content-Type is %q; this takes %s", printed(given), strings.Join(types, " or "))
		}
	}
	return nil
}
