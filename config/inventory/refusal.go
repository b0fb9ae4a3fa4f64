package inventory

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
