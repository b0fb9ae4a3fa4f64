package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"time"
)

// api is the management API of a node, for one client.
type api struct {
	base   string
	client *http.Client
	last   time.Time // when the last request began
}

func newAPI(addr string) *api {
	return &api{base: "http://" + addr, client: &http.Client{Timeout: slowest}}
}

// apart is the least time between two requests: a node takes 500 a second from one
// source.
const apart = 2100 * time.Microsecond

// ask sends a request and reads the answer into into. The time is from before the
// request is sent to the answer's last byte.
func (a *api) ask(ctx context.Context, method, path string, body, into any) (time.Duration, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	if err := sleep(ctx, time.Until(a.last.Add(apart))); err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	if body == nil {
		request.Body, request.ContentLength = nil, 0
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	a.last = time.Now()
	answer, err := a.client.Do(request)
	if err != nil {
		return 0, err
	}
	text, err = io.ReadAll(answer.Body)
	took := time.Since(a.last)
	if err := answer.Body.Close(); err != nil {
		return 0, err
	}
	if err != nil {
		return 0, err
	}
	if answer.StatusCode >= 300 {
		return 0, fmt.Errorf("%s %s: %s: %.200s", method, path, answer.Status, text)
	}
	return took, json.Unmarshal(text, into)
}

// change sends a request that has to change so many numbers.
func (a *api) change(ctx context.Context, path string, body map[string]any, numbers int) (time.Duration, error) {
	var answer struct {
		Changed int
		Failed  []json.RawMessage
	}
	took, err := a.ask(ctx, "POST", path, body, &answer)
	if err == nil && (answer.Changed != numbers || len(answer.Failed) > 0) {
		err = fmt.Errorf("POST %s changed %d of %d numbers, %d failed: %.200s", path, answer.Changed, numbers, len(answer.Failed), answer.Failed)
	}
	return took, err
}

// ref is an owner in a request.
func ref(o owner) map[string]string {
	if o == few {
		return map[string]string{"connector": ownerNames[o]}
	}
	return map[string]string{"group": ownerNames[o]}
}

// times are those of answers.
type times []time.Duration

// at is the least that a fraction of all are not above.
func (t times) at(fraction float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	place := int(math.Ceil(fraction * float64(len(t))))
	return slices.Sorted(slices.Values(t))[max(place, 1)-1]
}

func (t times) sum() (sum time.Duration) {
	for _, one := range t {
		sum += one
	}
	return sum
}
