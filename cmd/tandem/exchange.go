package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// changeTimeout is how long a node may take for a change: it answers when the
// change is on its disk, which may be a slow one, and 10,000 numbers are many.
const changeTimeout = time.Minute

// longTimeout is how long it may take for what moves everything.
const longTimeout = 15 * time.Minute

// request is what is asked of a node.
type request struct {
	method, path string
	query        url.Values
	body         []byte
	kind         string        // of the body: JSON unless set
	match        string        // the ETag that what is changed must have; "" for any
	within       time.Duration // the longest wait
}

// answer is what a node said.
type answer struct {
	text []byte
	etag string
}

// get asks for a page.
func get(path string, query url.Values) request {
	return request{method: http.MethodGet, path: path, query: query, within: askTimeout}
}

// changing is a request that changes something, or with dry only says what it
// would change.
func changing(method, path string, body any, dry bool) (request, error) {
	r := request{method: method, path: path, query: url.Values{}, within: changeTimeout}
	if dry {
		r.query.Set("dry_run", "true")
	}
	if body == nil {
		return r, nil
	}
	text, err := json.Marshal(body)
	r.body = text
	return r, err
}

// send sends a request, again when the node wants it later, and reads the answer
// into value, if there is one to read and a value to have it. What the node says
// against it is a *nodeError.
func (t target) send(ctx context.Context, r request, value any) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	for {
		res, err := t.open(ctx, r)
		if later := new(laterError); errors.As(err, &later) && later.waits(ctx) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return t.read(res, r, value)
	}
}

func (t target) read(res *http.Response, r request, value any) (*answer, error) {
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return nil, unreachable(adminURL(t.url), err)
	}
	a := &answer{text: text, etag: res.Header.Get("ETag")}
	switch {
	case res.StatusCode == http.StatusNoContent || value == nil:
		return a, nil
	case !isJSON(res):
		return nil, noSuchPage(adminURL(t.url), r.path)
	}
	if err := json.Unmarshal(text, value); err != nil {
		return nil, fmt.Errorf("the node's answer cannot be read: %w", err)
	}
	return a, nil
}

// open sends a request and returns the answer of a node that did what it asks.
func (t target) open(ctx context.Context, r request) (*http.Response, error) {
	path := r.path
	if strings.HasSuffix(path, "/") || strings.Contains(path, "//") {
		return nil, errors.New("a name is empty: give one, and quote it if it has spaces")
	}
	if len(r.query) > 0 {
		path += "?" + r.query.Encode()
	}
	req, err := t.request(ctx, r.method, path, r.body)
	if err != nil {
		return nil, err
	}
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
	} else if r.method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.match != "" {
		req.Header.Set("If-Match", r.match)
	}
	res, err := adminClient().Do(req)
	if err != nil {
		err = unreachable(adminURL(t.url), err)
		if errors.Is(err, context.DeadlineExceeded) && r.method != http.MethodGet {
			err = fmt.Errorf("%w. Whether it has done it is not known: look before you do it again", err)
		}
		return nil, err
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	switch {
	case err != nil:
		return nil, unreachable(adminURL(t.url), err)
	case res.StatusCode == http.StatusNotFound && !isJSON(res):
		return nil, noSuchPage(adminURL(t.url), r.path)
	case res.StatusCode == http.StatusTooManyRequests:
		return nil, &laterError{nodeError: refusalOf(res, text), after: retryAfter(res)}
	}
	return nil, refusalOf(res, text)
}

// laterError is a node that does not want so many requests at a time.
type laterError struct {
	*nodeError
	after time.Duration
}

// waits waits until the node wants the request again; false when there is no
// time for that.
func (e *laterError) waits(ctx context.Context) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < e.after {
		return false
	}
	select {
	case <-time.After(e.after):
		return true
	case <-ctx.Done():
		return false
	}
}

// Unwrap is what the node said.
func (e *laterError) Unwrap() error { return e.nodeError }

// retryAfter is when a node wants a request again: in a second unless it says.
func retryAfter(res *http.Response) time.Duration {
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		seconds = 1
	}
	return time.Duration(seconds) * time.Second
}
