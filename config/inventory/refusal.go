package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Reason is why an operation is refused.
type Reason uint8

// Reasons.
const (
	Invalid  Reason = iota // a value is wrong: Field says which
	NotFound               // there is nothing of that name
	Taken                  // the name, or the number, has another owner
	InUse                  // it still has what Blocking names
	Quota                  // there are as many as the account may have
	Stale                  // it has changed since it was read
	Closed                 // the store takes no changes now
)

// Refusal is an operation that is not carried out, and changes nothing.
type Refusal struct {
	Reason   Reason
	Field    string   // of what was given, as in a file: "hosts[0].uri"; or ""
	Text     string   // what is wrong, and what to do about it
	Blocking []string // what is in the way, the first of it
}

func (r *Refusal) Error() string {
	if r.Field != "" {
		return r.Field + ": " + r.Text
	}
	return r.Text
}

func refuse(reason Reason, field, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Field: field, Text: fmt.Sprintf(format, args...)}
}

// blockedBy adds what is in the way, the first of it.
func (r *Refusal) blockedBy(what ...string) *Refusal {
	const most = 10
	r.Blocking = what
	if more := len(what) - most; more > 0 {
		r.Blocking = append(slices.Clone(what[:most]), fmt.Sprintf("and %d more", more))
	}
	return r
}

// under puts what a refusal speaks of under a path.
func under(path string, err error) error {
	var r *Refusal
	if !errors.As(err, &r) {
		return err
	}
	at := *r
	if at.Field = path; r.Field != "" {
		at.Field += "." + r.Field
	}
	return &at
}

// quote quotes what an operator wrote, cut to a length fit for a message.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%.*q...", most, s)
	}
	return strconv.Quote(s)
}

// several is a count and its noun: "1 number", "12 numbers".
func several(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
