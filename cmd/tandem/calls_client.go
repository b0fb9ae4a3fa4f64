package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// askTimeout is how long a node on this machine may take for an answer.
	askTimeout = 10 * time.Second

	// followSilence is how long a node that is followed may say nothing: three
	// times what it leaves between two signs of life.
	followSilence = 45 * time.Second

	mostAnswer = 64 << 20 // bytes: more than 10,000 calls have
	mostLine   = 1 << 20  // bytes of one call, or one event
)

// ask sends a request to the admin address of a node. An answer other than
// those in fine is an error with the node's own text.
func ask(ctx context.Context, node target, path string, query url.Values, fine ...int) (*http.Response, error) {
	req, err := node.request(ctx, http.MethodGet, path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	at := adminURL(node.url)
	res, err := adminClient().Do(req)
	if err != nil {
		return nil, unreachable(at, err)
	}
	if slices.Contains(fine, res.StatusCode) {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	switch {
	case err != nil:
		return nil, unreachable(at, err)
	case res.StatusCode == http.StatusNotFound:
		return nil, noSuchPage(at, path)
	case isJSON(res):
		return nil, refusalOf(res, text)
	}
	return nil, fmt.Errorf("the node at %s says: %s", at, printable(strings.TrimSpace(string(text))))
}

// adminURL is the address of a node as the user gave it, as a URL.
func adminURL(admin string) string {
	if !strings.Contains(admin, "://") {
		admin = "http://" + admin
	}
	return strings.TrimRight(admin, "/")
}

// adminClient asks no proxy of the environment: the node is on this machine. It
// follows nobody elsewhere: a key is for the node that it was given for.
func adminClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func unreachable(admin string, err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err // without the address a second time
	}
	return fmt.Errorf(`the node at %s cannot be asked: %w
Is it running, on this machine? Is this its admin address? The line "serving" of
its log shows that; give another one by --admin URL. With "admin: off" in its
config it has none`, admin, err)
}

func noSuchPage(admin, path string) error {
	return fmt.Errorf("%s has no %s: this is no admin address (that for metrics has only those), or the node is an older tandem; give another one by --admin URL", admin, path)
}

// recentCalls are the calls that match, each as JSON, oldest first.
func recentCalls(ctx context.Context, q *callsQuery) ([]json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	res, err := ask(ctx, q.node, "/calls", q.values(), http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var all []json.RawMessage
	if err := json.NewDecoder(io.LimitReader(res.Body, mostAnswer)).Decode(&all); err != nil {
		return nil, fmt.Errorf("the node's answer cannot be read: %w", err)
	}
	slices.Reverse(all)
	return all, nil
}

// followCalls prints calls as they end until ctx does.
func followCalls(ctx context.Context, p *callsPrinter, q *callsQuery) error {
	return followLines(ctx, q.node, "/calls", q.values(), func(line []byte) error {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			return nil // a sign of life
		}
		return p.print(line)
	})
}

// followLines hands over the lines of an answer that has no end, until ctx does.
func followLines(ctx context.Context, node target, path string, query url.Values, each func(line []byte) error) error {
	request, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(followSilence, func() { cancel(fmt.Errorf("it has said nothing for %s", followSilence)) })
	defer silence.Stop()
	res, err := ask(request, node, path, query, http.StatusOK)
	if err != nil {
		return ended(ctx, err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, mostLine)
	for lines.Scan() {
		silence.Reset(followSilence)
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	err = lines.Err()
	if cause := context.Cause(request); cause != nil {
		err = cause
	}
	if err == nil {
		err = errors.New("it has stopped, or was restarted")
	}
	return ended(ctx, fmt.Errorf("the node is not followed any more: %w", err))
}

// ended is nil when it was the user who ended it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
