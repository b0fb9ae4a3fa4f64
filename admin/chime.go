package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/config/catalog"
)

// chime is what is managed, for clients of the Amazon Chime SDK Voice API: its
// paths, methods, names of fields, status codes, errors, paging and limits, as
// far as both share what is managed.
//
// An ID of a voice connector or a group may be its name. What of a request cannot
// be kept is refused.
type chime struct{ *managed }

// handle puts the pages into all.
func (p *chime) handle(all *routes) {
	for pattern, do := range map[string]action{
		"GET /voice-connectors":          p.listConnectors,
		"POST /voice-connectors":         p.createConnector,
		"GET /voice-connectors/{ref}":    p.getConnector,
		"PUT /voice-connectors/{ref}":    p.updateConnector,
		"DELETE /voice-connectors/{ref}": p.deleteConnector,
		"POST /voice-connectors/{ref}":   p.connectorNumbers,

		"GET /voice-connectors/{ref}/origination":        p.getOrigination,
		"PUT /voice-connectors/{ref}/origination":        p.putOrigination,
		"DELETE /voice-connectors/{ref}/origination":     p.deleteOrigination,
		"GET /voice-connectors/{ref}/termination/health": p.terminationHealth,

		"GET /voice-connector-groups":          p.listGroups,
		"POST /voice-connector-groups":         p.createGroup,
		"GET /voice-connector-groups/{ref}":    p.getGroup,
		"PUT /voice-connector-groups/{ref}":    p.updateGroup,
		"DELETE /voice-connector-groups/{ref}": p.deleteGroup,
		"POST /voice-connector-groups/{ref}":   p.groupNumbers,

		"GET /phone-numbers":             p.listNumbers,
		"GET /phone-numbers/{number}":    p.getNumber,
		"DELETE /phone-numbers/{number}": p.deleteNumber,
		"POST /phone-number-orders":      p.orderNumbers,

		"GET /voice-connector-regions": p.listRegions,
	} {
		all.handle(pattern, p.page(do, actionTimeout, jsonType))
	}
}

// chimePath reports whether a path is one of that API.
func chimePath(path string) bool {
	return slices.ContainsFunc(chimePaths, func(begin string) bool { return strings.HasPrefix(path, begin) })
}

// chimePaths are the beginnings of its paths, those included that are not here:
// its clients have to understand that.
var chimePaths = []string{"/voice-", "/phone-number", "/sip-", "/settings", "/search", "/tags", "/emergency-calling"}

// chimeErrors are the names of errors and their status codes.
var chimeErrors = map[string]struct {
	name   string
	status int
}{
	"invalid":      {"BadRequest", http.StatusBadRequest},
	"method":       {"BadRequest", http.StatusBadRequest},
	"too_large":    {"BadRequest", http.StatusBadRequest},
	"media_type":   {"BadRequest", http.StatusBadRequest},
	"unauthorized": {"UnauthorizedClient", http.StatusUnauthorized},
	"forbidden":    {"Forbidden", http.StatusForbidden},
	"no_store":     {"Forbidden", http.StatusForbidden},
	"not_found":    {"NotFound", http.StatusNotFound},
	"taken":        {"Conflict", http.StatusConflict},
	"in_use":       {"Conflict", http.StatusConflict},
	"stale":        {"Conflict", http.StatusConflict},
	"quota":        {"ResourceLimitExceeded", http.StatusBadRequest},
	"rate":         {"ThrottledClient", http.StatusTooManyRequests},
	"internal":     {"ServiceFailure", http.StatusInternalServerError},
	"closed":       {"ServiceUnavailable", http.StatusServiceUnavailable},
}

// answerChime writes the failure as that API does: the name of the error stands
// in a header, what is wrong in the body.
func (f *Failure) answerChime(w http.ResponseWriter) {
	e := chimeErrors[f.Code]
	text := (&Failure{Text: f.Text, Field: chimeField(f.Field)}).Error()
	if len(f.Blocking) > 0 {
		text += " (" + strings.Join(f.Blocking, ", ") + ")"
	}
	w.Header().Set("X-Amzn-Errortype", e.name+"Exception")
	sayJSON(w, e.status, struct{ Code, Message string }{chimeCode(e.name), text})
}

// chimeField is the name that a field has there.
func chimeField(field string) string {
	switch field {
	case "name":
		return "Name"
	case "region":
		return "AwsRegion"
	case "connectors":
		return "VoiceConnectorItems"
	case "number":
		return "PhoneNumberId"
	}
	return chimeFields.Replace(field)
}

var chimeFields = strings.NewReplacer("connectors[", "VoiceConnectorItems[", "].connector", "].VoiceConnectorId", "].priority", "].Priority",
	"hosts[", "Origination.Routes[", "].uri", "].Host", "].weight", "].Weight")

// chimeCode is the code beside the name of an error.
func chimeCode(name string) string {
	switch name {
	case "UnauthorizedClient":
		return "Unauthorized"
	case "ThrottledClient":
		return "Throttled"
	}
	return name
}

// query returns the values of a query. Empty ones are as if they were not there.
func query(r *http.Request, known ...string) (map[string]string, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "the query cannot be read: %s", err)
	}
	for key, all := range values {
		if len(all) == 1 && all[0] == "" {
			delete(values, key)
		}
	}
	given, err := parseQuery(values.Encode(), known...)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "%s", cut(err.Error(), mostText))
	}
	return given, nil
}

// Paging of lists.
const chimePage = 100 // at most, and unless it is asked for less

// paging reads how much of a list by name is wanted.
func paging(r *http.Request) (after string, limit int, err error) {
	given, err := query(r, "max-results", "next-token")
	if err != nil {
		return "", 0, err
	}
	if after, err = tokenText(given["next-token"]); err != nil || after != "" && !catalog.ValidName(after) {
		return "", 0, badToken()
	}
	limit, err = whole(given, "max-results", chimePage, chimePage)
	return after, limit, err
}

// flag is a value that has to be left as it is here.
func flag(field string, given *bool, required, want bool, why string) error {
	switch {
	case given == nil && required:
		return invalid(field, "is missing; write %t", want)
	case given != nil && *given != want:
		return invalid(field, "is %t, which cannot be kept: %s", *given, why)
	}
	return nil
}

// notKept refuses what cannot be kept.
func notKept(field string, given bool, why string) error {
	if given {
		return invalid(field, "cannot be kept: %s", why)
	}
	return nil
}

// first is the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// stamp is a time of that API, nil for none.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

// optional is a text that may be missing.
func optional(given *string) string {
	if given == nil {
		return ""
	}
	return *given
}
