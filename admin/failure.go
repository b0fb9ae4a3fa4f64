package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Failure is a request that is not carried out: it has changed nothing.
type Failure struct {
	Text     string   `json:"error"`
	Field    string   `json:"field,omitempty"` // of what was given, as in a file: "hosts[0].uri"
	Blocking []string `json:"blocking,omitempty"`
	Code     string   `json:"code"` // a word for programs: it stays when the text gets better

	status int
	after  time.Duration // when it may be tried again; 0: nobody knows
}

func (f *Failure) Error() string {
	if f.Field != "" {
		return f.Field + ": " + f.Text
	}
	return f.Text
}

// fail returns a Failure with the code of a status.
func fail(status int, format string, args ...any) *Failure {
	return &Failure{Text: fmt.Sprintf(format, args...), Code: codes[status], status: status}
}

// invalid returns the Failure of a field that is wrong.
func invalid(field, format string, args ...any) *Failure {
	f := fail(http.StatusBadRequest, format, args...)
	f.Field = field
	return f
}

// codes are the words of failures whose reason is in their status.
var codes = map[int]string{
	http.StatusBadRequest:            "invalid",
	http.StatusUnauthorized:          "unauthorized",
	http.StatusForbidden:             "forbidden",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "media_type",
	http.StatusTooManyRequests:       "rate",
	http.StatusInternalServerError:   "internal",
	http.StatusServiceUnavailable:    "closed",
}

// answer writes the failure in the form of the API that was asked.
func (f *Failure) answer(w http.ResponseWriter, r *http.Request) {
	f.headers(w)
	if chimePath(r.URL.Path) {
		f.answerChime(w)
		return
	}
	sayJSON(w, f.status, f)
}

func (f *Failure) headers(w http.ResponseWriter) {
	if f.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.after+time.Second-1)/time.Second)))
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
}
