package router

import "time"

// CallRecord is a call whose set-up is over, as operators see it. Times in
// milliseconds are counted from Began.
type CallRecord struct {
	Began    time.Time       `json:"began"`
	Number   string          `json:"number"` // as it was looked up
	Method   string          `json:"method"`
	CallID   string          `json:"call_id"`
	Trunk    string          `json:"trunk"`
	Source   string          `json:"source"`
	Route    string          `json:"route,omitempty"`  // the group, or the connector of a number without one
	Outcome  string          `json:"outcome"`          // answered, refused, exhausted, cancelled, timeout or rejected
	Status   int             `json:"status"`           // of the final response that the caller got
	Reason   string          `json:"reason,omitempty"` // why it was rejected
	Progress float64         `json:"progress_ms,omitempty"`
	Took     float64         `json:"took_ms"` // until the final response
	Attempts []AttemptRecord `json:"attempts,omitempty"`
}

// AttemptRecord is one attempt of a call. A time of 0 is that of something that
// did not happen, but for Start.
type AttemptRecord struct {
	Connector string  `json:"connector"`
	Region    string  `json:"region,omitempty"`
	Host      string  `json:"host"`
	Outcome   string  `json:"outcome"` // answered, refused, failed, silent, no_progress, no_answer, icmp, send_error, cancelled, timeout or pending
	Status    int     `json:"status,omitempty"`
	Start     float64 `json:"start_ms"`
	First     float64 `json:"first_response_ms,omitempty"`
	Progress  float64 `json:"progress_ms,omitempty"` // the first 101-199
	End       float64 `json:"end_ms,omitempty"`      // the final response, or what ended it instead
}

// Recent returns the newest of the calls that are kept and match, newest first,
// at most limit of them. match may be nil.
func (r *Router) Recent(limit int, match func(*CallRecord) bool) []CallRecord {
	return nil
}

// Follower reads calls as they end. It is for one goroutine.
type Follower struct{ r *Router }

// Follow returns a Follower of calls that end from now on.
func (r *Router) Follow() *Follower { return &Follower{r} }

// Next returns the calls that ended since the last call of Next, in the order
// of their end, and how many more were overwritten before they could be read.
func (f *Follower) Next() (calls []CallRecord, missed uint64) { return nil, 0 }
