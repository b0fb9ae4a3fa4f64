package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
	"tandem/config/store"
	"tandem/router"
)

const (
	jsonType  = "application/json"
	patchType = "application/merge-patch+json" // RFC 7396

	mostBody      = 1 << 20          // bytes of a request
	smallBody     = 16 << 10         // as many as come may have this much
	mostLarge     = 8                // with more, at a time: the memory is that of calls too
	actionTimeout = 10 * time.Second // less than the server has for an answer
)

// managed is /v1/groups, /v1/connectors and /v1/numbers. Its fields are set
// once.
type managed struct {
	manager *manage.Manager // nil: what there is stands in a file
	router  *router.Router
	now     func() int64 // the router's clock
	access  *access
	log     *slog.Logger
	large   chan struct{} // has room for the large bodies that are taken
}

func newManaged(opts *Options, access *access) *managed {
	return &managed{
		manager: opts.Manager, router: opts.Router, now: opts.Now, access: access, log: access.log, large: make(chan struct{}, mostLarge),
	}
}

// handle puts the pages into all.
func (p *managed) handle(all *routes) {
	for pattern, do := range map[string]action{
		"GET /v1/groups":          p.listGroups,
		"POST /v1/groups":         p.createGroup,
		"GET /v1/groups/{ref}":    p.showGroup,
		"PATCH /v1/groups/{ref}":  p.updateGroup,
		"DELETE /v1/groups/{ref}": p.deleteGroup,

		"PUT /v1/groups/{ref}/connectors/{connector}":    p.putMember,
		"DELETE /v1/groups/{ref}/connectors/{connector}": p.deleteMember,
		"PUT /v1/groups/{ref}/ranking":                   p.putRanking,

		"GET /v1/connectors":          p.listConnectors,
		"POST /v1/connectors":         p.createConnector,
		"GET /v1/connectors/{ref}":    p.showConnector,
		"PATCH /v1/connectors/{ref}":  p.updateConnector,
		"DELETE /v1/connectors/{ref}": p.deleteConnector,

		"GET /v1/numbers":           p.listNumbers,
		"GET /v1/numbers/{number}":  p.showNumber,
		"POST /v1/numbers":          p.addNumbers,
		"POST /v1/numbers/assign":   p.assignNumbers,
		"POST /v1/numbers/unassign": p.unassignNumbers,
		"POST /v1/numbers/remove":   p.removeNumbers,
		"GET /v1/openapi.json":      p.showOpenAPI,
	} {
		types := []string{jsonType}
		if strings.HasPrefix(pattern, http.MethodPatch) {
			types = append(types, patchType)
		}
		all.handle(pattern, p.page(do, actionTimeout, types...))
	}
	moves, imports, exports := make(chan struct{}, mostMoves), make(chan struct{}, mostImports), make(chan struct{}, mostExports)
	all.handle("POST /v1/numbers/move", p.page(p.transfer(moves, p.moveNumbers), transferTimeout, jsonType))
	all.handle("POST /v1/import", p.page(p.transfer(imports, p.importAll), transferTimeout, yamlTypes...))
	all.handle("GET /v1/export", p.page(p.transfer(exports, p.exportAll), transferTimeout))
	all.handle("GET /v1/backup", p.page(p.transfer(exports, p.backup), transferTimeout))
}

// action is a page that may fail. One that does has written nothing.
type action func(w http.ResponseWriter, r *http.Request) error

// page makes a handler of an action.
func (p *managed) page(do action, timeout time.Duration, types ...string) http.HandlerFunc {
	if timeout <= actionTimeout { // the others have places of their own
		do = p.inTurn(do)
	}
	return p.access.managing(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		if timeout > actionTimeout { // without these, the times of the server count
			control, end := http.NewResponseController(w), time.Now().Add(timeout)
			_ = control.SetReadDeadline(end)
			_ = control.SetWriteDeadline(end.Add(wholeTimeout))
		}
		w.Header().Set("Cache-Control", "no-store")
		if err := do(w, r.WithContext(ctx)); err != nil {
			p.failure(r, err).answer(w, r)
		}
	}, types...)
}

// inTurn lets requests with a large body wait, unread, while there are many.
func (p *managed) inTurn(do action) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		if 0 <= r.ContentLength && r.ContentLength <= smallBody {
			return do(w, r)
		}
		select {
		case p.large <- struct{}{}:
			defer func() { <-p.large }()
			return do(w, r)
		case <-r.Context().Done():
			return closed("nothing is changed, because too many large requests are under way: send less at a time")
		}
	}
}

// failure is an error as it is told. What is nobody's business goes to the log.
func (p *managed) failure(r *http.Request, err error) *Failure {
	var f *Failure
	var refusal *inventory.Refusal
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.Is(err, store.ErrClosed):
		return closed("the node is being stopped")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return closed("this took too long; look whether it was done before you try again")
	}
	p.log.Error("a request to manage the node failed", "method", r.Method, "path", printed(r.URL.Path), "by", who(r), "error", err.Error())
	return fail(http.StatusInternalServerError, "%s", wrongInside)
}

