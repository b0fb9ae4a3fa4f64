package admin

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tandem/config/catalog"
	"tandem/router"
)

const (
	defaultLast = 20
	maxLast     = 10_000
)

// callsQuery is what /calls was asked for. The zero value of a filter lets
// every call pass.
type callsQuery struct {
	last                         int
	follow                       bool
	number, callID, trunk, route string
	failed, failedOver           bool
}

// parseCallsQuery reads a query. The error says what would be right.
func parseCallsQuery(raw string) (callsQuery, error) {
	q := callsQuery{last: defaultLast}
	given, err := parseQuery(raw, "last", "number", "call_id", "trunk", "route", "failed", "failed_over", "follow")
	if err != nil {
		return q, err
	}
	q.callID, q.trunk, q.route = given["call_id"], given["trunk"], given["route"]
	for _, yes := range []struct {
		key string
		to  *bool
	}{{"failed", &q.failed}, {"failed_over", &q.failedOver}, {"follow", &q.follow}} {
		value, ok := given[yes.key]
		if ok && value != "1" && value != "0" {
			return q, fmt.Errorf("%s=%q: write %s=1, or leave it out", yes.key, value, yes.key)
		}
		*yes.to = value == "1"
	}
	if value, ok := given["last"]; ok {
		least, hint := 1, ""
		if q.follow {
			least, hint = 0, ", or 0 for none of those that are over"
		}
		if q.last, err = strconv.Atoi(value); err != nil || q.last < least || q.last > maxLast {
			return q, fmt.Errorf("last=%q: write how many calls, from 1 to %d%s", value, maxLast, hint)
		}
	}
	if value, ok := given["number"]; ok {
		if q.number, err = oneNumber(value); err != nil {
			return q, fmt.Errorf("number: %w", err)
		}
	}
	return q, nil
}

// parseQuery returns the values of a query, each of a known key and given once.
func parseQuery(raw string, known ...string) (map[string]string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fmt.Errorf("the query cannot be read: %w", err)
	}
	given := make(map[string]string, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		all := values[key]
		switch {
		case len(known) == 0:
			return nil, fmt.Errorf("%q is unknown; nothing stands behind a ? here", key)
		case !slices.Contains(known, key):
			return nil, fmt.Errorf("%q is unknown; known are %s", key, strings.Join(known, ", "))
		case len(all) > 1:
			return nil, fmt.Errorf("%s is given %d times; once is right", key, len(all))
		case all[0] == "":
			return nil, fmt.Errorf("%s is empty; give it a value, or leave it out", key)
		}
		given[key] = all[0]
	}
	return given, nil
}

// oneNumber reads a number as people write it.
func oneNumber(s string) (string, error) {
	// A range is never meant here, so every "-" only separates digits.
	n, err := catalog.ParseNumbers(strings.ReplaceAll(plussed(s), "-", ""))
	switch {
	case err != nil:
		return "", err
	case n.Kind != catalog.Exact:
		return "", errors.New("write one number, no prefix")
	}
	return n.First, nil
}

// plussed repairs a number that begins with "+" where a query means a space by
// it, as in curl '…/calls?number=+15550000001'.
func plussed(s string) string {
	if rest, ok := strings.CutPrefix(s, " "); ok {
		return "+" + rest
	}
	return s
}

// matcher is match; nil when every call does, which is read faster.
func (q *callsQuery) matcher() func(*router.CallRecord) bool {
	if *q == (callsQuery{last: q.last, follow: q.follow}) {
		return nil
	}
	return q.match
}

// filter returns the calls that match, in the place of calls.
func (q *callsQuery) filter(calls []router.CallRecord) []router.CallRecord {
	return slices.DeleteFunc(calls, func(c router.CallRecord) bool { return !q.match(&c) })
}

func (q *callsQuery) match(c *router.CallRecord) bool {
	return (q.number == "" || c.Number == q.number) &&
		(q.callID == "" || c.CallID == router.KeptCallID(q.callID)) &&
		(q.trunk == "" || c.Trunk == q.trunk) &&
		(q.route == "" || c.Route == q.route) &&
		(!q.failed || c.Failed()) &&
		(!q.failedOver || len(c.Attempts) > 1)
}