const wrongInside = "something is wrong inside, and the node's log has it; look whether it was done before you try again"

func closed(text string) *Failure {
	f := fail(http.StatusServiceUnavailable, "%s", text)
	f.after = time.Second
	return f
}

// refused is a refusal as it is told.
func refused(r *inventory.Refusal) *Failure {
	f := &Failure{Text: r.Text, Field: r.Field, Blocking: r.Blocking, Code: refusalCode(r.Reason)}
	switch r.Reason {
	case inventory.Invalid:
		f.status = http.StatusBadRequest
	case inventory.NotFound:
		f.status = http.StatusNotFound
	case inventory.Stale:
		f.status = http.StatusPreconditionFailed
	case inventory.Closed:
		f.status, f.after, f.Text = http.StatusServiceUnavailable, time.Second, withoutPaths(r.Text)
	default:
		f.status = http.StatusConflict
	}
	return f
}

// withoutPaths leaves out which file it is that cannot be written.
func withoutPaths(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		if strings.Contains(word, "/") {
			words[i] = "its file" + word[len(strings.TrimRight(word, ":,;.")):]
		}
	}
	return strings.Join(words, " ")
}

func refusalCode(r inventory.Reason) string {
	return [...]string{
		inventory.Invalid: "invalid", inventory.NotFound: "not_found", inventory.Taken: "taken", inventory.InUse: "in_use",
		inventory.Quota: "quota", inventory.Stale: "stale", inventory.Closed: "closed",
	}[r]
}

// stored returns the manager, or why there is none.
func (p *managed) stored() (*manage.Manager, error) {
	if p.manager == nil {
		f := fail(http.StatusConflict, "this node routes by its file: change that one and reload, or set store in it to manage connectors, groups and numbers here")
		f.Code = "no_store"
		return nil, f
	}
	return p.manager, nil
}

// snapshot is what there is, in the store or in the file.
func (p *managed) snapshot() *inventory.Snapshot {
	if p.manager == nil {
		return snapshotOf(p.router.Catalog())
	}
	return p.manager.Snapshot()
}

// asked returns the values of a query.
func asked(r *http.Request, known ...string) (map[string]string, error) {
	given, err := parseQuery(r.URL.RawQuery, known...)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "%s", cut(err.Error(), mostText))
	}
	return given, nil
}

// yes reads a value of a query that is true or false.
func yes(given map[string]string, key string) (bool, error) {
	switch given[key] {
	case "true", "1":
		return true, nil
	case "", "false", "0":
		return false, nil
	}
	return false, invalid(key, "is %q; write true, or leave it out", printed(given[key]))
}

// change returns who wants what, and the manager to ask for it; known are keys
// of the query besides dry_run, which the Chime API does not have: its answer
// would say that it is done.
func (p *managed) change(r *http.Request, what string, known ...string) (*manage.Manager, manage.Action, error) {
	a := manage.Action{Who: who(r), What: what}
	m, err := p.stored()
	if err != nil {
		return nil, a, err
	}
	if !chimePath(r.URL.Path) {
		known = append(known, "dry_run")
	}
	given, err := asked(r, known...)
	if err == nil {
		a.Dry, err = yes(given, "dry_run")
	}
	return m, a, err
}

// bodyOf reads a body of at most so many bytes.
func bodyOf(r *http.Request, most int64) ([]byte, *Failure) {
	if r.ContentLength > most {
		return nil, tooLarge(most)
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	switch {
	case err != nil:
		return nil, fail(http.StatusBadRequest, "the body ends early, or comes too slowly")
	case int64(len(text)) > most:
		return nil, tooLarge(most)
	}
	return text, nil
}

func tooLarge(most int64) *Failure {
	return fail(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", most)
}

// read reads a body into value.
func read(r *http.Request, value any) error {
	text, f := bodyOf(r, mostBody)
	if f == nil {
		f = decodeJSON(text, value)
	}
	if f != nil {
		return f
	}
	return nil
}

// refOf is a name or an ID in the path.
func refOf(r *http.Request, key string) (string, error) {
	ref := r.PathValue(key)
	if !catalog.ValidName(ref) {
		return "", fail(http.StatusBadRequest, `%q is neither a name nor an ID: these are of letters, digits, spaces and "_.-"`, printed(ref))
	}
	return ref, nil
}

// etag is the tag of what has a revision.
func etag(w http.ResponseWriter, revision uint64) {
	w.Header().Set("ETag", `"`+strconv.FormatUint(revision, 10)+`"`)
}

// unchanged refuses what is asked of an older revision than the one there is
// (RFC 9110 13.1.1).
func unchanged(r *http.Request, what string, revision uint64) error {
	given := r.Header.Values("If-Match")
	if len(given) == 0 {
		return nil
	}
	want := `"` + strconv.FormatUint(revision, 10) + `"`
	for tag := range strings.SplitSeq(strings.Join(given, ","), ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == want {
			return nil
		}
	}
	return &inventory.Refusal{Reason: inventory.Stale, Text: what + " has changed since it was read: read it again, and try with its new ETag"}
}
